/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a reset clears of a vCPU, as user space sees it: the registers but for the
 * program counter, and but for what the SBI gives to a hart that it starts.
 */
#ifndef SELFTEST_KVM_RISCV_RESET_STATE_H
#define SELFTEST_KVM_RISCV_RESET_STATE_H

#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"

/* Legal values, so that they can be read back. */
static const struct {
	u64 csr, value;
} spoilt_csrs[] = {
	{ KVM_REG_RISCV_CSR_REG(sie), IE_SIE | IE_TIE | IE_EIE },
	{ KVM_REG_RISCV_CSR_REG(stvec), 0x2000 },
	{ KVM_REG_RISCV_CSR_REG(sscratch), 0x2004 },
	{ KVM_REG_RISCV_CSR_REG(sepc), 0x2008 },
	{ KVM_REG_RISCV_CSR_REG(scause), EXC_LOAD_ACCESS },
	{ KVM_REG_RISCV_CSR_REG(stval), 0x200c },
	{ KVM_REG_RISCV_CSR_REG(scounteren), 7 },
	/* FIOM */
	{ KVM_REG_RISCV_CSR_REG(senvcfg), 1 },
};

/* Of sstatus, which has fields that no reset clears. */
#define SPOILT_SSTATUS	(SR_SPIE | SR_SPP | SR_FS | SR_VS | SR_SUM)

static inline u64 general_csr(u64 csr)
{
	return __kvm_reg_id(KVM_REG_RISCV_CSR, KVM_REG_RISCV_CSR_GENERAL, csr,
			    KVM_REG_SIZE_ULONG);
}

#define NR_F_REGS	32
#define NR_V_REGS	32
#define NR_V_CSRS	4	/* vstart, vl, vtype, vcsr */

static inline u64 double_reg(int n)
{
	return __kvm_reg_id(KVM_REG_RISCV_FP_D, 0, n, KVM_REG_SIZE_U64);
}

static inline u64 fcsr_reg(void)
{
	return __kvm_reg_id(KVM_REG_RISCV_FP_D, 0, KVM_REG_RISCV_FP_D_REG(fcsr),
			    KVM_REG_SIZE_U32);
}

static inline u64 vector_csr_reg(int n)
{
	return __kvm_reg_id(KVM_REG_RISCV_VECTOR, 0, n, KVM_REG_SIZE_ULONG);
}

static inline u64 vector_length(struct kvm_vcpu *vcpu)
{
	return vcpu_get_reg(vcpu, vector_csr_reg(KVM_REG_RISCV_VECTOR_CSR_REG(vlenb)));
}

static inline u64 vector_reg(u64 vlenb, int n)
{
	return __kvm_reg_id(KVM_REG_RISCV_VECTOR, 0, KVM_REG_RISCV_VECTOR_REG(n),
			    (u64)__builtin_ctzl(vlenb) << KVM_REG_SIZE_SHIFT);
}

#define MAX_VECTOR	8192

/* Puts something into each register. */
static inline void spoil_state(struct kvm_vcpu *vcpu)
{
	static u8 ones[MAX_VECTOR];
	u32 fcsr = 0x1f;
	unsigned int i;

	for (i = 1; i < 32; i++)
		vcpu_set_reg(vcpu, core_reg(i), 0x2000 + i);
	for (i = 0; i < ARRAY_SIZE(spoilt_csrs); i++) {
		vcpu_set_reg(vcpu, general_csr(spoilt_csrs[i].csr), spoilt_csrs[i].value);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, general_csr(spoilt_csrs[i].csr)),
			       spoilt_csrs[i].value);
	}
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sstatus), SPOILT_SSTATUS);

	if (__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_D)) {
		for (i = 0; i < NR_F_REGS; i++)
			vcpu_set_reg(vcpu, double_reg(i), 0x2000 + i);
		TEST_ASSERT(!__vcpu_set_reg(vcpu, fcsr_reg(), fcsr), "errno %d", errno);
	}
	if (__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_V)) {
		u64 vlenb = vector_length(vcpu);

		TEST_ASSERT(vlenb <= MAX_VECTOR, "vlenb is %lu", vlenb);
		memset(ones, 0xff, sizeof(ones));
		for (i = 0; i < NR_V_CSRS; i++)
			vcpu_set_reg(vcpu, vector_csr_reg(i), 1);
		for (i = 0; i < NR_V_REGS; i++) {
			struct kvm_one_reg reg = {
				.id = vector_reg(vlenb, i), .addr = (u64)ones,
			};

			vcpu_ioctl(vcpu, KVM_SET_ONE_REG, &reg);
		}
	}
}

/* Checks that nothing of that is left. What is in x1 to x31, the caller knows. */
static inline void check_reset_state(struct kvm_vcpu *vcpu)
{
	static u8 value[MAX_VECTOR], zeros[MAX_VECTOR];
	u32 fcsr;
	unsigned int i;

	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(mode)), KVM_RISCV_MODE_S);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(satp)), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sstatus)) & SPOILT_SSTATUS, 0);
	for (i = 0; i < ARRAY_SIZE(spoilt_csrs); i++) {
		u64 got = vcpu_get_reg(vcpu, general_csr(spoilt_csrs[i].csr));

		TEST_ASSERT(!got, "CSR number %lu of KVM's is 0x%lx", spoilt_csrs[i].csr, got);
	}

	if (__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_D)) {
		for (i = 0; i < NR_F_REGS; i++)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, double_reg(i)), 0);
		TEST_ASSERT(!__vcpu_get_reg(vcpu, fcsr_reg(), &fcsr), "errno %d", errno);
		TEST_ASSERT_EQ(fcsr, 0);
	}
	if (__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_V)) {
		u64 vlenb = vector_length(vcpu);

		for (i = 0; i < NR_V_CSRS; i++)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, vector_csr_reg(i)), 0);
		for (i = 0; i < NR_V_REGS; i++) {
			struct kvm_one_reg reg = {
				.id = vector_reg(vlenb, i), .addr = (u64)value,
			};

			vcpu_ioctl(vcpu, KVM_GET_ONE_REG, &reg);
			TEST_ASSERT(!memcmp(value, zeros, vlenb), "v%u is not zero", i);
		}
	}
}

#endif /* SELFTEST_KVM_RISCV_RESET_STATE_H */
