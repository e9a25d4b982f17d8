// SPDX-License-Identifier: GPL-2.0
/*
 * What must survive a switch between host and guest.
 *
 * The guest loads a pattern into every GPR and every CSR that it owns, exits,
 * and finds each unchanged, save for what the exit itself returns. One page of
 * the guest is mapped at virtual address 0, so that all 31 registers are loaded
 * and stored relative to x0 and none is spared as a pointer.
 *
 * Which break each case notices:
 *
 *  sbi_call, sbi_forward, mmio, csr_exit, wfi, page_fault, host_interrupt
 *	A GPR that is not saved, not restored or swapped with another, by each
 *	path that leaves the guest. A VS CSR, SCOUNTEREN, SENVCFG or STIMECMP
 *	that is lost. SEPC that is not advanced, or advanced twice.
 *  wfi
 *	HSTATUS of the guest not in force: without VTW the WFI does not exit and
 *	wfi_exit_stat does not rise.
 *  one_reg
 *	A register that user space sets and the guest does not see, and the
 *	reverse.
 *  privilege
 *	SSTATUS.SPP or HSTATUS not saved on exit or not restored on entry: the
 *	`mode` register is wrong, or the guest resumes in the wrong mode.
 *  two_vcpus, two_vms
 *	State of one vCPU that leaks into the next on the same hart; HSTATUS or
 *	a VS CSR that is left because "it is the same vCPU".
 *  host_counters
 *	The guest's SCOUNTEREN left in the hart: the host's own rdtime traps.
 *  host_survives
 *	SSCRATCH, TP, STVEC or SSTATUS of the host left as the guest had them:
 *	the first interrupt after an exit then brings the host down. HSTATUS not
 *	swapped back: the next return to user space enters a guest.
 *  no_vector
 *	The vector unit left on for a guest that has none.
 *  float
 *	Floating-point registers of host or guest lost or mixed, also when a
 *	third owner of them runs in between.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

/* An extension that KVM hands to user space, apart from that of ucalls. */
#define FORWARD_EXT		SBI_EXT_EXPERIMENTAL_START

#define SBI_KVM_SPEC_MAJOR	3

#define MMIO_GPA		0x10000000UL
#define MMIO_GVA		0x40000000UL

#define CSR_SEED		0x015

#define ROUNDS			200

/* Registers by number, as in the names of the ABI. */
enum {
	X_T0 = 5, X_T1 = 6, X_A0 = 10, X_A1 = 11, X_A6 = 16,
	X_A7 = 17, X_S4 = 20, X_T6 = 31, NR_X = 32,
};

/* Two of these lie in the page at virtual address 0, one for each vCPU. */
#define AREA_BYTES		1024
#define AREA_SAVED		(8 * 32)
#define AREA_FRAME		(8 * 64)

struct area {
	u64 load[NR_X];		/* what the guest loads before it exits */
	u64 saved[NR_X];	/* what it finds afterwards */
	u64 frame[16];		/* the registers of the C code around it */
};
static_assert(offsetof(struct area, saved) == AREA_SAVED);
static_assert(offsetof(struct area, frame) == AREA_FRAME);
static_assert(sizeof(struct area) <= AREA_BYTES);

#define STRING(x...)		#x
#define EXPAND(x...)		STRING(x)

#define ALL_X(op, base)							\
	EXPAND(.irp n,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,\
	       21,22,23,24,25,26,27,28,29,30,31) "\n"			\
	EXPAND(op x\\n, base + 8 * \\n (x0)) "\n"			\
	".endr\n"

/* ra, sp, gp, tp, s0, s1, s2..s11 */
#define FRAME_X(op, base)						\
	EXPAND(op x1, base + AREA_FRAME + 0 (x0)) "\n"			\
	EXPAND(op x2, base + AREA_FRAME + 8 (x0)) "\n"			\
	EXPAND(op x3, base + AREA_FRAME + 16 (x0)) "\n"			\
	EXPAND(op x4, base + AREA_FRAME + 24 (x0)) "\n"			\
	EXPAND(op x8, base + AREA_FRAME + 32 (x0)) "\n"			\
	EXPAND(op x9, base + AREA_FRAME + 40 (x0)) "\n"			\
	EXPAND(.irp n,18,19,20,21,22,23,24,25,26,27) "\n"		\
	EXPAND(op x\\n, base + AREA_FRAME + 48 + 8 * (\\n - 18) (x0)) "\n"\
	".endr\n"

#define GUEST_EXIT_ONE(name, base, insn)				\
	asm(".pushsection .text\n"					\
	    ".balign 4\n"						\
	    #name ":\n"							\
	    FRAME_X(sd, base)						\
	    ALL_X(ld, base)						\
	    insn "\n"							\
	    ALL_X(sd, base + AREA_SAVED)				\
	    FRAME_X(ld, base)						\
	    "ret\n"							\
	    ".popsection\n");						\
	void name(void)

/* name[i]() does the exit with the registers of area i. */
#define GUEST_EXIT(name, insn)						\
	GUEST_EXIT_ONE(name##_0, 0, insn);				\
	GUEST_EXIT_ONE(name##_1, AREA_BYTES, insn);			\
	static void (*const name[])(void) = { name##_0, name##_1 }

GUEST_EXIT(exit_ecall, "ecall");
GUEST_EXIT(exit_load, "lw t0, 0(t1)");
GUEST_EXIT(exit_store, "sd s4, 8(t1)");
GUEST_EXIT(exit_seed, "csrrw t0, 0x015, x0");
GUEST_EXIT(exit_wfi, "wfi");
GUEST_EXIT(exit_spin, "1: addi t6, t6, -1\n bnez t6, 1b");

/*
 * Where the guest traps to when it should not: without a stack, since SP may
 * hold a pattern. Two of them, so that STVEC has two values to keep.
 */
asm(".pushsection .text\n"
    ".balign 4\n"
    "guest_trap_even:\n"
    "	j	1f\n"
    ".balign 4\n"
    "guest_trap_odd:\n"
    "1:	li	a7, " __stringify(KVM_RISCV_SELFTESTS_SBI_EXT) "\n"
    "	li	a6, " __stringify(KVM_RISCV_SELFTESTS_SBI_UNEXP) "\n"
    "	ecall\n"
    "	j	1b\n"
    ".popsection\n");
extern char guest_trap_even[], guest_trap_odd[];

/*
 * Loads f0 to f31 and FCSR, does an ECALL, stores them again. In the host that
 * is a system call, in the guest an SBI call: both take a7, a0, a1 and a2.
 *
 * FCSR is last because QEMU (10.0) takes a write of it by a guest for a change
 * of VSSTATUS.FS alone. An exit right after it, with no other floating-point
 * register written, would not show the hypervisor that there is state to save.
 */
asm(".pushsection .text\n"
    ".balign 4\n"
    "float_ecall:\n"
    "	addi	sp, sp, -16\n"
    "	sd	s1, 0(sp)\n"
    "	mv	s1, a0\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
    "25,26,27,28,29,30,31\n"
    "	fld	f\\n, 8 * \\n(a0)\n"
    ".endr\n"
    "	ld	t0, 32 * 8(a0)\n"
    "	fscsr	t0\n"
    "	mv	a7, a1\n"
    "	li	a6, 0\n"
    "	mv	a0, a2\n"
    "	mv	a1, a3\n"
    "	li	a2, 0\n"
    "	ecall\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
    "25,26,27,28,29,30,31\n"
    "	fsd	f\\n, 33 * 8 + 8 * \\n(s1)\n"
    ".endr\n"
    "	frcsr	t0\n"
    "	sd	t0, (33 + 32) * 8(s1)\n"
    "	ld	s1, 0(sp)\n"
    "	addi	sp, sp, 16\n"
    "	ret\n"
    ".popsection\n");

#define NR_F	33	/* FCSR is the last */

struct floats {
	u64 load[NR_F];
	u64 saved[NR_F];
};

long float_ecall(struct floats *f, long nr, long arg0, long arg1);

static u64 pattern(u64 seed, int i)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL ^ i * 0x0101010101010101ULL;
}

/* As the guest's C code sees the page that its assembly has at address 0. */
static struct area *guest_area[2];
static bool guest_has_sstc;
static u64 guest_page_gva;

static void fill(struct area *a, u64 seed)
{
	int i;

	for (i = 1; i < NR_X; i++)
		WRITE_ONCE(a->load[i], pattern(seed, i));
}

static void check(struct area *a, const char *what)
{
	int i;

	for (i = 1; i < NR_X; i++)
		__GUEST_ASSERT(READ_ONCE(a->saved[i]) == READ_ONCE(a->load[i]),
			       "%s: x%d was 0x%lx and is 0x%lx", what, i,
			       READ_ONCE(a->load[i]), READ_ONCE(a->saved[i]));
}

/* The CSRs of the guest, each with a value that differs from seed to seed. */
#define SR_MXR		0x00080000UL
#define SSTATUS_BITS	(SR_SUM | SR_MXR | SR_SPIE | SR_SPP)
#define SIE_BITS	(IE_SIE | IE_TIE | IE_EIE)

#define FOR_EACH_CSR(do, seed)						\
	do(CSR_SSCRATCH, pattern(seed, 40), -1UL)			\
	do(CSR_SEPC, pattern(seed, 41) >> 32 << 2, -1UL)		\
	do(CSR_STVAL, pattern(seed, 42) >> 32, -1UL)			\
	do(CSR_SCAUSE, 1 + (seed) % 7, -1UL)				\
	do(CSR_STVEC, (u64)((seed) & 1 ? guest_trap_odd : guest_trap_even), \
	   -1UL)							\
	do(CSR_SCOUNTEREN, (seed) % 8, 7UL)				\
	do(CSR_SENVCFG, (seed) & 1, -1UL)				\
	do(CSR_SIE, pattern(seed, 43) & SIE_BITS, SIE_BITS)		\
	do(CSR_SSTATUS, pattern(seed, 44) & SSTATUS_BITS, SSTATUS_BITS | SR_SIE)

struct csrs {
	u64 value[9];
	u64 satp;
	u64 stimecmp;
};

/* A CSR may refuse bits of a pattern: what counts is what it took. */
static void csrs_load(struct csrs *c, u64 seed)
{
	int i = 0;

#define LOAD(csr, pattern, mask)					\
	csr_write(csr, (csr) == CSR_SSTATUS ?				\
		       (csr_read(csr) & ~SSTATUS_BITS) | (pattern) : (pattern)); \
	c->value[i++] = csr_read(csr) & (mask);
	FOR_EACH_CSR(LOAD, seed)
#undef LOAD
	c->satp = csr_read(CSR_SATP);
	if (guest_has_sstc) {
		csr_write(CSR_STIMECMP, pattern(seed, 45) | BIT(63));
		c->stimecmp = csr_read(CSR_STIMECMP);
	}
}

static void csrs_check(struct csrs *c, const char *what)
{
	u64 now[ARRAY_SIZE(c->value)];
	const char *name[ARRAY_SIZE(c->value)];
	u64 satp = csr_read(CSR_SATP);
	int i = 0;

#define CHECK(csr, pattern, mask)					\
	name[i] = #csr;							\
	now[i++] = csr_read(csr) & (mask);
	FOR_EACH_CSR(CHECK, 0)
#undef CHECK
	for (i = 0; i < ARRAY_SIZE(now); i++)
		__GUEST_ASSERT(now[i] == c->value[i], "%s: %s was 0x%lx and is 0x%lx",
			       what, name[i], c->value[i], now[i]);
	__GUEST_ASSERT(satp == c->satp, "%s: SATP was 0x%lx and is 0x%lx", what,
		       c->satp, satp);
	if (guest_has_sstc)
		__GUEST_ASSERT(csr_read(CSR_STIMECMP) == c->stimecmp,
			       "%s: STIMECMP was 0x%lx and is 0x%lx", what,
			       c->stimecmp, csr_read(CSR_STIMECMP));
}

static void guest_sbi_call(int me, int rounds)
{
	struct area *a = guest_area[me];
	struct csrs csrs;
	u64 seed;

	for (seed = 0; seed < rounds; seed++) {
		fill(a, seed);
		a->load[X_A7] = SBI_EXT_BASE;
		a->load[X_A6] = SBI_EXT_BASE_GET_SPEC_VERSION;
		csrs_load(&csrs, seed);

		exit_ecall[me]();

		csrs_check(&csrs, "SBI call");
		a->load[X_A0] = 0;
		a->load[X_A1] = SBI_KVM_SPEC_MAJOR << SBI_SPEC_VERSION_MAJOR_SHIFT;
		check(a, "SBI call");
	}
	GUEST_DONE();
}

static void guest_sbi_forward(int me, int rounds)
{
	struct area *a = guest_area[me];
	struct csrs csrs;
	u64 seed;

	for (seed = me * 1000; seed < me * 1000 + rounds; seed++) {
		fill(a, seed);
		a->load[X_A7] = FORWARD_EXT;
		csrs_load(&csrs, seed);

		exit_ecall[me]();

		csrs_check(&csrs, "SBI call to user space");
		a->load[X_A0] = pattern(seed, 50);
		a->load[X_A1] = pattern(seed, 51);
		check(a, "SBI call to user space");
	}
	GUEST_DONE();
}

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

static void guest_csr_exit(int me, int rounds)
{
	struct area *a = guest_area[me];
	struct csrs csrs;
	u64 seed;

	for (seed = 0; seed < rounds; seed++) {
		fill(a, seed);
		csrs_load(&csrs, seed);

		exit_seed[me]();

		csrs_check(&csrs, "CSR exit");
		a->load[X_T0] = pattern(seed, 52);
		check(a, "CSR exit");
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

static void guest_spin(int me, int rounds)
{
	struct area *a = guest_area[me];
	struct csrs csrs;
	u64 seed;

	for (seed = 0; seed < rounds; seed++) {
		fill(a, seed);
		a->load[X_T6] = 2000000;
		csrs_load(&csrs, seed);

		exit_spin[me]();

		csrs_check(&csrs, "host interrupt");
		a->load[X_T6] = 0;
		check(a, "host interrupt");
	}
	GUEST_DONE();
}

FIXTURE(world_switch)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[2];
	struct area *area[2];
	u64 seed[2];		/* of the exit that user space sees next */
	u64 mmio;		/* what the device holds */
};

static struct kvm_vm *create_vm(struct kvm_vcpu **vcpu, struct area **area)
{
	struct kvm_vm *vm = vm_create_with_vcpus(2, guest_sbi_call, vcpu);
	gva_t page = vm_alloc_page(vm);
	int i;

	virt_pg_map(vm, 0, addr_gva2gpa(vm, page));
	virt_pg_map(vm, MMIO_GVA, MMIO_GPA);

	for (i = 0; i < 2; i++) {
		area[i] = addr_gva2hva(vm, page) + i * AREA_BYTES;
		guest_area[i] = (void *)page + i * AREA_BYTES;
	}
	sync_global_to_guest(vm, guest_area);

	guest_has_sstc = __vcpu_has_isa_ext(vcpu[0], KVM_RISCV_ISA_EXT_SSTC);
	sync_global_to_guest(vm, guest_has_sstc);
	return vm;
}

FIXTURE_SETUP(world_switch)
{
	self->vm = create_vm(self->vcpu, self->area);
	self->seed[0] = 0;
	self->seed[1] = 1000;
	self->mmio = 0;
}

FIXTURE_TEARDOWN(world_switch)
{
	kvm_vm_free(self->vm);
}

static void start(struct kvm_vcpu *vcpu, void *guest, int me, int rounds)
{
	vcpu_arch_set_entry_point(vcpu, guest);
	vcpu_args_set(vcpu, 2, me, rounds);
}

/* At an exit to user space, each GPR has the guest's value. */
static void check_core_regs(struct kvm_vcpu *vcpu, struct area *a)
{
	int i;

	for (i = 1; i < NR_X; i++) {
		u64 value = vcpu_get_reg(vcpu, core_reg(i));

		TEST_ASSERT(value == a->load[i],
			    "x%d is 0x%lx in the guest, 0x%lx by ONE_REG", i,
			    a->load[i], value);
	}
}

/* Runs vCPU i to its next exit; false once the guest is done. */
static bool step(FIXTURE_DATA(world_switch) *self, int i)
{
	struct kvm_vcpu *vcpu = self->vcpu[i];
	struct kvm_run *run = vcpu->run;

	vcpu_run(vcpu);

	switch (run->exit_reason) {
	case KVM_EXIT_RISCV_SBI:
		if (run->riscv_sbi.extension_id != FORWARD_EXT)
			break;
		check_core_regs(vcpu, self->area[i]);
		run->riscv_sbi.ret[0] = pattern(self->seed[i], 50);
		run->riscv_sbi.ret[1] = pattern(self->seed[i], 51);
		self->seed[i]++;
		return true;
	case KVM_EXIT_MMIO:
		check_core_regs(vcpu, self->area[i]);
		if (run->mmio.is_write) {
			TEST_ASSERT_EQ(run->mmio.phys_addr, MMIO_GPA + 8);
			TEST_ASSERT_EQ(run->mmio.len, 8);
			memcpy(&self->mmio, run->mmio.data, 8);
			TEST_ASSERT_EQ(self->mmio, self->area[i]->load[X_S4]);
		} else {
			TEST_ASSERT_EQ(run->mmio.phys_addr, MMIO_GPA);
			TEST_ASSERT_EQ(run->mmio.len, 4);
			memcpy(run->mmio.data, &self->mmio, 4);
		}
		return true;
	case KVM_EXIT_RISCV_CSR:
		check_core_regs(vcpu, self->area[i]);
		TEST_ASSERT_EQ(run->riscv_csr.csr_num, CSR_SEED);
		run->riscv_csr.ret_value = pattern(self->seed[i]++, 52);
		return true;
	}
	return !guest_is_done(vcpu);
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
		SKIP(return, "the hart has no Zkr, and SEED is the only CSR that KVM leaves to user space");
	run_alone(self, guest_csr_exit, ROUNDS);
	TEST_ASSERT_EQ(self->seed[0], ROUNDS);
}

TEST_F(world_switch, wfi)
{
	run_alone(self, guest_wfi, ROUNDS);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu[0], wfi_exit_stat), ROUNDS);
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
	/* A round takes some milliseconds; the host's tick is 1 to 10 ms. */
	run_alone(self, guest_spin, 20);
	TEST_ASSERT(vcpu_get_stat(self->vcpu[0], exits) > 3,
		    "no interrupt of the host hit the guest");
}

/* Two vCPUs of one VM, by turns, from one thread. */
TEST_F(world_switch, two_vcpus)
{
	bool more[2] = { true, true };
	int i;

	for (i = 0; i < 2; i++)
		start(self->vcpu[i], guest_sbi_forward, i, ROUNDS);
	while (more[0] || more[1])
		for (i = 0; i < 2; i++)
			if (more[i])
				more[i] = step(self, i);
	TEST_ASSERT_EQ(self->seed[0], ROUNDS);
	TEST_ASSERT_EQ(self->seed[1], 1000 + ROUNDS);
}

static void *run_to_the_end(void *vcpu)
{
	pin_self_to_cpu(0);
	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
	return NULL;
}

/* vCPUs of two VMs, preempted by each other on one hart. */
TEST_F(world_switch, two_vms)
{
	struct kvm_vcpu *vcpu[2];
	struct area *area[2];
	struct kvm_vm *vm = create_vm(vcpu, area);
	pthread_t thread[2];
	int i;

	start(self->vcpu[0], guest_spin, 0, 20);
	start(vcpu[1], guest_spin, 1, 20);
	thread[0] = thread_start(run_to_the_end, self->vcpu[0]);
	thread[1] = thread_start(run_to_the_end, vcpu[1]);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	kvm_vm_free(vm);
}

/* User space changes every register, also those that the guest loaded last. */
TEST_F(world_switch, one_reg)
{
	struct area *a = self->area[0];
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 pc, sscratch;
	int i, round;

	start(vcpu, guest_sbi_forward, 0, ROUNDS);
	for (round = 0; round < ROUNDS; round++) {
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
		if (vcpu->run->riscv_sbi.extension_id != FORWARD_EXT)
			guest_is_done(vcpu);
		check_core_regs(vcpu, a);

		pc = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc));
		vcpu_run_complete_io(vcpu);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), pc + 4);

		sscratch = vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sscratch));
		TEST_ASSERT_EQ(sscratch, pattern(round, 40));

		for (i = 1; i < NR_X; i++) {
			a->load[i] = pattern(~round, i);
			vcpu_set_reg(vcpu, core_reg(i), a->load[i]);
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, core_reg(i)), a->load[i]);
		}
		/* What the guest expects of its own call. */
		vcpu_set_reg(vcpu, core_reg(X_A0), pattern(round, 50));
		vcpu_set_reg(vcpu, core_reg(X_A1), pattern(round, 51));
	}
	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
}

static u64 guest_csr_expected[7];

static void guest_csr_one_reg(void)
{
	u64 now[ARRAY_SIZE(guest_csr_expected)];
	int i;

	now[0] = csr_read(CSR_SSCRATCH);
	now[1] = csr_read(CSR_SEPC);
	now[2] = csr_read(CSR_SCAUSE);
	now[3] = csr_read(CSR_STVAL);
	now[4] = csr_read(CSR_SCOUNTEREN) & 7;
	now[5] = csr_read(CSR_SIE);
	now[6] = csr_read(CSR_SENVCFG);
	for (i = 0; i < ARRAY_SIZE(now); i++)
		__GUEST_ASSERT(now[i] == READ_ONCE(guest_csr_expected[i]),
			       "CSR %d of the list: set to 0x%lx, read 0x%lx", i,
			       READ_ONCE(guest_csr_expected[i]), now[i]);
	GUEST_DONE();
}

TEST_F(world_switch, csr_one_reg)
{
	static const u64 values[2][ARRAY_SIZE(guest_csr_expected)] = {
		{ 0x123456789abcdef0, 0x10002, 5, 0xdead, 2, IE_SIE | IE_EIE, 1 },
		{ ~0UL, 0x20004, 13, 0x8000, 7, IE_TIE, 0 },
	};
	const u64 id[] = {
		RISCV_GENERAL_CSR_REG(sscratch), RISCV_GENERAL_CSR_REG(sepc),
		RISCV_GENERAL_CSR_REG(scause), RISCV_GENERAL_CSR_REG(stval),
		RISCV_GENERAL_CSR_REG(scounteren), RISCV_GENERAL_CSR_REG(sie),
		RISCV_GENERAL_CSR_REG(senvcfg),
	};
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 sp = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.sp));
	int i, round;

	/* The second time, the vCPU was the last to run on the hart. */
	for (round = 0; round < 2; round++) {
		memcpy(guest_csr_expected, values[round], sizeof(values[round]));
		sync_global_to_guest(self->vm, guest_csr_expected);
		for (i = 0; i < ARRAY_SIZE(id); i++)
			vcpu_set_reg(vcpu, id[i], values[round][i]);

		vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), sp);
		vcpu_arch_set_entry_point(vcpu, guest_csr_one_reg);
		vcpu_run(vcpu);
		TEST_ASSERT(guest_is_done(vcpu), "not reached");

		for (i = 0; i < ARRAY_SIZE(id); i++)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, id[i]), values[round][i]);
	}
}

/*
 * User mode of the guest. Enters at `pc` with a0; returns SCAUSE of the trap
 * that ended it, in sstatus_out what SSTATUS was then.
 */
asm(".pushsection .text\n"
    ".balign 4\n"
    "guest_user_mode:\n"
    "	addi	sp, sp, -128\n"
    "	sd	ra, 0(sp)\n"
    "	sd	gp, 8(sp)\n"
    "	sd	tp, 16(sp)\n"
    "	sd	s0, 24(sp)\n"
    "	sd	s1, 32(sp)\n"
    "	sd	a2, 40(sp)\n"
    "	la	t0, 1f\n"
    "	csrw	stvec, t0\n"
    "	csrw	sscratch, sp\n"
    "	csrw	sepc, a0\n"
    "	li	t0, " __stringify(SR_SPP) "\n"
    "	csrc	sstatus, t0\n"
    "	mv	a0, a1\n"
    "	sret\n"
    ".balign 4\n"
    "1:	csrr	sp, sscratch\n"
    "	ld	ra, 0(sp)\n"
    "	ld	gp, 8(sp)\n"
    "	ld	tp, 16(sp)\n"
    "	ld	s0, 24(sp)\n"
    "	ld	s1, 32(sp)\n"
    "	ld	a2, 40(sp)\n"
    "	addi	sp, sp, 128\n"
    "	csrr	t0, sstatus\n"
    "	sd	t0, 0(a2)\n"
    "	csrr	a0, scause\n"
    "	ret\n"
    ".popsection\n");
u64 guest_user_mode(u64 pc, u64 a0, u64 *sstatus_out);

/* hlv.b a1, (a0): for hypervisors, which this guest is none of. */
#define HLV_B	".insn r 0x73, 0x4, 0x30, a1, a0, x0"

/* cbo.zero (a0): QEMU does not tell KVM of it, so KVM fetches it, and refuses. */
#define CBO_ZERO	".insn i 0x0f, 0x2, x0, a0, 0x4"

/* What runs in user mode: copied to a page of its own. */
asm(".pushsection .rodata\n"
    ".option push\n"
    ".option norvc\n"
    "user_code:\n"
    "user_syscall:\n"
    "	sw	a0, 8(a0)\n"
    "	lw	a1, 0(a0)\n"
    "	ecall\n"
    "user_hlv:\n"
    "	" HLV_B "\n"
    "user_promoted:\n"
    "	sw	a0, 8(a0)\n"
    "	ebreak\n"
    "user_cbo_zero:\n"
    "	" CBO_ZERO "\n"
    "	ecall\n"
    "user_code_end:\n"
    ".option pop\n"
    ".popsection\n");
extern char user_code[], user_syscall[], user_hlv[], user_promoted[];
extern char user_cbo_zero[], user_code_end[];

static u64 guest_user_page;

#define USER_PC(label)	(guest_user_page + ((label) - user_code))

static void guest_privilege(void)
{
	u64 sstatus, cause;

	/* A store by the kernel, for comparison. */
	*(volatile u32 *)(MMIO_GVA + 8) = 0;

	cause = guest_user_mode(USER_PC(user_syscall), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_SYSCALL);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_syscall) + 8);
	GUEST_ASSERT_EQ(sstatus & SR_SPP, 0);

	/* KVM reflects what no guest may do, to the mode that did it. */
	cause = guest_user_mode(USER_PC(user_hlv), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_INST_ILLEGAL);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_hlv));
	GUEST_ASSERT_EQ(sstatus & SR_SPP, 0);

	csr_write(CSR_SCAUSE, 0);
	csr_set(CSR_SSTATUS, SR_SIE);
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	" HLV_B "\n"
		     "	.balign	4\n"
		     "1:	csrr	%0, sstatus\n"
		     "	csrci	sstatus, 2\n"
		     : "=r" (sstatus) : : "t0", "a1", "memory");
	GUEST_ASSERT_EQ(csr_read(CSR_SCAUSE), EXC_INST_ILLEGAL);
	GUEST_ASSERT_EQ(sstatus & (SR_SPP | SR_SPIE | SR_SIE), SR_SPP | SR_SPIE);

	/* User space of the host promotes it: a kernel can't run user pages. */
	cause = guest_user_mode(USER_PC(user_promoted), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_INST_PAGE_FAULT);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_promoted) + 4);
	GUEST_ASSERT_EQ(sstatus & SR_SPP, SR_SPP);

	GUEST_DONE();
}

/* libkvm maps for the kernel only. */
static void make_user_page(struct kvm_vm *vm, gva_t gva)
{
	*pte_of(vm, gva) |= PGTBL_PTE_USER_MASK;
}

static u64 mmio_exit_mode(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
		guest_is_done(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	return vcpu_get_reg(vcpu, RISCV_CORE_REG(mode));
}

/* The kernel may touch the device too, with SSTATUS.SUM, once it is the user's. */
static void prepare_user_mode(struct kvm_vm *vm)
{
	guest_user_page = vm_alloc_page(vm);
	memcpy(addr_gva2hva(vm, guest_user_page), user_code,
	       user_code_end - user_code);
	make_user_page(vm, guest_user_page);
	make_user_page(vm, MMIO_GVA);
	sync_global_to_guest(vm, guest_user_page);
}

TEST_F(world_switch, privilege)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	prepare_user_mode(self->vm);
	vcpu_arch_set_entry_point(vcpu, guest_privilege);
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sstatus), SR_SUM);

	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_S);
	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_U);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), USER_PC(user_syscall));
	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_U);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), USER_PC(user_syscall) + 4);

	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_U);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), USER_PC(user_promoted));
	vcpu_set_reg(vcpu, RISCV_CORE_REG(mode), KVM_RISCV_MODE_S);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(mode)), KVM_RISCV_MODE_S);

	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
}

#define CSR_SENVCFG	0x10a
#define SENVCFG_CBZE	(1UL << 7)

static void guest_fetch_privilege(void)
{
	register u64 a0 asm("a0") = MMIO_GVA;
	u64 cause, sstatus;

	csr_set(CSR_SENVCFG, SENVCFG_CBZE);
	*(volatile u32 *)(MMIO_GVA + 8) = 0;
	cause = guest_user_mode(USER_PC(user_cbo_zero), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_SYSCALL);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_cbo_zero) + 4);

	a0 = MMIO_GVA;
	asm volatile("guest_kernel_cbo_zero: " CBO_ZERO : : "r" (a0) : "memory");
	GUEST_DONE();
}
extern char guest_kernel_cbo_zero[];

static void expect_refused(struct kvm_vcpu *vcpu, u64 pc, u64 mode)
{
	int ret = __vcpu_run(vcpu);

	TEST_ASSERT(ret == -1 && errno == EOPNOTSUPP, "KVM_RUN: %d, errno %d, exit %s",
		    ret, errno, exit_reason_str(vcpu->run->exit_reason));
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), pc);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(mode)), mode);
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.pc), pc + 4);
}

/*
 * KVM fetches an instruction with the privilege that HSTATUS.SPVP has, so it
 * must be that of the last trap: the kernel cannot execute a page of the user,
 * nor the user one of the kernel.
 */
TEST_F(world_switch, fetch_privilege)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	if (!__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_ZICBOZ))
		SKIP(return, "the hart has no Zicboz");
	prepare_user_mode(self->vm);
	vcpu_arch_set_entry_point(vcpu, guest_fetch_privilege);
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sstatus), SR_SUM);

	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_S);
	expect_refused(vcpu, USER_PC(user_cbo_zero), KVM_RISCV_MODE_U);
	expect_refused(vcpu, (u64)guest_kernel_cbo_zero, KVM_RISCV_MODE_S);
	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
}

static void guest_no_vector(void)
{
	csr_write(CSR_SCAUSE, 0);
	csr_set(CSR_SSTATUS, SR_VS_INITIAL);
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	csrr	t0, " __stringify(CSR_VLENB) "\n"
		     "	.balign	4\n"
		     "1:\n"
		     : : : "t0", "memory");
	GUEST_ASSERT_EQ(csr_read(CSR_SCAUSE), EXC_INST_ILLEGAL);
	GUEST_DONE();
}

/* The vector unit has what the host left in it: not for a guest without V. */
TEST_F(world_switch, no_vector)
{
	const u64 vector = RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_V);

	if (__vcpu_has_ext(self->vcpu[0], vector))
		vcpu_set_reg(self->vcpu[0], vector, 0);
	vcpu_arch_set_entry_point(self->vcpu[0], guest_no_vector);
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT(guest_is_done(self->vcpu[0]), "not reached");
}

static void guest_no_counters(void)
{
	csr_write(CSR_SCOUNTEREN, 0);
	ucall(UCALL_NONE, 0);
	GUEST_ASSERT_EQ(csr_read(CSR_SCOUNTEREN), 0);
	GUEST_DONE();
}

TEST_F(world_switch, host_counters)
{
	u64 before, after;

	vcpu_arch_set_entry_point(self->vcpu[0], guest_no_counters);
	asm volatile("rdtime %0" : "=r" (before));
	vcpu_run(self->vcpu[0]);
	asm volatile("rdtime %0" : "=r" (after));
	TEST_ASSERT(before < after, "the host's time stands still");
	TEST_ASSERT_EQ(get_ucall(self->vcpu[0], NULL), UCALL_NONE);
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT(guest_is_done(self->vcpu[0]), "not reached");
}

static bool stop;
static unsigned long signals;

static void count_signal(int signo)
{
	WRITE_ONCE(signals, signals + 1);
}

static void *system_calls(void *count)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	unsigned long n = 0;

	while (!READ_ONCE(stop)) {
		syscall(SYS_getppid);
		if (!(++n % 64))
			nanosleep(&nap, NULL);
	}
	*(unsigned long *)count = n;
	return NULL;
}

/* Thousands of exits while signals, ticks and system calls go on around. */
TEST_F(world_switch, host_survives)
{
	const struct itimerspec millisecond = {
		.it_interval.tv_nsec = 1000000, .it_value.tv_nsec = 1000000,
	};
	struct sigevent to_us = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1,
	};
	struct sigaction action = { .sa_handler = count_signal };
	struct kvm_vcpu *vcpu = self->vcpu[0];
	unsigned long calls[2], interrupted = 0;
	pthread_t thread[2];
	sigset_t usr1;
	timer_t timer;
	int i;

	/* The signal is for the thread that runs the vCPU, this one. */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	for (i = 0; i < 2; i++)
		thread[i] = thread_start(system_calls, &calls[i]);
	sigaction(SIGUSR1, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	TEST_ASSERT(!timer_create(CLOCK_MONOTONIC, &to_us, &timer) &&
		    !timer_settime(timer, 0, &millisecond, NULL),
		    "no timer: %s", strerror(errno));

	for (i = 0; i < 4; i++) {
		u64 sp = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.sp));
		bool done = false;

		start(vcpu, i & 1 ? guest_spin : guest_sbi_call, 0,
		      i & 1 ? 50 : 10 * ROUNDS);
		while (!done) {
			if (!__vcpu_run(vcpu)) {
				done = guest_is_done(vcpu);
				continue;
			}
			TEST_ASSERT(errno == EINTR, "KVM_RUN: %s", strerror(errno));
			interrupted++;
		}
		vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), sp);
	}

	timer_delete(timer);
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		TEST_ASSERT(calls[i] > 0, "a thread beside the guest did not run");
	}
	TEST_ASSERT(READ_ONCE(signals) > 0, "no signal arrived");
	TEST_ASSERT(interrupted > 0, "no signal interrupted KVM_RUN");
	TEST_ASSERT(vcpu_get_stat(vcpu, exits) > 20 * ROUNDS, "too few exits");
}

static void float_fill(struct floats *f, u64 seed)
{
	int i;

	for (i = 0; i < NR_F - 1; i++)
		f->load[i] = pattern(seed, 100 + i);
	/* Rounding mode and accrued flags: any of the defined values. */
	f->load[NR_F - 1] = (seed % 5) << 5 | seed % 32;
}

static void float_check(struct floats *f, const char *whose)
{
	int i;

	for (i = 0; i < NR_F; i++)
		TEST_ASSERT(f->saved[i] == f->load[i], "%s f%d was 0x%lx and is 0x%lx",
			    whose, i, f->load[i], f->saved[i]);
}

static void guest_float(int rounds)
{
	struct floats f;
	u64 seed, spin;
	int i;

	csr_set(CSR_SSTATUS, SR_FS_INITIAL);
	for (seed = 0; seed < rounds; seed++) {
		float_fill(&f, seed);
		float_ecall(&f, seed & 1 ? SBI_EXT_BASE : FORWARD_EXT, 0, 0);
		for (i = 0; i < NR_F; i++)
			__GUEST_ASSERT(f.saved[i] == f.load[i],
				       "guest's f%d was 0x%lx and is 0x%lx", i,
				       f.load[i], f.saved[i]);
		/* Time for the other thread to be scheduled. */
		for (spin = 0; spin < 20000; spin++)
			barrier();
	}
	GUEST_DONE();
}

static void *float_thread(void *unused)
{
	struct floats f;
	u64 seed;

	pin_self_to_cpu(0);
	for (seed = 5000; !READ_ONCE(stop); seed++) {
		float_fill(&f, seed);
		float_ecall(&f, SYS_sched_yield, 0, 0);
		float_check(&f, "the other thread's");
	}
	return NULL;
}

TEST_F(world_switch, float)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_run *run = vcpu->run;
	struct floats f;
	pthread_t other;
	u64 seed;
	int i;

	if (!__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_D))
		SKIP(return, "the hart has no D extension");

	pin_self_to_cpu(0);
	other = thread_start(float_thread, NULL);
	vcpu_arch_set_entry_point(vcpu, guest_float);
	vcpu_args_set(vcpu, 1, 5 * ROUNDS);

	for (seed = 0; ; seed++) {
		float_fill(&f, 9000 + seed);
		TEST_ASSERT_EQ(float_ecall(&f, SYS_ioctl, vcpu->fd, KVM_RUN), 0);
		float_check(&f, "the host's");

		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
		if (run->riscv_sbi.extension_id != FORWARD_EXT)
			break;

		/* The guest's, while they are not in the hart. */
		float_fill(&f, 2 * seed);
		for (i = 0; i < NR_F - 1; i++)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, __kvm_reg_id(KVM_REG_RISCV_FP_D, 0,
								       i, KVM_REG_SIZE_U64)),
				       f.load[i]);
	}
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
	TEST_ASSERT_EQ(2 * seed, 5 * ROUNDS);
	WRITE_ONCE(stop, true);
	pthread_join(other, NULL);
}

TEST_HARNESS_MAIN
