// SPDX-License-Identifier: GPL-2.0
/*
 * What must survive a switch between host and guest, by each path that leaves the
 * guest.
 *
 * Which break each case notices:
 *
 *  all of them
 *	A GPR that is not saved, not restored or swapped with another. A VS CSR,
 *	SCOUNTEREN, SENVCFG or STIMECMP that is lost. SEPC that is not advanced,
 *	or advanced twice.
 *  counters
 *	The guest reads the counters of the host, or cannot read them.
 *  mmio_bytes
 *	The lowest bits of an address that are lost.
 *  wfi
 *	HSTATUS of the guest not in force: without VTW the WFI does not exit and
 *	wfi_exit_stat does not rise.
 */
#include "world_switch.h"

GUEST_EXIT(exit_load, "lw t0, 0(t1)");
GUEST_EXIT(exit_store, "sd s4, 8(t1)");
GUEST_EXIT(exit_seed, "csrrw t0, 0x015, x0");
GUEST_EXIT(exit_wfi, "wfi");
GUEST_EXIT(exit_wrs, ".word 0x00d00073");
GUEST_EXIT(exit_cycle, "csrr t0, cycle");
GUEST_EXIT(exit_instret, "csrr t0, instret");

static u64 guest_page_gva;

static void guest_mmio(int me, int rounds)
{
	struct area *a = guest_area[me];
	struct csrs csrs;
	u64 seed;

	for (seed = 0; seed < rounds; seed++) {
		fill(a, seed);
		a->load[X_T1] = MMIO_GVA;
		csrs_load(&csrs, seed);

		exit_store[me]();

		csrs_check(&csrs, "MMIO store");
		check(a, "MMIO store");

		exit_load[me]();

		csrs_check(&csrs, "MMIO load");
		/* The device gives back, sign-extended, what was stored. */
		a->load[X_T0] = (int)a->load[X_S4];
		check(a, "MMIO load");
	}
	GUEST_DONE();
}

/* One exit, that changes nothing but t0: to `t0`, if that is given. */
static void guest_one_exit(int me, u64 seed, void (*exit)(void), const u64 *t0,
			   const char *what)
{
	struct area *a = guest_area[me];
	struct csrs csrs;

	fill(a, seed);
	csrs_load(&csrs, seed);

	exit();

	csrs_check(&csrs, what);
	if (t0)
		a->load[X_T0] = *t0;
	check(a, what);
}

static void guest_csr_exit(int me, int rounds)
{
	u64 seed, value;

	for (seed = 0; seed < rounds; seed++) {
		value = pattern(seed, 52);
		guest_one_exit(me, seed, exit_seed[me], &value, "CSR exit");
	}
	GUEST_DONE();
}

static void guest_wfi(int me, int rounds)
{
	struct area *a = guest_area[me];
	struct csrs csrs;
	u64 seed;

	for (seed = 0; seed < rounds; seed++) {
		fill(a, seed);
		csrs_load(&csrs, seed);
		/* Pending and enabled, but not taken: WFI must not wait. */
		csr_write(CSR_SIE, IE_SIE);
		csr_set(CSR_SIP, IE_SIE);

		exit_wfi[me]();

		csr_clear(CSR_SIP, IE_SIE);
		csr_write(CSR_SIE, pattern(seed, 43) & SIE_BITS);
		csrs_check(&csrs, "WFI");
		check(a, "WFI");
	}
	GUEST_DONE();
}

static void guest_wrs(int me, int rounds)
{
	u64 seed;

	for (seed = 0; seed < rounds; seed++)
		guest_one_exit(me, seed, exit_wrs[me], NULL, "WRS");
	GUEST_DONE();
}

static void guest_counters(int me, int rounds)
{
	const u64 zero = 0;
	u64 seed;

	for (seed = 0; seed < rounds; seed++)
		guest_one_exit(me, seed, (seed & 1 ? exit_cycle : exit_instret)[me], &zero,
			       "counter");
	GUEST_DONE();
}

static void guest_mmio_bytes(void)
{
	u64 byte;

	for (byte = 0; byte < 8; byte++) {
		GUEST_ASSERT_EQ(*(volatile u8 *)(MMIO_GVA + byte), byte);
		*(volatile u8 *)(MMIO_GVA + byte) = 0xa0 + byte;
	}
	GUEST_DONE();
}

static void guest_page_fault(int me, int rounds)
{
	struct area *a = guest_area[me];
	struct csrs csrs;
	u64 seed;

	for (seed = 0; seed < rounds; seed++) {
		fill(a, seed);
		a->load[X_T1] = guest_page_gva + seed * getpagesize();
		csrs_load(&csrs, seed);

		exit_store[me]();

		csrs_check(&csrs, "G-stage fault");
		check(a, "G-stage fault");
		GUEST_ASSERT_EQ(*(u64 *)(a->load[X_T1] + 8), a->load[X_S4]);
	}
	GUEST_DONE();
}

/* Runs the first vCPU to the guest's end. */
static void run_alone(FIXTURE_DATA(world_switch) *self, void *guest, int rounds)
{
	start(self->vcpu[0], guest, 0, rounds);
	while (step(self, 0))
		;
}

TEST_F(world_switch, sbi_call)
{
	run_alone(self, guest_sbi_call, 10 * ROUNDS);
	TEST_ASSERT(vcpu_get_stat(self->vcpu[0], exits) >= 10 * ROUNDS,
		    "the SBI calls did not exit");
}

TEST_F(world_switch, sbi_forward)
{
	run_alone(self, guest_sbi_forward, ROUNDS);
	TEST_ASSERT_EQ(self->seed[0], ROUNDS);
}

TEST_F(world_switch, mmio)
{
	run_alone(self, guest_mmio, ROUNDS);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu[0], mmio_exit_user), 2 * ROUNDS);
}

TEST_F(world_switch, csr_exit)
{
	if (!__vcpu_has_isa_ext(self->vcpu[0], KVM_RISCV_ISA_EXT_ZKR))
		SKIP(return, "the hart has no Zkr: KVM leaves only SEED to user space");
	run_alone(self, guest_csr_exit, ROUNDS);
	TEST_ASSERT_EQ(self->seed[0], ROUNDS);
}

TEST_F(world_switch, wfi)
{
	run_alone(self, guest_wfi, ROUNDS);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu[0], wfi_exit_stat), ROUNDS);
}

TEST_F(world_switch, wrs)
{
	if (!__vcpu_has_isa_ext(self->vcpu[0], KVM_RISCV_ISA_EXT_ZAWRS))
		SKIP(return, "the hart has no Zawrs");
	run_alone(self, guest_wrs, ROUNDS);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu[0], wrs_exit_stat), ROUNDS);
}

/* Without a PMU, they read as 0. */
TEST_F(world_switch, counters)
{
	if (!counters_read_zero(self->vcpu[0]))
		SKIP(return, "the C backend reads the counters by the host's PMU alone");
	run_alone(self, guest_counters, ROUNDS);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu[0], csr_exit_kernel), ROUNDS);
}

TEST_F(world_switch, mmio_bytes)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_run *run = vcpu->run;
	int i;

	vcpu_arch_set_entry_point(vcpu, guest_mmio_bytes);
	for (i = 0; i < 16; i++) {
		vcpu_run(vcpu);
		if (run->exit_reason != KVM_EXIT_MMIO)
			guest_is_done(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
		TEST_ASSERT_EQ(run->mmio.phys_addr, MMIO_GPA + i / 2);
		TEST_ASSERT_EQ(run->mmio.len, 1);
		TEST_ASSERT_EQ(run->mmio.is_write, i & 1);
		if (run->mmio.is_write)
			TEST_ASSERT_EQ(run->mmio.data[0], 0xa0 + i / 2);
		else
			run->mmio.data[0] = i / 2;
	}
	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
}

TEST_F(world_switch, page_fault)
{
	guest_page_gva = vm_alloc_pages(self->vm, ROUNDS);
	sync_global_to_guest(self->vm, guest_page_gva);
	run_alone(self, guest_page_fault, ROUNDS);
	TEST_ASSERT(vcpu_get_stat(self->vcpu[0], exits) >= ROUNDS,
		    "the first touch of a page did not exit");
}

TEST_F(world_switch, host_interrupt)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 sp = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.sp));
	u64 exits;

	/* By then, all memory is mapped that a round needs. */
	run_alone(self, guest_spin, 1);
	exits = vcpu_get_stat(vcpu, exits);
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), sp);

	/* A round takes some milliseconds; the host's tick is 1 to 10 ms. */
	run_alone(self, guest_spin, 20);
	/* One exit is that by which the guest says that it is done. */
	exits = vcpu_get_stat(vcpu, exits) - exits - 1;
	TEST_ASSERT(exits >= 3, "%lu interrupts of the host hit the guest", exits);
}

TEST_HARNESS_MAIN
