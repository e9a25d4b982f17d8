// SPDX-License-Identifier: GPL-2.0
/*
 * How often the Rust backend calls SBI nested acceleration, and executes the
 * instructions that it is there to save.
 */
#include "nacl_guest.h"

/*
 * Exits of a short run; a long one has twice as many. They are few, so that on any
 * machine some runs fit between two ticks of the host.
 */
#define EXITS		4
/*
 * Runs, of which the one with the fewest interruptions counts; and how many there
 * may be on a slow machine, where most are interrupted.
 */
#define RUNS		100
#define MOST_RUNS	2000
#define PAGES		64

static struct counts counts_min(struct counts a, struct counts b)
{
	u64 *x = (u64 *)&a, *y = (u64 *)&b;
	int i;

	for (i = 0; i < NR_COUNTS; i++)
		x[i] = min(x[i], y[i]);
	return a;
}

/* WRS.NTO. QEMU does not tell which instruction it was. */
GUEST_LOOP(guest_wrs, asm volatile(".4byte 0x00d00073" : : : "memory"))
GUEST_LOOP(guest_mmio, READ_ONCE(*(u64 *)MMIO_GPA))

/* The cost of EXITS exits: the difference between two runs, one with that many more. */
static struct counts cost(struct kvm_vcpu *vcpu, void *guest)
{
	struct counts few, many;
	int i;

	vcpu_arch_set_entry_point(vcpu, guest);
	run_counted(vcpu, 1);
	few = run_counted(vcpu, EXITS);
	many = run_counted(vcpu, 2 * EXITS);
	for (i = 0; i < RUNS || (many.exits - few.exits != EXITS && i < MOST_RUNS); i++) {
		few = counts_min(few, run_counted(vcpu, EXITS));
		many = counts_min(many, run_counted(vcpu, 2 * EXITS));
	}
	return counts_less(many, few);
}

/*
 * Accesses to CSRs that an exit cannot do without: HSTATUS, there and back. The
 * guest's is in shared memory with sync_csr, and both are with autoswap_csr.
 */
static u64 csrs_of_exit(u64 features)
{
	if (!(features & NACL_SYNC_SRET))
		return 2;
	if (features & NACL_AUTOSWAP_CSR)
		return 0;
	return features & NACL_SYNC_CSR ? 1 : 2;
}

static void check_switches(u64 features, struct counts *c)
{
	bool by_call = features & NACL_SYNC_SRET;

	TEST_ASSERT_EQ(c->exits, EXITS);
	TEST_ASSERT_EQ(c->sync_srets, by_call ? EXITS : 0);
	TEST_ASSERT_EQ(c->srets, by_call ? 0 : EXITS);
	TEST_ASSERT_EQ(c->csrs, csrs_of_exit(features) * EXITS);
	TEST_ASSERT_EQ(c->sync_csrs, 0);
	/* Nothing else of the SBI is called. */
	TEST_ASSERT_EQ(c->calls, c->sync_srets + c->sync_hfences);
}

TEST_F(nacl, exit_in_kernel)
{
	struct counts c = cost(self->vcpu, guest_sbi_call);

	check_switches(self->features, &c);
	TEST_ASSERT_EQ(c.hfences, 0);
	TEST_ASSERT_EQ(c.queued, 0);
	TEST_ASSERT_EQ(c.sync_hfences, 0);
}

/* The guest's registers stay on the hart when user space is asked. */
TEST_F(nacl, exit_to_user)
{
	struct counts c;
	u64 hart;

	virt_pg_map(self->vm, MMIO_GPA, MMIO_GPA);
	c = cost(self->vcpu, guest_mmio);
	TEST_ASSERT_EQ(c.exits, EXITS);
	TEST_ASSERT_EQ(c.hfences, 0);
	/* Nobody is to swap the host's HSTATUS. */
	for (hart = 0; hart < NACL_HARTS; hart++)
		TEST_ASSERT(!nacl_shmem(hart) ||
			    !nacl_word(hart, NACL_AUTOSWAP_FLAGS),
			    "hart %lu is left with autoswap", hart);
	TEST_ASSERT_EQ(c.sync_hfences, 0);
	if (self->features & NACL_SYNC_SRET)
		TEST_ASSERT_EQ(c.sync_srets, EXITS);
	if (self->features & NACL_SYNC_CSR) {
		TEST_ASSERT_EQ(c.csrs, csrs_of_exit(self->features) * EXITS);
		TEST_ASSERT_EQ(c.sync_csrs,
			       self->features & NACL_SYNC_SRET ? 0 : EXITS);
	} else {
		/* The guest's timer is switched off, and on again. */
		TEST_ASSERT_EQ(c.csrs, (csrs_of_exit(self->features) + 2) * EXITS);
		TEST_ASSERT_EQ(c.sync_csrs, 0);
	}
	TEST_ASSERT_EQ(c.calls, c.sync_srets + c.sync_csrs);
}

/*
 * The guest's instruction is fetched with its HSTATUS on the hart, wherever the
 * host's was before. After that the host's is there: its interrupts come in at
 * once, and end by SRET.
 */
TEST_F(nacl, fetch)
{
	struct timespec start = {}, passed;
	struct counts c;

	__TEST_REQUIRE(__vcpu_has_ext(self->vcpu,
				      RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_ZAWRS)),
		       "the hart has no Zawrs");
	c = cost(self->vcpu, guest_wrs);
	TEST_ASSERT_EQ(c.exits, EXITS);
	TEST_ASSERT_EQ(c.csrs, (csrs_of_exit(self->features) + 2) * EXITS);
	TEST_ASSERT_EQ(c.hfences, 0);
	TEST_ASSERT_EQ(c.sync_csrs, 0);
	TEST_ASSERT_EQ(c.calls, c.sync_srets);

	/* Long enough for many ticks of the host. */
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		run_counted(self->vcpu, EXITS);
		passed = timespec_elapsed(start);
	} while (!passed.tv_sec);
}

/* A fence of the guest is done, once: by a call, or by an instruction. */
TEST_F(nacl, fence)
{
	struct counts c = cost(self->vcpu, guest_fence);
	bool queues = self->features & NACL_SYNC_HFENCE;
	bool by_call = self->features & NACL_SYNC_SRET;

	TEST_ASSERT_EQ(c.hfences, queues ? 0 : EXITS);
	TEST_ASSERT_EQ(c.queued, queues ? EXITS : 0);
	TEST_ASSERT_EQ(c.sync_hfences, queues && !by_call ? EXITS : 0);
	check_switches(self->features, &c);
}

/* The same, but for all that is not the fence: it is done, in whatever way. */
TEST_F(nacl, fences_are_done)
{
	struct counts c = cost(self->vcpu, guest_fence);

	TEST_ASSERT_EQ(c.hfences + c.queued, EXITS);
}

static void guest_new_pages(void)
{
	u64 i;

	for (i = 0; i < PAGES; i++)
		WRITE_ONCE(*(u64 *)(MEM_GPA + i * 4096), i);
	GUEST_DONE();
}

/* A page that was not there needs no fence, and no CSR of the guest. */
TEST_F(nacl, page_fault)
{
	/* For a vCPU that was taken off the hart, as a few times it may be. */
	u64 loads = self->features & NACL_SYNC_CSR ? 8 : PAGES / 2;
	struct counts before, c;

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, MEM_GPA,
				    MEM_SLOT, PAGES, 0);
	virt_map(self->vm, MEM_GPA, MEM_GPA, PAGES);
	/* From the hart's memory, so that each page is a fault. */
	vcpu_arch_set_entry_point(self->vcpu, guest_new_pages);
	before = counts_now();
	run_until_done(self->vcpu);
	c = counts_less(counts_now(), before);
	TEST_ASSERT(c.exits >= PAGES, "%lu exits", c.exits);
	/* One for a VMID or hart that is new to the vCPU, and its VS-stage. */
	TEST_ASSERT(c.hfences + c.queued <= 2 * 8, "%lu fences for %lu exits",
		    c.hfences + c.queued, c.exits);
	if (self->features & NACL_SYNC_HFENCE)
		TEST_ASSERT_EQ(c.hfences, 0);
	TEST_ASSERT(c.csrs <= csrs_of_exit(self->features) * c.exits + loads,
		    "%lu accesses to CSRs for %lu exits", c.csrs, c.exits);
}

/* Whatever else is done: each entry is one call, or one SRET, and no other. */
TEST_F(nacl, entries)
{
	struct counts before = counts_now(), c;
	u64 probes = nacl_calls(NACL_PROBE_FEATURE);
	u64 sets = nacl_calls(NACL_SET_SHMEM);
	int i;

	vcpu_arch_set_entry_point(self->vcpu, guest_sbi_call);
	for (i = 0; i < RUNS; i++) {
		pin_self_to_cpu(i & 1);
		run_counted(self->vcpu, EXITS);
		vcpu_set_reg(self->vcpu, RISCV_GENERAL_CSR_REG(sscratch), i);
	}
	pin_self_to_cpu(0);
	c = counts_less(counts_now(), before);
	TEST_ASSERT_EQ(nacl_calls(NACL_PROBE_FEATURE), probes);
	TEST_ASSERT_EQ(nacl_calls(NACL_SET_SHMEM), sets);
	if (self->features & NACL_SYNC_SRET) {
		TEST_ASSERT_EQ(c.sync_srets, c.exits);
		TEST_ASSERT_EQ(c.srets, 0);
		TEST_ASSERT_EQ(c.sync_hfences, 0);
		/*
		 * The call that enters does all that there is to be done. But
		 * a fence by instruction wants HGATP on the hart before it.
		 */
		TEST_ASSERT(c.sync_csrs <= (self->features & NACL_SYNC_HFENCE ? 0 : RUNS),
			    "%lu calls to synchronize CSRs", c.sync_csrs);
	} else {
		TEST_ASSERT_EQ(c.srets, c.exits);
		TEST_ASSERT_EQ(c.sync_srets, 0);
	}
	if (!(self->features & NACL_SYNC_CSR))
		TEST_ASSERT_EQ(c.sync_csrs, 0);
	if (self->features & NACL_SYNC_HFENCE)
		TEST_ASSERT_EQ(c.hfences, 0);
	else
		TEST_ASSERT_EQ(c.queued, 0);
	if (self->features & NACL_SYNC_CSR && self->features & NACL_SYNC_SRET)
		TEST_ASSERT_EQ(c.csrs, csrs_of_exit(self->features) * c.exits);
}

TEST_HARNESS_MAIN
