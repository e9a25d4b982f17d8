// SPDX-License-Identifier: GPL-2.0
/*
 * Firmware features, by which the kernel of a guest changes what its hart does.
 *
 * What a host does not have is expected not to be there; a case that needs a feature
 * which the host lacks is skipped.
 */
#include "expect_errno.h"
#include "sbi_guest.h"

#define FWFT_SET	0
#define FWFT_GET	1
#define FWFT_LOCK	1UL

/* In the order of their registers; see struct kvm_riscv_sbi_fwft. */
enum feature { MISALIGNED, POINTER_MASKING, PTE_AD, LANDING_PAD, SHADOW_STACK, NR_FEATURES };

static const struct {
	const char *name;
	u32 id;
	u64 on;
} features[NR_FEATURES] = {
	[MISALIGNED] = { "misaligned exceptions", 0, 1 },
	[POINTER_MASKING] = { "pointer masking", 5, 7 },
	[PTE_AD] = { "A and D by hardware", 4, 1 },
	[LANDING_PAD] = { "landing pads", 1, 1 },
	[SHADOW_STACK] = { "shadow stacks", 2, 1 },
};

#define DOUBLE_TRAP	3

enum field { ENABLE, FLAGS, VALUE, NR_FIELDS };

static u64 fwft_reg(enum feature feature, enum field field)
{
	return KVM_REG_RISCV | KVM_REG_SIZE_ULONG | KVM_REG_RISCV_SBI_STATE |
	       KVM_REG_RISCV_SBI_FWFT | (feature * NR_FIELDS + field);
}

/* Whether the guest has it. */
static bool has_feature(struct kvm_vcpu *vcpu, enum feature feature)
{
	u64 value;

	if (!__vcpu_get_reg(vcpu, fwft_reg(feature, ENABLE), &value))
		return value;
	TEST_ASSERT_EQ(errno, ENOENT);
	return false;
}

/* For the guest: which of them it has. */
static bool there[NR_FEATURES];

static void tell_features(FIXTURE_DATA(sbi) *self)
{
	int i;

	for (i = 0; i < NR_FEATURES; i++)
		there[i] = has_feature(self->vcpu[0], i);
	sync_global_to_guest(self->vm, there);
}

static long guest_set(u64 id, u64 value, u64 flags)
{
	return CALL(EXT_FWFT, FWFT_SET, id, value, flags).error;
}

/* The value, which is below 256, or the error. */
static long guest_get(u64 id)
{
	struct sbiret ret = CALL(EXT_FWFT, FWFT_GET, id);

	GUEST_ASSERT(ret.value < 256);
	return ret.error ?: ret.value;
}

static void guest_unknown(void)
{
	static const u32 reserved[] = {
		6, 0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000, 0xbfffffff, 0xc0000000, -1U,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(reserved); i++) {
		GUEST_ASSERT_EQ(guest_set(reserved[i], 0, 0), SBI_ERR_DENIED);
		GUEST_ASSERT_EQ(guest_set(reserved[i], 1, -1UL), SBI_ERR_DENIED);
		GUEST_ASSERT_EQ(guest_get(reserved[i]), SBI_ERR_DENIED);
	}
	GUEST_ASSERT_EQ(guest_set(DOUBLE_TRAP, 0, 0), SBI_ERR_NOT_SUPPORTED);
	GUEST_ASSERT_EQ(guest_get(DOUBLE_TRAP), SBI_ERR_NOT_SUPPORTED);
	for (i = 0; i < NR_FEATURES; i++) {
		if (there[i])
			continue;
		GUEST_ASSERT_EQ(guest_set(features[i].id, 0, 0), SBI_ERR_NOT_SUPPORTED);
		GUEST_ASSERT_EQ(guest_get(features[i].id), SBI_ERR_NOT_SUPPORTED);
	}
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(EXT_FWFT, 2, features[PTE_AD].id));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(EXT_FWFT, 1UL << 32, features[PTE_AD].id));
	GUEST_DONE();
}

TEST_F(sbi, fwft_unknown)
{
	tell_features(self);
	run_guest(self->vcpu[0], guest_unknown);
}

static void guest_values(void)
{
	int i;

	for (i = 0; i < NR_FEATURES; i++) {
		/* The id is 32 bits wide. */
		u64 id = features[i].id | 1UL << 32, on = features[i].on;

		if (!there[i])
			continue;
		GUEST_ASSERT_EQ(guest_get(id), 0);
		GUEST_ASSERT_EQ(guest_set(id, on, 0), 0);
		GUEST_ASSERT_EQ(guest_get(id), on);
		GUEST_ASSERT_EQ(guest_set(id, 2, 0), SBI_ERR_INVALID_PARAM);
		GUEST_ASSERT_EQ(guest_set(id, on | 1UL << 32, 0), SBI_ERR_INVALID_PARAM);
		GUEST_ASSERT_EQ(guest_set(id, 0, 2), SBI_ERR_INVALID_PARAM);
		GUEST_ASSERT_EQ(guest_set(id, 0, FWFT_LOCK | 1UL << 32), SBI_ERR_INVALID_PARAM);
		GUEST_ASSERT_EQ(guest_set(id, 2, FWFT_LOCK), SBI_ERR_INVALID_PARAM);
		GUEST_ASSERT_EQ(guest_get(id), on);
		GUEST_ASSERT_EQ(guest_set(id, 0, FWFT_LOCK), 0);
		GUEST_ASSERT_EQ(guest_set(id, on, 0), SBI_ERR_DENIED_LOCKED);
		GUEST_ASSERT_EQ(guest_set(id, 0, FWFT_LOCK), SBI_ERR_DENIED_LOCKED);
		GUEST_ASSERT_EQ(guest_get(id), 0);
	}
	GUEST_DONE();
}

TEST_F(sbi, fwft_values)
{
	tell_features(self);
	run_guest(self->vcpu[0], guest_values);
}

/* What user space takes away is not there for the guest, and comes back as it was. */
static void guest_taken_away(void)
{
	int i;

	for (i = 0; i < NR_FEATURES; i++)
		if (there[i])
			GUEST_ASSERT_EQ(guest_set(features[i].id, features[i].on, 0), 0);
	GUEST_SYNC(0);
	for (i = 0; i < NR_FEATURES; i++) {
		GUEST_ASSERT_EQ(guest_set(features[i].id, 0, 0), SBI_ERR_NOT_SUPPORTED);
		GUEST_ASSERT_EQ(guest_get(features[i].id), SBI_ERR_NOT_SUPPORTED);
	}
	GUEST_SYNC(1);
	for (i = 0; i < NR_FEATURES; i++)
		if (there[i])
			GUEST_ASSERT_EQ(guest_get(features[i].id), features[i].on);
	GUEST_DONE();
}

TEST_F(sbi, fwft_taken_away)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int i, enable;

	tell_features(self);
	vcpu_arch_set_entry_point(vcpu, guest_taken_away);
	for (enable = 0; enable <= 1; enable++) {
		vcpu_run(vcpu);
		TEST_ASSERT(!guest_is_done(vcpu), "too early");
		for (i = 0; i < NR_FEATURES; i++)
			if (there[i])
				vcpu_set_reg(vcpu, fwft_reg(i, ENABLE), enable);
	}
	run_until_done(vcpu);
}

/* The registers of a vCPU, restored in another one, make that go on with the features. */
static void guest_saved(void)
{
	int i;

	for (i = 0; i < NR_FEATURES; i++)
		if (there[i])
			GUEST_ASSERT_EQ(guest_set(features[i].id, features[i].on, FWFT_LOCK), 0);
	GUEST_DONE();
}

static void guest_restored(void)
{
	int i;

	for (i = 0; i < NR_FEATURES; i++) {
		if (!there[i])
			continue;
		GUEST_ASSERT_EQ(guest_get(features[i].id), features[i].on);
		GUEST_ASSERT_EQ(guest_set(features[i].id, 0, 0), SBI_ERR_DENIED_LOCKED);
	}
	GUEST_DONE();
}

TEST_F(sbi, fwft_restored)
{
	int i, field, pass;
	u64 id;

	tell_features(self);
	run_guest(self->vcpu[0], guest_saved);
	/* In any order. */
	for (pass = 0; pass < 2; pass++) {
		struct kvm_vcpu *vcpu = self->vcpu[1 + pass];

		for (i = 0; i < NR_FEATURES * NR_FIELDS; i++) {
			int n = pass ? NR_FEATURES * NR_FIELDS - 1 - i : i;

			if (!there[n / NR_FIELDS])
				continue;
			id = fwft_reg(n / NR_FIELDS, n % NR_FIELDS);
			vcpu_set_reg(vcpu, id, vcpu_get_reg(self->vcpu[0], id));
		}
		for (i = 0; i < NR_FEATURES; i++)
			for (field = 0; field < NR_FIELDS && there[i]; field++) {
				id = fwft_reg(i, field);
				TEST_ASSERT_EQ(vcpu_get_reg(vcpu, id),
					       vcpu_get_reg(self->vcpu[0], id));
			}
		run_guest(vcpu, guest_restored);
	}
}

static void guest_reset(void)
{
	int i;

	for (i = 0; i < NR_FEATURES; i++) {
		if (!there[i])
			continue;
		GUEST_ASSERT_EQ(guest_get(features[i].id), 0);
		GUEST_ASSERT_EQ(guest_set(features[i].id, features[i].on, FWFT_LOCK), 0);
	}
	GUEST_DONE();
}

/* A reset of the hart undoes what its kernel has set and locked, and nothing else. */
TEST_F(sbi, fwft_reset)
{
	struct kvm_mp_state reset = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 kept[NR_KEPT];
	int i, life;

	tell_features(self);
	vm_enable_cap(self->vm, KVM_CAP_RISCV_MP_STATE_RESET, 0);
	keep_regs(vcpu, kept);
	for (life = 0; life < 2; life++) {
		run_guest(vcpu, guest_reset);
		vcpu_mp_state_set(vcpu, &reset);
		for (i = 0; i < NR_FEATURES; i++) {
			if (!there[i])
				continue;
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, fwft_reg(i, ENABLE)), 1);
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, fwft_reg(i, FLAGS)), 0);
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, fwft_reg(i, VALUE)), 0);
		}
		restore_regs(vcpu, kept);
	}
}

TEST_F(sbi, fwft_wrong_registers)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 id, value = 0;
	int i;

	tell_features(self);
	for (i = 0; i < NR_FEATURES; i++) {
		if (!there[i]) {
			EXPECT_ERRNO(ENOENT, __vcpu_get_reg(vcpu, fwft_reg(i, VALUE), &value));
			EXPECT_ERRNO(ENOENT, __vcpu_set_reg(vcpu, fwft_reg(i, VALUE), 0));
			continue;
		}
		EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, fwft_reg(i, ENABLE), 2));
		EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, fwft_reg(i, VALUE), 2));
		EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, fwft_reg(i, VALUE), 1UL << 32));
		/* Flags that nobody knows are dropped. */
		vcpu_set_reg(vcpu, fwft_reg(i, FLAGS), -1UL);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, fwft_reg(i, FLAGS)), FWFT_LOCK);
		/* User space may change what is locked. */
		vcpu_set_reg(vcpu, fwft_reg(i, VALUE), features[i].on);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, fwft_reg(i, VALUE)), features[i].on);
	}
	id = fwft_reg(NR_FEATURES, ENABLE);
	EXPECT_ERRNO(ENOENT, __vcpu_get_reg(vcpu, id, &value));
	id = fwft_reg(PTE_AD, VALUE) & ~KVM_REG_SIZE_MASK;
	EXPECT_ERRNO(EINVAL, __vcpu_get_reg(vcpu, id | KVM_REG_SIZE_U32, &value));
	vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_FWFT), 0);
	EXPECT_ERRNO(EINVAL, __vcpu_get_reg(vcpu, fwft_reg(NR_FEATURES, ENABLE), &value));
	EXPECT_ERRNO(EINVAL, __vcpu_get_reg(vcpu, fwft_reg(PTE_AD, ENABLE), &value));
}

/*
 * What the features do. The guest tries it three times: off, on, and off again. Not
 * that of pointer masking: QEMU 10.0 asks mstatus.MPV and not V whose field counts.
 */
static gva_t page;

static void guest_try(enum feature feature, void (*try)(bool on))
{
	int round;

	for (round = 0; round < 3; round++) {
		bool on = round == 1;

		GUEST_ASSERT_EQ(guest_set(features[feature].id, on ? features[feature].on : 0, 0),
				0);
		try(on);
	}
	GUEST_DONE();
}

static u64 traps, trap_cause;

static void guest_skip(struct pt_regs *regs)
{
	WRITE_ONCE(traps, traps + 1);
	trap_cause = regs->cause;
	regs->epc += 4;
}

static u64 traps_of(u64 cause)
{
	u64 found = READ_ONCE(traps);

	WRITE_ONCE(traps, 0);
	GUEST_ASSERT(!found || trap_cause == cause);
	return found;
}

/* An AMO, which no hart of QEMU carries out at such an address. */
static void guest_try_misaligned(bool on)
{
	asm volatile(".option push\n"
		     ".option norvc\n"
		     "amoadd.w	x0, x0, (%0)\n"
		     ".option pop" : : "r" (page + 1) : "memory");
	GUEST_ASSERT_EQ(traps_of(EXC_STORE_MISALIGNED), 1);
	GUEST_SYNC(on);
}

static void guest_misaligned(void)
{
	guest_try(MISALIGNED, guest_try_misaligned);
}

static void prepare_try(FIXTURE_DATA(sbi) *self)
{
	page = vm_alloc_page(self->vm);
	sync_global_to_guest(self->vm, page);
}

TEST_F(sbi, fwft_misaligned)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 before, exits, round = 0;

	if (!has_feature(vcpu, MISALIGNED))
		SKIP(return, "the harts do not delegate the exceptions");
	prepare_try(self);
	vm_install_exception_handler(self->vm, EXC_STORE_MISALIGNED, guest_skip);
	vcpu_arch_set_entry_point(vcpu, guest_misaligned);
	do {
		before = vcpu_get_stat(vcpu, store_misaligned_exits);
		vcpu_run(vcpu);
		exits = vcpu_get_stat(vcpu, store_misaligned_exits) - before;
		if (round < 3)
			TEST_ASSERT_EQ(exits, round != 1);
		round++;
	} while (!guest_is_done(vcpu));
	TEST_ASSERT_EQ(round, 4);
}

/* Whether the hart sets the bits itself, or has the guest do it. */
static void guest_try_pte_ad(bool on)
{
	/* User space clears them again. */
	GUEST_SYNC(on);
	asm volatile("sfence.vma" : : : "memory");
	asm volatile(".option push\n"
		     ".option norvc\n"
		     "sd	x0, (%0)\n"
		     ".option pop" : : "r" (page) : "memory");
	GUEST_ASSERT_EQ(traps_of(EXC_STORE_PAGE_FAULT), !on);
}

static void guest_pte_ad(void)
{
	guest_try(PTE_AD, guest_try_pte_ad);
}

#define PTE_A_AND_D	(PGTBL_PTE_ACCESSED_MASK | PGTBL_PTE_DIRTY_MASK)

TEST_F(sbi, fwft_pte_ad)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int exits = 0;
	bool done;
	u64 *pte;

	if (!has_feature(vcpu, PTE_AD))
		SKIP(return, "the hart has no Svadu");
	prepare_try(self);
	vm_install_exception_handler(self->vm, EXC_STORE_PAGE_FAULT, guest_skip);
	pte = pte_of(self->vm, page);
	*pte &= ~PTE_A_AND_D;
	vcpu_arch_set_entry_point(vcpu, guest_pte_ad);
	do {
		vcpu_run(vcpu);
		done = guest_is_done(vcpu);
		/* The bits are those of the round before. */
		TEST_ASSERT_EQ(*pte & PTE_A_AND_D, exits == 2 ? PTE_A_AND_D : 0);
		*pte &= ~PTE_A_AND_D;
		exits++;
	} while (!done);
	TEST_ASSERT_EQ(exits, 4);
}

TEST_HARNESS_MAIN
