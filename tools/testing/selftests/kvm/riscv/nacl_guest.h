/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that exits, and what the Rust backend asks of SBI nested acceleration
 * for it, by the counters of tools/testing/nacl-sbi, the firmware below the host.
 */
#ifndef SELFTEST_KVM_RISCV_NACL_GUEST_H
#define SELFTEST_KVM_RISCV_NACL_GUEST_H

#include "nacl_sbi.h"
#include "run_guest.h"

#define MMIO_GPA	0x70000000UL
#define MEM_GPA		0x90000000UL
#define MEM_SLOT	7
#define RFENCE_ALL	-1UL

#define SBI_EXT_RFENCE		0x52464e43
#define SBI_REMOTE_SFENCE_VMA	1

/* What is counted of a run, and so of an exit. */
struct counts {
	/* Of the world switch: entries by SRET, by NACL, and exits. */
	u64 srets;
	u64 sync_srets;
	u64 exits;
	u64 sync_csrs;
	u64 sync_hfences;
	/* Calls of all extensions, these included. */
	u64 calls;
	/* Instructions that NACL is there to save. */
	u64 csrs;
	u64 hfences;
	/* Fences that were handed over. */
	u64 queued;
};

static inline struct counts counts_now(void)
{
	struct counts now = {
		.srets = nacl_event(NACL_SRET),
		.sync_srets = nacl_calls(NACL_DO_SYNC_SRET),
		.exits = nacl_event(NACL_GUEST_EXIT),
		.sync_csrs = nacl_calls(NACL_DO_SYNC_CSR),
		.sync_hfences = nacl_calls(NACL_DO_SYNC_HFENCE),
		.calls = nacl_event(NACL_ALL_CALLS),
		.csrs = nacl_all_csr_accesses(),
		.hfences = nacl_hfences(),
		.queued = nacl_event(NACL_HFENCE_SYNCHRONIZED),
	};

	return now;
}

#define NR_COUNTS	(sizeof(struct counts) / sizeof(u64))

static inline struct counts counts_less(struct counts a, struct counts b)
{
	u64 *x = (u64 *)&a, *y = (u64 *)&b;
	int i;

	for (i = 0; i < NR_COUNTS; i++)
		x[i] -= y[i];
	return a;
}

FIXTURE(nacl)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 features;
	/* Of the hart that the test runs on. */
	u64 hart;
	u64 strays;
};

/* HFENCE.VVMA of another guest, and changes of hgatp while a guest's vsatp is there. */
static inline u64 strays(void)
{
	return nacl_event(NACL_VVMA_OF_ANOTHER_VMID) +
	       nacl_event(NACL_VVMA_AHEAD_OF_HGATP) +
	       nacl_event(NACL_CHANGE_UNDER_VSATP);
}

/*
 * How a hart executes fences of VS-stage translations: one for each page by HINVAL
 * where the hart has Svinval.
 */
static inline enum nacl_fence_how how_it_fences(struct kvm_vcpu *vcpu, u64 address)
{
	if (nacl_features() & NACL_SYNC_HFENCE)
		return NACL_BY_QUEUE;
	if (address != NACL_ANY && __vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_SVINVAL))
		return NACL_BY_HINVAL;
	return NACL_BY_INSTRUCTION;
}

/* VS-stage fences that a guest has asked for; for all addresses, `bytes` is RFENCE_ALL. */
struct wanted_fence {
	u64 asid, address, bytes;
};

/*
 * The fences of `hart` from number `n` on are those that were asked for: in one
 * entry of the queue, or by an instruction for each page. Unless `entries` is
 * NACL_ANY, they have come before the guest was entered again. `vcpu` is one of the
 * VM that does not run. Returns the number of the next fence.
 */
static inline u64 expect_fences(struct kvm_vcpu *vcpu, u64 hart, u64 n, u64 entries,
				struct wanted_fence wanted)
{
	bool queues = nacl_features() & NACL_SYNC_HFENCE;
	bool all = wanted.bytes == RFENCE_ALL;
	u64 address = all ? NACL_ANY : wanted.address;
	u64 end = wanted.address + wanted.bytes;
	struct nacl_fence fence;

	do {
		TEST_ASSERT(n < nacl_fences(hart), "hart %lu has not fenced 0x%lx", hart,
			    address);
		fence = nacl_get_fence(hart, n++);
		TEST_ASSERT_EQ(fence.kind, NACL_VVMA);
		TEST_ASSERT_EQ(fence.how, how_it_fences(vcpu, address));
		TEST_ASSERT_EQ(fence.vmid, nacl_guest_vmid(hart));
		TEST_ASSERT_EQ(fence.asid, wanted.asid);
		TEST_ASSERT_EQ(fence.address, address);
		if (entries != NACL_ANY)
			TEST_ASSERT_EQ(fence.entries, entries);
		if (all)
			break;
		TEST_ASSERT_EQ(fence.bytes, queues ? wanted.bytes : 4096);
		address += fence.bytes;
	} while (address != end);
	return n;
}

/* The hart that is a CPU of the host. The caller stays on that CPU. */
static inline u64 hart_of_cpu(int cpu)
{
	pin_self_to_cpu(cpu);
	return nacl_this_hart();
}

static inline void disarm(void)
{
	u64 misuse;

	for (misuse = 0; misuse < NACL_NR_MISUSES; misuse++) {
		nacl_misuse(misuse, 0);
		nacl_misuse_skip(misuse, 0);
	}
}

FIXTURE_SETUP(nacl)
{
	if (!nacl_sbi_is_there())
		SKIP(return, "the firmware is not nacl-sbi");
	/* A test that has failed has not come to its end. */
	disarm();
	self->features = nacl_features();
	self->vm = vm_with_vcpus(1, NULL, &self->vcpu);
	pin_self_to_cpu(0);
	self->hart = nacl_this_hart();
	self->strays = strays();
}

FIXTURE_TEARDOWN(nacl)
{
	if (!nacl_sbi_is_there())
		return;
	disarm();
	kvm_vm_free(self->vm);
	TEST_ASSERT_EQ(strays(), self->strays);
}

static u64 guest_exits;

#define GUEST_LOOP(name, exit)						\
static inline void name(void)						\
{									\
	u64 i;								\
									\
	for (;;) {							\
		for (i = 0; i < READ_ONCE(guest_exits); i++)		\
			exit;						\
		GUEST_SYNC(0);						\
	}								\
}

/* The kernel answers this alone. */
GUEST_LOOP(guest_sbi_call,
	   sbi_ecall(SBI_EXT_BASE, SBI_EXT_BASE_GET_SPEC_VERSION,
		     0, 0, 0, 0, 0, 0))
GUEST_LOOP(guest_fence,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA,
		     1, 0, 0, RFENCE_ALL, 0, 0))

static inline struct counts run_counted(struct kvm_vcpu *vcpu, u64 exits)
{
	struct counts before;

	guest_exits = exits;
	sync_global_to_guest(vcpu->vm, guest_exits);
	before = counts_now();
	do
		vcpu_run(vcpu);
	while (vcpu->run->exit_reason == KVM_EXIT_MMIO &&
	       vcpu->run->mmio.phys_addr == MMIO_GPA);
	TEST_ASSERT(!guest_is_done(vcpu), "the guest has come to an end");
	return counts_less(counts_now(), before);
}

#endif /* SELFTEST_KVM_RISCV_NACL_GUEST_H */
