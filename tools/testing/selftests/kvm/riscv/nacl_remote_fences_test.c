// SPDX-License-Identifier: GPL-2.0
/*
 * Fences that a hart executes because of another hart, because a vCPU has moved,
 * or because vCPUs share a hart. Each is looked for in the log of the hart that
 * has to execute it, ahead of the entry that must not go without it.
 */
#include <sys/mman.h>

#include "ask_guest.h"
#include "nacl_guest.h"

#define SBI_REMOTE_SFENCE_VMA_ASID	2

#define FENCED_GVA	0x12345000UL
#define FENCED_BYTES	(3 * 4096UL)
#define FENCED_ASID	0x5a5UL

#define HUGE		(2UL << 20)
/* An address that no other slot comes near. */
#define HUGE_GPA	0xc0000000UL

/* Fences that a vCPU keeps for later, before it fences everything instead. */
#define QUEUE		16
/* Each of what is tried while both vCPUs run. */
#define ROUNDS		8
#define TURNS		4

static const struct wanted_fence wanted_fences[] = {
	{ NACL_ANY, FENCED_GVA, FENCED_BYTES },
	{ NACL_ANY, 0, RFENCE_ALL },
	{ FENCED_ASID, FENCED_GVA, FENCED_BYTES },
	{ FENCED_ASID, 0, RFENCE_ALL },
};

/* The fence that the guest of vCPU 0 asks vCPU 1 for, and for how many pages one by one. */
static struct wanted_fence guest_wanted;
static u64 guest_fid;
static u64 guest_fences;
/* Whether vCPU 1 runs meanwhile, and has to be seen running after each fence. */
static bool guest_has_company;

static void guest_fence_other(void)
{
	u64 i;

	for (;;) {
		for (i = 0; i < READ_ONCE(guest_fences); i++) {
			struct sbiret ret;

			ret = sbi_ecall(SBI_EXT_RFENCE, guest_fid, 2, 0,
					guest_wanted.address + i * 0x10000,
					guest_wanted.bytes, guest_wanted.asid, 0);
			GUEST_ASSERT_EQ(ret.error, 0);
			if (guest_has_company)
				guest_ask();
		}
		GUEST_SYNC(0);
	}
}

static void guest_obliging(void)
{
	while (!READ_ONCE(guest_stop))
		if (guest_is_asked())
			guest_answer(0);
	GUEST_DONE();
}

/* Adds the second vCPU. Returns the hart that is CPU 1, where it is to run. */
static u64 add_vcpu(FIXTURE_DATA(nacl) *self, struct kvm_vcpu **other, void *guest)
{
	u64 hart;

	*other = vm_vcpu_add(self->vm, 1, guest);
	vcpu_init_vector_tables(*other);
	hart = hart_of_cpu(1);
	pin_self_to_cpu(0);
	TEST_ASSERT(hart != self->hart, "both CPUs are hart %lu", hart);
	return hart;
}

static void run_on(struct kvm_vcpu *vcpu, int cpu)
{
	pin_self_to_cpu(cpu);
	run_counted(vcpu, 1);
	pin_self_to_cpu(0);
}

static void order_fence(struct kvm_vm *vm, struct wanted_fence wanted, u64 count)
{
	guest_wanted = wanted;
	guest_fid = wanted.asid == NACL_ANY ? SBI_REMOTE_SFENCE_VMA : SBI_REMOTE_SFENCE_VMA_ASID;
	guest_fences = count;
	sync_global_to_guest(vm, guest_wanted);
	sync_global_to_guest(vm, guest_fid);
	sync_global_to_guest(vm, guest_fences);
}

static bool is_of_all(struct nacl_fence *fence, enum nacl_fence_kind kind, u64 vmid)
{
	return fence->kind == kind && fence->asid == NACL_ANY &&
	       fence->address == NACL_ANY &&
	       (fence->vmid == vmid || fence->vmid == NACL_ANY);
}

/* Fences of everything of the guest's VMID from number `n` on, before the next entry. */
static u64 count_of_all(u64 hart, enum nacl_fence_kind kind, u64 n, u64 entries)
{
	struct nacl_fence fence;
	u64 found = 0;

	for (; n < nacl_fences(hart); n++) {
		fence = nacl_get_fence(hart, n);
		if (fence.entries == entries &&
		    is_of_all(&fence, kind, nacl_guest_vmid(hart)))
			found++;
	}
	return found;
}

/* The other vCPU is not in the guest: it fences before it enters. */
TEST_F(nacl, fence_of_vcpu_that_waits)
{
	struct kvm_vcpu *other;
	u64 hart = add_vcpu(self, &other, guest_sbi_call);
	u64 i, n, here, entries;

	vcpu_arch_set_entry_point(self->vcpu, guest_fence_other);
	order_fence(self->vm, wanted_fences[0], 0);
	run_on(self->vcpu, 0);
	run_on(other, 1);
	for (i = 0; i < ARRAY_SIZE(wanted_fences); i++) {
		n = nacl_fences(hart);
		here = nacl_fences(self->hart);
		entries = nacl_guest_entries(hart);
		order_fence(self->vm, wanted_fences[i], 1);
		run_on(self->vcpu, 0);
		/* Nobody else has to do anything. */
		TEST_ASSERT_EQ(nacl_fences(hart), n);
		run_on(other, 1);
		n = expect_fences(self->vcpu, hart, n, entries, wanted_fences[i]);
		TEST_ASSERT_EQ(nacl_fences(hart), n);
		TEST_ASSERT_EQ(nacl_fences(self->hart), here);
	}
}

/* It is in the guest: when it runs on after the call, it has fenced. */
TEST_F(nacl, fence_of_vcpu_that_runs)
{
	struct vcpu_thread thread;
	struct kvm_vcpu *other;
	u64 hart = add_vcpu(self, &other, guest_obliging);
	u64 i, round, n, repeated = 0;

	guest_has_company = true;
	sync_global_to_guest(self->vm, guest_has_company);
	vcpu_arch_set_entry_point(self->vcpu, guest_fence_other);
	order_fence(self->vm, wanted_fences[0], 0);
	run_on(self->vcpu, 0);
	pin_self_to_cpu(1);
	vcpu_thread_start(&thread, other);
	pin_self_to_cpu(0);
	/* Then it is there, with all fences that are due when it comes. */
	ask(self->vm);
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; i < ARRAY_SIZE(wanted_fences); i++) {
			n = nacl_fences(hart);
			order_fence(self->vm, wanted_fences[i], 1);
			run_on(self->vcpu, 0);
			n = expect_fences(self->vcpu, hart, n, NACL_ANY, wanted_fences[i]);
			/*
			 * On a busy host, it may be outside of the guest when it is asked,
			 * and enter right then. To be sure, it is asked once more.
			 */
			if (n == nacl_fences(hart))
				continue;
			n = expect_fences(self->vcpu, hart, n, NACL_ANY, wanted_fences[i]);
			TEST_ASSERT_EQ(nacl_fences(hart), n);
			repeated++;
		}
	TEST_ASSERT(repeated < ROUNDS, "%lu fences were done twice", repeated);
	stop_guest(self->vm);
	vcpu_thread_join(&thread);
}

/* As many fences as can wait are done one by one, in any order. */
TEST_F(nacl, queue_of_fences_overflows)
{
	const struct wanted_fence page = { NACL_ANY, FENCED_GVA, 4096 };
	struct kvm_vcpu *other;
	u64 hart = add_vcpu(self, &other, guest_sbi_call);
	struct nacl_fence fence;
	u64 n, i, entries, seen = 0;

	vcpu_arch_set_entry_point(self->vcpu, guest_fence_other);
	order_fence(self->vm, page, 0);
	run_on(self->vcpu, 0);
	run_on(other, 1);

	n = nacl_fences(hart);
	order_fence(self->vm, page, QUEUE);
	run_on(self->vcpu, 0);
	run_on(other, 1);
	TEST_ASSERT_EQ(nacl_fences(hart), n + QUEUE);
	for (i = 0; i < QUEUE; i++) {
		fence = nacl_get_fence(hart, n + i);
		TEST_ASSERT_EQ(fence.kind, NACL_VVMA);
		TEST_ASSERT_EQ((fence.address - page.address) % 0x10000, 0);
		seen |= 1UL << (fence.address - page.address) / 0x10000;
	}
	TEST_ASSERT_EQ(seen, (1UL << QUEUE) - 1);

	n = nacl_fences(hart);
	entries = nacl_guest_entries(hart);
	order_fence(self->vm, page, QUEUE + 1);
	run_on(self->vcpu, 0);
	run_on(other, 1);
	TEST_ASSERT_EQ(count_of_all(hart, NACL_GVMA, n, entries), 1);
	TEST_ASSERT_EQ(count_of_all(hart, NACL_VVMA, n, entries), 1);
	TEST_ASSERT_EQ(nacl_fences(hart), n + 2);
}

/* What a vCPU has fenced elsewhere, it has not fenced here. */
TEST_F(nacl, vcpu_comes_back)
{
	u64 harts[2], n, entries;
	int turn, cpu;

	for (cpu = 0; cpu < 2; cpu++)
		harts[cpu] = hart_of_cpu(cpu);
	vcpu_arch_set_entry_point(self->vcpu, guest_sbi_call);
	for (turn = 0; turn < 2 * TURNS; turn++) {
		cpu = turn % 2;
		n = nacl_fences(harts[cpu]);
		entries = nacl_guest_entries(harts[cpu]);
		run_on(self->vcpu, cpu);
		TEST_ASSERT_EQ(count_of_all(harts[cpu], NACL_GVMA, n, entries), 1);
		TEST_ASSERT_EQ(count_of_all(harts[cpu], NACL_VVMA, n, entries), 1);
		/* When it stays, nothing is due. */
		n = nacl_fences(harts[cpu]);
		run_on(self->vcpu, cpu);
		TEST_ASSERT_EQ(nacl_fences(harts[cpu]), n);
	}
}

/* Two vCPUs may use one ASID for different address spaces. */
TEST_F(nacl, vcpus_by_turns_on_one_hart)
{
	struct kvm_vcpu *other, *vcpus[2];
	u64 turn, n, entries;

	add_vcpu(self, &other, guest_sbi_call);
	vcpu_arch_set_entry_point(self->vcpu, guest_sbi_call);
	vcpus[0] = self->vcpu;
	vcpus[1] = other;
	run_on(vcpus[0], 0);
	run_on(vcpus[1], 0);
	for (turn = 0; turn < 2 * TURNS; turn++) {
		n = nacl_fences(self->hart);
		entries = nacl_guest_entries(self->hart);
		run_on(vcpus[turn % 2], 0);
		TEST_ASSERT_EQ(count_of_all(self->hart, NACL_VVMA, n, entries), 1);
		/* They share the G-stage. */
		TEST_ASSERT_EQ(nacl_fences(self->hart), n + 1);
	}
}

GUEST_LOOP(guest_write_huge, WRITE_ONCE(*(u64 *)HUGE_GPA, i))
GUEST_LOOP(guest_write_small, WRITE_ONCE(*(u64 *)(HUGE_GPA + 4096), i))

/*
 * A leaf in place of a table of the second stage: a hart may have cached where
 * that table was, for any address, so that each forgets all of the VMID.
 */
TEST_F(nacl, leaf_in_place_of_a_table)
{
	struct kvm_vcpu *other;
	u64 hart, n, here, entries, entries_here;
	void *memory;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS_THP, HUGE_GPA,
				    MEM_SLOT, HUGE / 4096, 0);
	virt_map(self->vm, HUGE_GPA, HUGE_GPA, HUGE / 4096);
	memory = addr_gpa2hva(self->vm, HUGE_GPA);
	madvise(memory, HUGE, MADV_NOHUGEPAGE);
	hart = add_vcpu(self, &other, guest_sbi_call);
	vcpu_arch_set_entry_point(self->vcpu, guest_write_small);
	run_on(self->vcpu, 0);

	madvise(memory, HUGE, MADV_DONTNEED);
	madvise(memory, HUGE, MADV_HUGEPAGE);
	memset(memory, 0, HUGE);
	make_huge(memory, HUGE);
	/* Both have fenced what the host has taken away. */
	vcpu_arch_set_entry_point(self->vcpu, guest_sbi_call);
	run_on(self->vcpu, 0);
	run_on(other, 1);

	here = nacl_fences(self->hart);
	n = nacl_fences(hart);
	entries = nacl_guest_entries(hart);
	vcpu_arch_set_entry_point(self->vcpu, guest_write_huge);
	run_on(self->vcpu, 0);
	/* One entry led to the fault. */
	entries_here = nacl_get_fence(self->hart, here).entries;
	TEST_ASSERT_EQ(count_of_all(self->hart, NACL_GVMA, here, entries_here), 1);
	run_on(other, 1);
	TEST_ASSERT_EQ(count_of_all(hart, NACL_GVMA, n, entries), 1);
}

TEST_HARNESS_MAIN
