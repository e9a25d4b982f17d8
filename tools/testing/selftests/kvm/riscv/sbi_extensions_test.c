// SPDX-License-Identifier: GPL-2.0
/*
 * Which extensions and functions of the SBI there are, by the base extension and by
 * what is answered where there is none; and random arguments of those there are.
 */
#include "sbi_guest.h"

#define BASE_GET_MVENDORID	4
#define BASE_GET_MARCHID	5
#define BASE_GET_MIMPID		6

#define SBI_KVM_IMPL_ID		3
#define SBI_KVM_SPEC_VERSION	(3UL << SBI_SPEC_VERSION_MAJOR_SHIFT)
#define SBI_LOWEST_ERROR	-14

static u64 machine_ids[3];

static void guest_base(void)
{
	struct sbiret ret;
	int i;

	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_GET_SPEC_VERSION);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT_EQ(ret.value, SBI_KVM_SPEC_VERSION);

	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_GET_IMP_ID);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT_EQ(ret.value, SBI_KVM_IMPL_ID);

	/* The kernel's version: some x.y.z with x > 0. */
	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_GET_IMP_VERSION);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT(ret.value >> 16);

	for (i = 0; i < 3; i++) {
		ret = CALL(SBI_EXT_BASE, BASE_GET_MVENDORID + i);
		GUEST_ASSERT_EQ(ret.error, 0);
		GUEST_ASSERT_EQ((u64)ret.value, machine_ids[i]);
	}

	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(SBI_EXT_BASE, BASE_GET_MIMPID + 1));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(SBI_EXT_BASE, -1UL));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(SBI_EXT_BASE, 1UL << 32));
	GUEST_DONE();
}

TEST_F(sbi, base)
{
	const u64 ids[] = {
		RISCV_CONFIG_REG(mvendorid), RISCV_CONFIG_REG(marchid),
		RISCV_CONFIG_REG(mimpid),
	};
	int i;

	for (i = 0; i < 3; i++) {
		machine_ids[i] = 0x1234567 * (i + 1);
		vcpu_set_reg(self->vcpu[0], ids[i], machine_ids[i]);
	}
	sync_global_to_guest(self->vm, machine_ids);
	run_guest(self->vcpu[0], guest_base);
}

/* What each extension that ONE_REG can switch is called by a guest. */
static const struct {
	u64 reg;
	u64 id;
} extensions[] = {
	{ KVM_RISCV_SBI_EXT_PMU, SBI_EXT_PMU },
	{ KVM_RISCV_SBI_EXT_TIME, EXT_TIME },
	{ KVM_RISCV_SBI_EXT_IPI, EXT_IPI },
	{ KVM_RISCV_SBI_EXT_RFENCE, EXT_RFENCE },
	{ KVM_RISCV_SBI_EXT_SRST, EXT_SRST },
	{ KVM_RISCV_SBI_EXT_HSM, EXT_HSM },
	{ KVM_RISCV_SBI_EXT_DBCN, EXT_DBCN },
	{ KVM_RISCV_SBI_EXT_STA, EXT_STA },
	{ KVM_RISCV_SBI_EXT_SUSP, EXT_SUSP },
	{ KVM_RISCV_SBI_EXT_FWFT, EXT_FWFT },
	{ KVM_RISCV_SBI_EXT_MPXY, EXT_MPXY },
};

static bool enabled[ARRAY_SIZE(extensions)];

static void guest_probe(void)
{
	struct sbiret ret;
	int i;

	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, SBI_EXT_BASE);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT(ret.value);

	for (i = 0; i < ARRAY_SIZE(extensions); i++) {
		ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, extensions[i].id);
		GUEST_ASSERT_EQ(ret.error, 0);
		__GUEST_ASSERT(!!ret.value == enabled[i],
			       "extension 0x%lx: probe says %ld, ONE_REG %d",
			       extensions[i].id, ret.value, enabled[i]);
		if (!enabled[i])
			GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED,
					   CALL(extensions[i].id, 0));
	}
	GUEST_DONE();
}

static void read_enabled(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		enabled[i] = __vcpu_has_sbi_ext(vcpu, extensions[i].reg);
	sync_global_to_guest(vm, enabled);
}

TEST_F(sbi, probe_default)
{
	const u64 needed[] = {
		KVM_RISCV_SBI_EXT_TIME, KVM_RISCV_SBI_EXT_IPI,
		KVM_RISCV_SBI_EXT_RFENCE, KVM_RISCV_SBI_EXT_SRST,
		KVM_RISCV_SBI_EXT_HSM,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++)
		TEST_ASSERT(__vcpu_has_sbi_ext(self->vcpu[0], needed[i]),
			    "extension %lu is not on by default", needed[i]);
	TEST_ASSERT(!__vcpu_has_sbi_ext(self->vcpu[0], KVM_RISCV_SBI_EXT_DBCN),
		    "DBCN is on by default, with no one to serve it");

	read_enabled(self->vm, self->vcpu[0]);
	run_guest(self->vcpu[0], guest_probe);
}

TEST_F(sbi, probe_disabled)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		if (__vcpu_has_sbi_ext(vcpu, extensions[i].reg))
			vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(extensions[i].reg), 0);
	read_enabled(self->vm, vcpu);
	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		TEST_ASSERT(!enabled[i], "extension %lu can't be switched off",
			    extensions[i].reg);
	run_guest(vcpu, guest_probe);

	/* Too late now. */
	TEST_ASSERT(__vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_TIME), 1) &&
		    errno == EBUSY, "an extension was switched on after the first run");
}

static void guest_unknown(void)
{
	static const u64 unknown[] = {
		-1UL, 1UL << 63, 0x11, 0x0f, 0x7ffffffUL, 0x0a000000UL,
		0x4e41434cUL /* NACL: there is no nesting */,
		(1UL << 32) | SBI_EXT_BASE, (1UL << 32) | EXT_TIME, EXT_TIME - 1,
		EXT_TIME + 1,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct sbiret ret = call6(unknown[i], 0, -1UL, -1UL, -1UL, -1UL,
					  -1UL, -1UL);

		__GUEST_ASSERT(ret.error == SBI_ERR_NOT_SUPPORTED,
			       "extension 0x%lx: error %ld", unknown[i], ret.error);
		/* KVM keeps -1 for extensions that it was built without. */
		if (unknown[i] == -1UL)
			continue;
		ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, unknown[i]);
		GUEST_ASSERT_EQ(ret.error, 0);
		__GUEST_ASSERT(!ret.value, "extension 0x%lx: probe says %ld",
			       unknown[i], ret.value);
	}
	GUEST_DONE();
}

TEST_F(sbi, unknown_extension)
{
	run_guest(self->vcpu[0], guest_unknown);
}

static void guest_unknown_function(void)
{
	static const u64 ids[] = {
		SBI_EXT_BASE, EXT_TIME, EXT_IPI, EXT_RFENCE, EXT_HSM, EXT_SRST,
	};
	static const u64 functions[] = { 100, 0x7fffffff, 1UL << 32, 1UL << 63, -1UL };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		for (j = 0; j < ARRAY_SIZE(functions); j++) {
			struct sbiret ret = CALL(ids[i], functions[j]);

			__GUEST_ASSERT(ret.error == SBI_ERR_NOT_SUPPORTED,
				       "extension 0x%lx, function 0x%lx: error %ld",
				       ids[i], functions[j], ret.error);
		}
	GUEST_DONE();
}

TEST_F(sbi, unknown_function)
{
	run_guest(self->vcpu[0], guest_unknown_function);
}

static u64 guest_random_state;

static u64 guest_random(void)
{
	guest_random_state ^= guest_random_state << 13;
	guest_random_state ^= guest_random_state >> 7;
	guest_random_state ^= guest_random_state << 17;
	return guest_random_state;
}

static const u64 hostile[] = {
	0, 1, 2, 3, 7, 63, 64, 4095, 4096, -1UL, -2UL, -4096UL, 1UL << 31,
	1UL << 32, 1UL << 55, 1UL << 56, 1UL << 62, 1UL << 63, ~(1UL << 63),
	UNBACKED_GPA, UNBACKED_GPA + 1, EXT_TIME,
};

static u64 guest_hostile_value(void)
{
	return hostile[guest_random() % ARRAY_SIZE(hostile)];
}

static void guest_fuzz(int rounds)
{
	static const u64 ids[] = {
		SBI_EXT_BASE, EXT_TIME, EXT_IPI, EXT_RFENCE, EXT_HSM, EXT_SRST,
		EXT_DBCN, EXT_SUSP, EXT_STA, EXT_FWFT, EXT_MPXY, SBI_EXT_PMU,
	};

	csr_write(CSR_SIE, 0);
	while (rounds--) {
		u64 ext = ids[guest_random() % ARRAY_SIZE(ids)];
		u64 fid = guest_random() % 10;
		u64 args[6];
		struct sbiret ret;
		int i;

		if (!(guest_random() % 8))
			fid = guest_hostile_value();
		for (i = 0; i < ARRAY_SIZE(args); i++)
			args[i] = guest_hostile_value();
		/* What works as asked: the guest would stop or sleep. */
		if (ext == EXT_HSM && (fid == HSM_STOP || fid == HSM_SUSPEND))
			continue;
		if (ext == EXT_SRST && fid == 0 && (u32)args[0] <= 2)
			continue;

		ret = call6(ext, fid, args[0], args[1], args[2], args[3],
			    args[4], args[5]);
		__GUEST_ASSERT(ret.error <= 0 && ret.error >= SBI_LOWEST_ERROR,
			       "SBI call 0x%lx, 0x%lx (0x%lx, 0x%lx, 0x%lx, 0x%lx): error %ld",
			       ext, fid, args[0], args[1], args[2], args[3], ret.error);
	}
	GUEST_DONE();
}

TEST_F(sbi, hostile_arguments)
{
	guest_random_state = (u64)kvm_random_seed << 32 | 0x9e3779b9;
	sync_global_to_guest(self->vm, guest_random_state);
	vcpu_args_set(self->vcpu[0], 1, 5000);
	run_guest(self->vcpu[0], guest_fuzz);
}

TEST_HARNESS_MAIN
