// SPDX-License-Identifier: GPL-2.0
/*
 * Extensions that user space switches off, and state that goes with them.
 *
 * Which break each case notices:
 *
 *  instructions
 *	An extension that is off and works: the bit of HENVCFG or HSTATEEN0, or
 *	the unit in SSTATUS, that makes it trap; and one that is on and traps.
 *  memory_types
 *	HENVCFG.PBMTE that does not follow Svpbmt.
 *  which
 *	An extension that is switched off although nothing makes its use trap.
 *  double_off
 *	F that goes with D.
 *  several
 *	Registers of several extensions: a member that cannot be changed must
 *	stay, and must not keep the others from being changed.
 *  several_sbi
 *	The same for SBI extensions.
 *  single_float
 *	Floating-point registers of 32 bits that are lost where the guest has F
 *	and no D.
 *  counters
 *	`cycle` and `instret` of the host shown to the guest.
 *  sstateen0
 *	The SSTATEEN0 of one vCPU left to another.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "sbi_call.h"
#include "ucall_common.h"

#define ISA(ext)	RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_##ext)
#define SBI(ext)	RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_##ext)

/* Of both kinds of register; the subtypes have the same numbers. */
#define MULTI_EN(type, ext)						\
	(KVM_REG_RISCV | KVM_REG_SIZE_ULONG | (type) | KVM_REG_RISCV_ISA_MULTI_EN | \
	 KVM_REG_RISCV_ISA_MULTI_REG(ext))
#define MULTI_DIS(type, ext)						\
	(KVM_REG_RISCV | KVM_REG_SIZE_ULONG | (type) | KVM_REG_RISCV_ISA_MULTI_DIS | \
	 KVM_REG_RISCV_ISA_MULTI_REG(ext))

#define CSR_SSTATEEN0	0x10c

/* The operand of instructions that have one is a0. */
#define CBO(nr)		(0x0000200f | (nr) << 20 | 10 << 15)

static const struct insn {
	const char *name;
	int ext;
	u32 insn;
} insns[] = {
	{ "fmv.w.x f0, x0 (F)", KVM_RISCV_ISA_EXT_F, 0xf0000053 },
	{ "fmv.d.x f0, x0 (F, D)", KVM_RISCV_ISA_EXT_F, 0xf2000053 },
	{ "frcsr a1 (F)", KVM_RISCV_ISA_EXT_F, 0x003025f3 },
	{ "csrr a1, stopi (Ssaia)", KVM_RISCV_ISA_EXT_SSAIA, 0xdb0025f3 },
	{ "cbo.inval (Zicbom)", KVM_RISCV_ISA_EXT_ZICBOM, CBO(0) },
	{ "cbo.clean (Zicbom)", KVM_RISCV_ISA_EXT_ZICBOM, CBO(1) },
	{ "cbo.flush (Zicbom)", KVM_RISCV_ISA_EXT_ZICBOM, CBO(2) },
	{ "cbo.zero (Zicboz)", KVM_RISCV_ISA_EXT_ZICBOZ, CBO(4) },
	{ "csrr a1, sstateen0 (Smstateen)", KVM_RISCV_ISA_EXT_SMSTATEEN, 0x10c025f3 },
};

FIXTURE(isa)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_SETUP(isa)
{
	self->vm = vm_with_vcpus(1, NULL, &self->vcpu);
}

FIXTURE_TEARDOWN(isa)
{
	kvm_vm_free(self->vm);
}

static gva_t code, operand;
static u64 cause, tval;

/* Calls `code` with the operand in a0. SCAUSE of the trap that ended it, or 0. */
static noinline u64 guest_call(void)
{
	register u64 a0 asm("a0") = operand;
	u64 scause;

	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	csrw	scause, x0\n"
		     "	jalr	%2\n"
		     "	.balign	4\n"
		     "1:	csrr	%0, scause\n"
		     : "=r" (scause), "+r" (a0)
		     : "r" (code)
		     : "t0", "ra", "a1", "memory");
	return scause;
}

static void guest_try(void)
{
	u64 stvec = csr_read(CSR_STVEC);

	csr_set(CSR_SSTATUS, SR_FS_INITIAL);
	cause = guest_call();
	tval = csr_read(CSR_STVAL);
	csr_write(CSR_STVEC, stvec);
	GUEST_DONE();
}

/* Gives a guest the instruction, and a page for its operand. */
static void prepare_call(struct kvm_vm *vm, u32 insn)
{
	u32 *page;

	code = vm_alloc_page(vm);
	operand = vm_alloc_page(vm);
	page = addr_gva2hva(vm, code);
	page[0] = insn;
	page[1] = RET;
	sync_global_to_guest(vm, code);
	sync_global_to_guest(vm, operand);
}

/* The trap of an instruction in a new VM, of which one extension is off or not. */
static u64 cause_of(u32 insn, u64 off)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_with_vcpus(1, guest_try, &vcpu);

	if (off)
		vcpu_set_reg(vcpu, off, 0);
	/* There is no D without F. */
	if (off == ISA(F) && __vcpu_has_ext(vcpu, ISA(D)))
		vcpu_set_reg(vcpu, ISA(D), 0);
	prepare_call(vm, insn);
	run_until_done(vcpu);
	sync_global_from_guest(vm, cause);
	sync_global_from_guest(vm, tval);
	kvm_vm_free(vm);
	return cause;
}

TEST_F(isa, instructions)
{
	const struct insn *i;
	int tried = 0;

	for (i = insns; i < insns + ARRAY_SIZE(insns); i++) {
		u64 reg = RISCV_ISA_EXT_REG(i->ext);

		if (!__vcpu_has_ext(self->vcpu, reg))
			continue;
		tried++;
		TEST_ASSERT(!cause_of(i->insn, 0), "%s: cause %lu where it is on", i->name, cause);
		TEST_ASSERT(cause_of(i->insn, reg) == EXC_INST_ILLEGAL,
			    "%s: cause %lu where it is off", i->name, cause);
		TEST_ASSERT(!tval || tval == i->insn, "%s: stval 0x%lx", i->name, tval);
	}
	TEST_ASSERT(tried >= 7, "only %d of the instructions can be tried", tried);
}

/* The page of an access is non-cacheable memory. */
#define PTE_NC		BIT(61)

/* The trap of a load or of a store to a page of another type of memory. */
static u64 cause_of_access(u32 insn, u64 off)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_with_vcpus(1, guest_try, &vcpu);

	if (off)
		vcpu_set_reg(vcpu, off, 0);
	prepare_call(vm, insn);
	*pte_of(vm, operand) |= PTE_NC;
	run_until_done(vcpu);
	sync_global_from_guest(vm, cause);
	kvm_vm_free(vm);
	return cause;
}

/* ld a1, (a0); sd x0, (a0) */
#define LOAD		0x00053583
#define STORE		0x00053023

TEST_F(isa, memory_types)
{
	if (!__vcpu_has_ext(self->vcpu, ISA(SVPBMT)))
		SKIP(return, "the hart has no Svpbmt");
	TEST_ASSERT_EQ(cause_of_access(LOAD, 0), 0);
	TEST_ASSERT_EQ(cause_of_access(STORE, 0), 0);
	TEST_ASSERT_EQ(cause_of_access(LOAD, ISA(SVPBMT)), EXC_LOAD_PAGE_FAULT);
	TEST_ASSERT_EQ(cause_of_access(STORE, ISA(SVPBMT)), EXC_STORE_PAGE_FAULT);
}

/* But for D, and for those of RV32, a bit makes the use of each trap then. */
static bool can_be_disabled(struct kvm_vcpu *vcpu, int ext)
{
	switch (ext) {
	/* Not where the hart can do no otherwise. */
	case KVM_RISCV_ISA_EXT_SVADE:
		return __vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_SVADU);
	case KVM_RISCV_ISA_EXT_SSAIA:
		return __vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_SMSTATEEN);
	case KVM_RISCV_ISA_EXT_D:
	case KVM_RISCV_ISA_EXT_F:
	case KVM_RISCV_ISA_EXT_H:
	case KVM_RISCV_ISA_EXT_SMNPM:
	case KVM_RISCV_ISA_EXT_SMSTATEEN:
	case KVM_RISCV_ISA_EXT_SVADU:
	case KVM_RISCV_ISA_EXT_SVPBMT:
	case KVM_RISCV_ISA_EXT_V:
	case KVM_RISCV_ISA_EXT_ZCLSD:
	case KVM_RISCV_ISA_EXT_ZICBOM:
	case KVM_RISCV_ISA_EXT_ZICBOZ:
	case KVM_RISCV_ISA_EXT_ZICFILP:
	case KVM_RISCV_ISA_EXT_ZICFISS:
	case KVM_RISCV_ISA_EXT_ZILSD:
		return true;
	default:
		return false;
	}
}

TEST_F(isa, which)
{
	int ext, error, known = 0;
	bool disable;
	u64 on;

	if (!is_rust_backend())
		SKIP(return, "the C backend can switch off what still works then");
	for (ext = 0; ext < KVM_RISCV_ISA_EXT_MAX; ext++) {
		u64 reg = RISCV_ISA_EXT_REG(ext);

		if (__vcpu_get_reg(self->vcpu, reg, &on)) {
			TEST_ASSERT_EQ(errno, ENOENT);
			continue;
		}
		if (!on)
			continue;
		known++;
		disable = can_be_disabled(self->vcpu, ext);
		error = __vcpu_set_reg(self->vcpu, reg, 0) ? errno : 0;
		TEST_ASSERT(error == (disable ? 0 : EINVAL), "extension %d: errno %d", ext, error);
		TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, reg), !disable);
		TEST_ASSERT(__vcpu_set_reg(self->vcpu, reg, 2) && errno == EINVAL,
			    "extension %d was set to 2", ext);
		vcpu_set_reg(self->vcpu, reg, 1);
		TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, reg), 1);
	}
	TEST_ASSERT(known > 20, "%d extensions", known);
}

TEST_F(isa, several)
{
	const int ext[] = {
		KVM_RISCV_ISA_EXT_I, KVM_RISCV_ISA_EXT_ZICBOM, KVM_RISCV_ISA_EXT_ZICBOZ,
	};
	const u64 type = KVM_REG_RISCV_ISA_EXT;
	struct kvm_vcpu *vcpu = self->vcpu;
	u64 bit[3], en, on, value;
	int i, number;

	if (!__vcpu_has_ext(vcpu, ISA(ZICBOM)) || !__vcpu_has_ext(vcpu, ISA(ZICBOZ)))
		SKIP(return, "the hart has no cache-block operations");

	/* A bit for each, and its complement. */
	for (number = 0; number <= KVM_REG_RISCV_ISA_MULTI_REG_LAST; number++) {
		en = vcpu_get_reg(vcpu, MULTI_EN(type, number * 64));
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, MULTI_DIS(type, number * 64)), ~en);
		for (i = 0; i < 64; i++) {
			if (number * 64 + i >= KVM_RISCV_ISA_EXT_MAX ||
			    __vcpu_get_reg(vcpu, RISCV_ISA_EXT_REG(number * 64 + i), &on))
				on = 0;
			TEST_ASSERT_EQ(en >> i & 1, on);
		}
	}
	TEST_ASSERT(__vcpu_get_reg(vcpu, MULTI_EN(type, number * 64), &value) && errno == ENOENT,
		    "there is a register too many");

	for (i = 0; i < 3; i++)
		bit[i] = KVM_REG_RISCV_ISA_MULTI_MASK(ext[i]);
	/* The first member cannot be switched off, the second one can. */
	vcpu_set_reg(vcpu, MULTI_DIS(type, ext[0]), bit[0]);
	if (KVM_REG_RISCV_ISA_MULTI_REG(ext[0]) == KVM_REG_RISCV_ISA_MULTI_REG(ext[1]))
		vcpu_set_reg(vcpu, MULTI_DIS(type, ext[0]), bit[0] | bit[1]);
	else
		vcpu_set_reg(vcpu, MULTI_DIS(type, ext[1]), bit[1]);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(I)), 1);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(ZICBOM)), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(ZICBOZ)), 1);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, MULTI_EN(type, ext[1])) & bit[1], 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, MULTI_DIS(type, ext[1])) & bit[1], bit[1]);

	/* A clear bit of either register changes nothing. */
	vcpu_set_reg(vcpu, MULTI_EN(type, ext[2]), bit[2]);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(ZICBOM)), 0);
	vcpu_set_reg(vcpu, MULTI_EN(type, ext[1]), bit[1]);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(ZICBOM)), 1);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(ZICBOZ)), 1);
}

TEST_F(isa, several_sbi)
{
	const u64 type = KVM_REG_RISCV_SBI_EXT;
	const u64 en = MULTI_EN(type, 0), dis = MULTI_DIS(type, 0);
	const u64 dbcn = KVM_REG_RISCV_SBI_MULTI_MASK(KVM_RISCV_SBI_EXT_DBCN);
	const u64 time = KVM_REG_RISCV_SBI_MULTI_MASK(KVM_RISCV_SBI_EXT_TIME);
	struct kvm_vcpu *vcpu = self->vcpu;
	const bool has_pmu = __vcpu_has_sbi_ext(vcpu, KVM_RISCV_SBI_EXT_PMU);
	/* The number after the last one, and an extension that some hosts do not have. */
	const u64 none = KVM_REG_RISCV_SBI_MULTI_MASK(KVM_RISCV_SBI_EXT_MAX) |
			 (has_pmu ? 0 : 1UL << KVM_RISCV_SBI_EXT_PMU);
	u64 all = vcpu_get_reg(vcpu, en);

	TEST_ASSERT_EQ(all & (dbcn | time), time);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, dis), ~all);

	/* A member that cannot be changed changes nothing for the others. */
	vcpu_set_reg(vcpu, en, dbcn | none);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, en), all | dbcn);
	vcpu_set_reg(vcpu, dis, time | none);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, en), (all | dbcn) & ~time);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, SBI(TIME)), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, SBI(DBCN)), 1);
	vcpu_set_reg(vcpu, dis, 0);
	vcpu_set_reg(vcpu, en, 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, dis), ~((all | dbcn) & ~time));
}

#define LETTER(c)	(1UL << ((c) - 'A'))

/* A guest without D still has F, whose bit lets the instructions of D pass, too. */
TEST_F(isa, double_off)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	u64 letters = vcpu_get_reg(vcpu, RISCV_CONFIG_REG(isa));

	if (!__vcpu_has_ext(vcpu, ISA(D)))
		SKIP(return, "the hart has no D");
	TEST_ASSERT_EQ(letters & (LETTER('D') | LETTER('F')), LETTER('D') | LETTER('F'));
	/* fmv.w.x f0, x0; fmv.d.x f0, x0 */
	TEST_ASSERT_EQ(cause_of(0xf0000053, ISA(D)), 0);
	TEST_ASSERT_EQ(cause_of(0xf2000053, ISA(D)), 0);

	vcpu_set_reg(vcpu, ISA(D), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(F)), 1);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CONFIG_REG(isa)), letters & ~LETTER('D'));
	vcpu_set_reg(vcpu, RISCV_CONFIG_REG(isa), letters);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(D)), 1);
	vcpu_set_reg(vcpu, RISCV_CONFIG_REG(isa), letters & ~LETTER('D'));
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(D)), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, ISA(F)), 1);
}

#define FLOAT_ROUNDS	50
#define NR_F		32

/* The guest's and user space's view of the registers, in turn. */
static u32 floats[NR_F];

#define EACH_F(insn)							\
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,"	\
	"23,24,25,26,27,28,29,30,31\n"					\
	"	" insn "	f\\n, 4 * \\n(%0)\n"			\
	".endr\n"

static u32 float_pattern(u64 seed, int i)
{
	return (seed + 1) * 0x9e3779b1U + i * 0x85ebca6bU;
}

static void guest_single_float(void)
{
	u64 seed, fcsr;
	int i;

	csr_set(CSR_SSTATUS, SR_FS_INITIAL);
	for (seed = 0; seed < FLOAT_ROUNDS; seed++) {
		fcsr = (seed % 5) << 5 | seed % 32;
		for (i = 0; i < NR_F; i++)
			floats[i] = float_pattern(seed, i);
		/* FCSR comes first, because QEMU (10.0) takes a write of it for none. */
		asm volatile("fscsr	%1\n" EACH_F("flw")
			     : : "r" (floats), "r" (fcsr) : "memory");
		GUEST_SYNC(seed);
		asm volatile(EACH_F("fsw") : : "r" (floats) : "memory");
		asm volatile("frcsr	%0" : "=r" (fcsr));
		/* User space has added a million to each, and has another FCSR. */
		for (i = 0; i < NR_F; i++)
			GUEST_ASSERT_EQ(floats[i], float_pattern(seed, i) + 1000000);
		GUEST_ASSERT_EQ(fcsr, (seed % 4) << 5 | (seed % 31));
	}
	GUEST_DONE();
}

static u64 float_id(int i)
{
	return __kvm_reg_id(KVM_REG_RISCV_FP_F, 0, i, KVM_REG_SIZE_U32);
}

TEST_F(isa, single_float)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	u64 seed, value;
	u32 word;
	int i;

	if (!__vcpu_has_ext(vcpu, ISA(D)))
		SKIP(return, "the hart has no D");
	vcpu_set_reg(vcpu, ISA(D), 0);
	TEST_ASSERT(__vcpu_get_reg(vcpu, __kvm_reg_id(KVM_REG_RISCV_FP_D, 0, 0, KVM_REG_SIZE_U64),
				   &value) && errno == ENOENT, "a register of 64 bits");
	vcpu_arch_set_entry_point(vcpu, guest_single_float);
	for (seed = 0; ; seed++) {
		vcpu_run(vcpu);
		if (guest_is_done(vcpu))
			break;
		for (i = 0; i < NR_F; i++) {
			TEST_ASSERT(!__vcpu_get_reg(vcpu, float_id(i), &word), "errno %d", errno);
			TEST_ASSERT(word == float_pattern(seed, i), "round %lu: f%d is 0x%x",
				    seed, i, word);
			TEST_ASSERT(!__vcpu_set_reg(vcpu, float_id(i), word + 1000000),
				    "errno %d", errno);
		}
		TEST_ASSERT(!__vcpu_get_reg(vcpu, float_id(NR_F), &word), "errno %d", errno);
		TEST_ASSERT_EQ(word, (seed % 5) << 5 | seed % 32);
		TEST_ASSERT(!__vcpu_set_reg(vcpu, float_id(NR_F), (seed % 4) << 5 | seed % 31),
			    "errno %d", errno);
	}
	TEST_ASSERT_EQ(seed, FLOAT_ROUNDS);
}

static void guest_counters(void)
{
	u64 cycle, instret, again;
	int i;

	for (i = 0; i < 10; i++) {
		asm volatile("rdcycle	%0" : "=r" (cycle));
		asm volatile("rdinstret	%0" : "=r" (instret));
		asm volatile("rdcycle	%0" : "=r" (again));
		GUEST_ASSERT_EQ(cycle, 0);
		GUEST_ASSERT_EQ(instret, 0);
		GUEST_ASSERT_EQ(again, 0);
	}
	GUEST_DONE();
}

TEST_F(isa, counters)
{
	u64 exits = vcpu_get_stat(self->vcpu, csr_exit_kernel);

	if (!counters_read_zero(self->vcpu))
		SKIP(return, "the C backend reads the counters by the host's PMU alone");
	run_guest(self->vcpu, guest_counters);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu, csr_exit_kernel) - exits, 30);
}

#define SSTATEEN_ROUNDS	20

static void guest_sstateen0(u64 mine)
{
	u64 legal, i;

	csr_write(CSR_SSTATEEN0, mine);
	legal = csr_read(CSR_SSTATEEN0);
	for (i = 0; i < SSTATEEN_ROUNDS; i++) {
		GUEST_SYNC(legal);
		GUEST_ASSERT_EQ(csr_read(CSR_SSTATEEN0), legal);
		/* Exits that go back into the guest directly. */
		CALL(SBI_EXT_BASE, 0);
		GUEST_ASSERT_EQ(csr_read(CSR_SSTATEEN0), legal);
	}
	GUEST_DONE();
}

TEST_F(isa, sstateen0)
{
	struct kvm_vcpu *vcpu[2];
	struct kvm_vm *vm;
	struct ucall uc;
	u64 legal[2];
	int i, round;

	if (!__vcpu_has_ext(self->vcpu, ISA(SMSTATEEN)))
		SKIP(return, "the hart has no Smstateen");
	pin_self_to_cpu(0);
	vm = vm_with_vcpus(2, guest_sstateen0, vcpu);
	vcpu_args_set(vcpu[0], 1, ~0UL);
	vcpu_args_set(vcpu[1], 1, 0UL);
	for (round = 0; round < SSTATEEN_ROUNDS; round++)
		for (i = 0; i < 2; i++) {
			vcpu_run(vcpu[i]);
			TEST_ASSERT(!guest_is_done(vcpu[i]), "done too early");
			get_ucall(vcpu[i], &uc);
			legal[i] = uc.args[1];
		}
	for (i = 0; i < 2; i++)
		run_until_done(vcpu[i]);
	ksft_print_msg("sstateen0 has the bits 0x%lx\n", legal[0]);
	kvm_vm_free(vm);
	TEST_ASSERT(legal[0] != legal[1], "both have 0x%lx", legal[0]);
}

TEST_HARNESS_MAIN
