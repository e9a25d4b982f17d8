// SPDX-License-Identifier: GPL-2.0
/*
 * More VMs than harts, in turn on the same harts, with other memory at the same
 * addresses: none may see that of another. Where KVM has few VMIDs, or none
 * (kvm.vmid_bits of the Rust backend), they take each other's all the time. QEMU's
 * TLB has no VMIDs, so this shows that each VM gets its own page table and registers;
 * nacl_vmids_test looks for the fences.
 */
#include <pthread.h>
#include <unistd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

#define NR_VMS		12
#define NR_PAGES	16
#define ROUNDS		400
#define STAY		20	/* rounds between two returns to user space */

static u64 *pages;
static u64 mine;

static void guest_look(void)
{
	int round, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < NR_PAGES; i++)
			__GUEST_ASSERT(READ_ONCE(pages[i * 512]) == mine + i,
				       "round %d: page %d of VM 0x%lx has 0x%lx", round,
				       i, mine, READ_ONCE(pages[i * 512]));
		/* An exit and an entry, on this hart or on another. */
		if (round % STAY)
			sbi_ecall(SBI_EXT_BASE, 0, 0, 0, 0, 0, 0, 0);
		else
			GUEST_SYNC(round);
	}
	GUEST_DONE();
}

struct machine {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	int cpus, number;
};

static void *machine_thread(void *arg)
{
	struct machine *m = arg;
	int syncs = 0;

	do {
		/* One VM in three stays where it is. */
		pin_self_to_cpu((m->number + (m->number % 3 ? syncs : 0)) % m->cpus);
		syncs++;
		vcpu_run(m->vcpu);
	} while (!guest_is_done(m->vcpu));
	TEST_ASSERT_EQ(syncs, ROUNDS / STAY + 1);
	return NULL;
}

TEST(vmid)
{
	int cpus = sysconf(_SC_NPROCESSORS_ONLN), i, page;
	struct machine m[NR_VMS];

	for (i = 0; i < NR_VMS; i++) {
		m[i].number = i;
		m[i].cpus = cpus;
		m[i].vm = vm_with_vcpus(1, guest_look, &m[i].vcpu);
		pages = (u64 *)vm_alloc_pages(m[i].vm, NR_PAGES);
		mine = (i + 1) * 0x100000000UL;
		for (page = 0; page < NR_PAGES; page++)
			*(u64 *)addr_gva2hva(m[i].vm, (u64)&pages[page * 512]) = mine + page;
		sync_global_to_guest(m[i].vm, pages);
		sync_global_to_guest(m[i].vm, mine);
	}
	for (i = 0; i < NR_VMS; i++)
		m[i].thread = thread_start(machine_thread, &m[i]);
	for (i = 0; i < NR_VMS; i++) {
		pthread_join(m[i].thread, NULL);
		kvm_vm_free(m[i].vm);
	}
}

TEST_HARNESS_MAIN
