// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts of vCPUs that are moved: between harts, into guest interrupt files and
 * out of them, while harts go and come. Each message is counted: none is lost, and
 * none is there twice.
 *
 * Each sender has identities of its own in each receiver. It sends one of them again
 * once it has been received, since a file merges what is pending already.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "aia.h"
#include "ask_guest.h"

#define NR_VCPUS	4
#define NR_HARTS	2
/* The vCPUs, and user space: by message, and by the wires of the APLIC. */
#define BY_MESSAGE	NR_VCPUS
#define BY_WIRE		(NR_VCPUS + 1)
#define NR_SENDERS	(NR_VCPUS + 2)
/* Identities of each sender. */
#define NR_IDS		4
#define ID(sender, i)	(1 + (sender) * NR_IDS + (i))
#define NR_ALL		(1 + NR_SENDERS * NR_IDS)

/* How many interrupts each vCPU takes from each sender, at least. */
#define MESSAGES	300
#define FULL_MESSAGES	20000

static u64 sent[NR_VCPUS][NR_ALL], received[NR_VCPUS][NR_ALL];

FIXTURE(move)
{
	struct aia aia;
};

FIXTURE_VARIANT(move)
{
	u32 mode;
};

FIXTURE_VARIANT_ADD(move, emul) { .mode = KVM_DEV_RISCV_AIA_MODE_EMUL };
FIXTURE_VARIANT_ADD(move, hwaccel) { .mode = KVM_DEV_RISCV_AIA_MODE_HWACCEL };
FIXTURE_VARIANT_ADD(move, auto) { .mode = KVM_DEV_RISCV_AIA_MODE_AUTO };

static void guest_receive(struct pt_regs *regs)
{
	u32 me = guest_get_vcpuid();
	u32 id;

	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_EXT);
	while ((id = imsic_claim())) {
		GUEST_ASSERT(id < NR_ALL);
		WRITE_ONCE(received[me][id], received[me][id] + 1);
		/* Counted by its sender before it was sent. */
		smp_mb();
		__GUEST_ASSERT(received[me][id] <= READ_ONCE(sent[me][id]),
			       "vCPU %u has got %u %lu times, sent %lu times", me, id,
			       received[me][id], READ_ONCE(sent[me][id]));
	}
}

static bool may_send(int to, u32 id)
{
	if (READ_ONCE(received[to][id]) != sent[to][id])
		return false;
	/* Pairs with that of guest_receive(). */
	smp_mb();
	WRITE_ONCE(sent[to][id], sent[to][id] + 1);
	/* The number is there before the message. Pairs with that of guest_receive(). */
	smp_mb();
	return true;
}

/* The last vCPU sleeps whenever it can, and sends only from time to time. */
static void guest_exchange(void)
{
	u32 me = guest_get_vcpuid();
	int to, i;

	for (i = 1; i < NR_ALL; i++)
		imsic_enable(i);
	imsic_start();
	csr_write(CSR_SIE, IE_EIE);
	/* The host selects registers as well, to move what the file holds. */
	csr_write(CSR_SISELECT, EITHRESHOLD);
	local_irq_enable();
	while (!READ_ONCE(guest_stop)) {
		GUEST_ASSERT_EQ(csr_read(CSR_SISELECT), EITHRESHOLD);
		for (to = 0; to < NR_VCPUS; to++) {
			for (i = 0; i < NR_IDS; i++)
				if (may_send(to, ID(me, i)))
					imsic_send(to, ID(me, i));
		}
		if (me != NR_VCPUS - 1)
			continue;
		/* A message that comes after the look at guest_stop ends the WFI. */
		local_irq_disable();
		if (!READ_ONCE(guest_stop))
			asm volatile("wfi");
		local_irq_enable();
	}
	/* What is under way still comes. */
	for (i = 1; i < NR_ALL; i++)
		GUEST_WAIT_FOR(READ_ONCE(received[me][i]) == READ_ONCE(sent[me][i]));
	GUEST_DONE();
}

FIXTURE_SETUP(move)
{
	struct aia *aia = &self->aia;
	int i;

	AIA_SETUP(aia, NR_VCPUS, variant->mode);
	run_on_any_hart();
	vm_install_interrupt_handler(aia->vm, guest_receive);
	aplic_set(aia, APLIC_DOMAINCFG, DOMAINCFG_IE);
	for (i = 0; i < NR_VCPUS * NR_IDS; i++) {
		aplic_set(aia, APLIC_SOURCECFG(1 + i), SM_EDGE1);
		aplic_set(aia, APLIC_TARGET(1 + i), TARGET(i / NR_IDS, ID(BY_WIRE, i % NR_IDS)));
		aplic_set(aia, APLIC_SETIENUM, 1 + i);
	}
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_arch_set_entry_point(aia->vcpu[i], guest_exchange);
}

FIXTURE_TEARDOWN(move)
{
	aia_free(&self->aia);
}

static bool stop;
static pid_t tids[NR_VCPUS];
static u64 no_file;

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct kvm_run *run = vcpu->run;

	WRITE_ONCE(tids[vcpu->id], syscall(SYS_gettid));
	for (;;) {
		vcpu_run(vcpu);
		if (run->exit_reason != KVM_EXIT_FAIL_ENTRY) {
			if (guest_is_done(vcpu))
				return NULL;
			continue;
		}
		/* The hart has no file left for it. Another one may have. */
		TEST_ASSERT_EQ(run->fail_entry.hardware_entry_failure_reason,
			       KVM_EXIT_FAIL_ENTRY_NO_VSFILE);
		__atomic_add_fetch(&no_file, 1, __ATOMIC_RELAXED);
		usleep(500);
	}
}

static void move_to(pid_t tid, int hart)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(hart, &set);
	/* It may have ended, and the hart may be off. */
	sched_setaffinity(tid, sizeof(set), &set);
}

static void *move_vcpus(void *arg)
{
	unsigned int seed = 1;
	int i;

	while (!READ_ONCE(stop)) {
		for (i = 0; i < NR_VCPUS; i++)
			if (READ_ONCE(tids[i]))
				move_to(tids[i], rand_r(&seed) % NR_HARTS);
		usleep(1000);
	}
	return NULL;
}

static void *switch_hart(void *arg)
{
	while (!READ_ONCE(stop)) {
		write_file("/sys/devices/system/cpu/cpu1/online", "0");
		usleep(100000);
		write_file("/sys/devices/system/cpu/cpu1/online", "1");
		usleep(300000);
	}
	return NULL;
}

/* As may_send(), for user space. */
static bool user_may_send(struct kvm_vm *vm, int to, u32 id)
{
	u64 *have = guest_global(vm, &received[to][id]), *want = guest_global(vm, &sent[to][id]);

	if (READ_ONCE(*have) != *want)
		return false;
	/* Both pair with that of guest_receive(): see may_send(). */
	smp_mb();
	WRITE_ONCE(*want, *want + 1);
	/* As above. */
	smp_mb();
	return true;
}

static u64 least_received(struct kvm_vm *vm)
{
	u64 least = -1UL, found;
	int to, id;

	for (to = 0; to < NR_VCPUS; to++)
		for (id = 1; id < NR_ALL; id++) {
			found = READ_ONCE(*guest_global(vm, &received[to][id]));
			if (found < least)
				least = found;
		}
	return least;
}

/* Which messages are under way, for whoever looks for those that were lost. */
static void show_missing(struct aia *aia)
{
	int to, id;

	for (to = 0; to < NR_VCPUS; to++)
		for (id = 1; id < NR_ALL; id++) {
			u64 want = *guest_global(aia->vm, &sent[to][id]);
			u64 have = *guest_global(aia->vm, &received[to][id]);

			if (want != have)
				printf("# vCPU %d: %d sent %lu times, received %lu times\n", to,
				       id, want, have);
		}
}

static void exchange(struct aia *aia, bool with_hotplug)
{
	u64 goal = (getenv("FULL") ? FULL_MESSAGES : MESSAGES) / NR_IDS;
	pthread_t vcpus[NR_VCPUS], mover, switcher;
	u64 least, last = 0;
	int i, to, id, idle = 0;

	stop = false;
	for (i = 0; i < NR_VCPUS; i++)
		vcpus[i] = thread_start(run_vcpu, aia->vcpu[i]);
	mover = thread_start(move_vcpus, NULL);
	if (with_hotplug)
		switcher = thread_start(switch_hart, NULL);

	while ((least = least_received(aia->vm)) < goal) {
		for (to = 0; to < NR_VCPUS; to++) {
			for (i = 0; i < NR_IDS; i++) {
				id = ID(BY_MESSAGE, i);
				if (user_may_send(aia->vm, to, id))
					aia_msi(aia, to, id);
				id = ID(BY_WIRE, i);
				if (user_may_send(aia->vm, to, id)) {
					aia_irq_line(aia, 1 + to * NR_IDS + i, true);
					aia_irq_line(aia, 1 + to * NR_IDS + i, false);
				}
			}
		}
		usleep(500);
		idle = least == last ? idle + 1 : 0;
		last = least;
		if (idle > 20000) {
			show_missing(aia);
			TEST_FAIL("a message was lost, after %lu of each; %lu times no file",
				  least, no_file);
		}
	}
	WRITE_ONCE(stop, true);
	pthread_join(mover, NULL);
	if (with_hotplug)
		pthread_join(switcher, NULL);
	/* Both harts are there, with a file for each vCPU: all can go on to their end. */
	for (i = 0; i < NR_VCPUS; i++)
		move_to(tids[i], i % NR_HARTS);
	stop_guest(aia->vm);
	/* The sleeper sees that only if it wakes up. */
	id = ID(BY_MESSAGE, 0);
	while (!user_may_send(aia->vm, NR_VCPUS - 1, id))
		usleep(1000);
	aia_msi(aia, NR_VCPUS - 1, id);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(vcpus[i], NULL);
	printf("# %lu of each; %lu times no file\n", least_received(aia->vm), no_file);
}

TEST_F(move, exchange)
{
	exchange(&self->aia, false);
}

TEST_F(move, harts_go_and_come)
{
	if (variant->mode == KVM_DEV_RISCV_AIA_MODE_HWACCEL && !is_rust_backend())
		SKIP(return, "the C backend runs out of guest interrupt files as harts go");
	exchange(&self->aia, true);
}

TEST_HARNESS_MAIN
