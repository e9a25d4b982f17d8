// SPDX-License-Identifier: GPL-2.0
/*
 * Registers that user space sets and the guest does not see, and the reverse.
 */
#include "world_switch.h"

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

TEST_HARNESS_MAIN
