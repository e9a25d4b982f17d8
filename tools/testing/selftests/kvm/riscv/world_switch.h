/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guests that show what a switch between host and guest has lost.
 *
 * The guest loads a pattern into every GPR and every CSR that it owns, exits,
 * and finds each unchanged, save for what the exit itself returns. One page of
 * the guest is mapped at virtual address 0, so that all 31 registers are loaded
 * and stored relative to x0 and none is spared as a pointer.
 */
#ifndef SELFTEST_KVM_RISCV_WORLD_SWITCH_H
#define SELFTEST_KVM_RISCV_WORLD_SWITCH_H

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

static inline u64 pattern(u64 seed, int i)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL ^ i * 0x0101010101010101ULL;
}

/* As the guest's C code sees the page that its assembly has at address 0. */
static struct area *guest_area[2];
static bool guest_has_sstc, guest_has_smstateen;

static inline void fill(struct area *a, u64 seed)
{
	int i;

	for (i = 1; i < NR_X; i++)
		WRITE_ONCE(a->load[i], pattern(seed, i));
}

static inline void check(struct area *a, const char *what)
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

#define FOR_EACH_CSR(op, seed)						\
do {									\
	op(CSR_SSCRATCH, pattern(seed, 40), -1UL);			\
	op(CSR_SEPC, pattern(seed, 41) >> 32 << 2, -1UL);		\
	op(CSR_STVAL, pattern(seed, 42) >> 32, -1UL);			\
	op(CSR_SCAUSE, 1 + (seed) % 7, -1UL);				\
	op(CSR_STVEC, (u64)((seed) & 1 ? guest_trap_odd : guest_trap_even), \
	   -1UL);							\
	op(CSR_SCOUNTEREN, (seed) % 8, 7UL);				\
	op(CSR_SENVCFG, (seed) & 1, -1UL);				\
	op(CSR_SIE, pattern(seed, 43) & SIE_BITS, SIE_BITS);		\
	op(CSR_SSTATUS, pattern(seed, 44) & SSTATUS_BITS, SSTATUS_BITS | SR_SIE); \
} while (0)

struct csrs {
	u64 value[9];
	u64 satp;
	u64 stimecmp;
	u64 sstateen0;
};

#define CSR_SSTATEEN0	0x10c

/* A CSR may refuse bits of a pattern: what counts is what it took. */
static inline void csrs_load(struct csrs *c, u64 seed)
{
	int i = 0;

#define LOAD(csr, pattern, mask)					\
do {									\
	csr_write(csr, (csr) == CSR_SSTATUS ?				\
		       (csr_read(csr) & ~SSTATUS_BITS) | (pattern) : (pattern)); \
	c->value[i++] = csr_read(csr) & (mask);				\
} while (0)
	FOR_EACH_CSR(LOAD, seed);
#undef LOAD
	c->satp = csr_read(CSR_SATP);
	if (guest_has_sstc) {
		csr_write(CSR_STIMECMP, pattern(seed, 45) | BIT(63));
		c->stimecmp = csr_read(CSR_STIMECMP);
	}
	if (guest_has_smstateen) {
		csr_write(CSR_SSTATEEN0, pattern(seed, 46));
		c->sstateen0 = csr_read(CSR_SSTATEEN0);
	}
}

static inline void csrs_check(struct csrs *c, const char *what)
{
	u64 now[ARRAY_SIZE(c->value)];
	const char *name[ARRAY_SIZE(c->value)];
	u64 satp = csr_read(CSR_SATP);
	int i = 0;

#define CHECK(csr, pattern, mask)					\
do {									\
	name[i] = #csr;							\
	now[i++] = csr_read(csr) & (mask);				\
} while (0)
	FOR_EACH_CSR(CHECK, 0);
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
	if (guest_has_smstateen)
		__GUEST_ASSERT(csr_read(CSR_SSTATEEN0) == c->sstateen0,
			       "%s: SSTATEEN0 was 0x%lx and is 0x%lx", what,
			       c->sstateen0, csr_read(CSR_SSTATEEN0));
}

static inline void guest_sbi_call(int me, int rounds)
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

static inline void guest_sbi_forward(int me, int rounds)
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

static inline void guest_spin(int me, int rounds)
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

static inline struct kvm_vm *create_vm(struct kvm_vcpu **vcpu, struct area **area)
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
	guest_has_smstateen = __vcpu_has_isa_ext(vcpu[0], KVM_RISCV_ISA_EXT_SMSTATEEN);
	sync_global_to_guest(vm, guest_has_smstateen);
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

static inline void start(struct kvm_vcpu *vcpu, void *guest, int me, int rounds)
{
	vcpu_arch_set_entry_point(vcpu, guest);
	vcpu_args_set(vcpu, 2, me, rounds);
}

/* At an exit to user space, each GPR has the guest's value. */
static inline void check_core_regs(struct kvm_vcpu *vcpu, struct area *a)
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
static inline bool step(FIXTURE_DATA(world_switch) *self, int i)
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

#endif /* SELFTEST_KVM_RISCV_WORLD_SWITCH_H */
