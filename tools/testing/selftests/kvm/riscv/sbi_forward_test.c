// SPDX-License-Identifier: GPL-2.0
/*
 * Calls of the SBI that KVM hands to user space.
 */
#include "sbi_guest.h"

static u64 forward_ext;

static void guest_forward(void)
{
	struct sbiret ret;

	ret = call6(forward_ext, 2, 10, 11, 12, 13, 14, -15UL);
	GUEST_ASSERT_EQ(ret.error, SBI_ERR_DENIED);
	GUEST_ASSERT_EQ(ret.value, 0x123456789abcdefL);

	/* User space that does not care has KVM say what it must. */
	ret = CALL(forward_ext, 3);
	GUEST_ASSERT_EQ(ret.error, SBI_ERR_NOT_SUPPORTED);
	GUEST_ASSERT_EQ(ret.value, 0);
	GUEST_DONE();
}

static void expect_forward(struct kvm_vm *vm, struct kvm_vcpu *vcpu, u64 ext)
{
	struct kvm_run *run = vcpu->run;
	int i;

	forward_ext = ext;
	sync_global_to_guest(vm, forward_ext);
	vcpu_arch_set_entry_point(vcpu, guest_forward);

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, ext);
	TEST_ASSERT_EQ(run->riscv_sbi.function_id, 2);
	for (i = 0; i < 5; i++)
		TEST_ASSERT_EQ(run->riscv_sbi.args[i], 10 + i);
	TEST_ASSERT_EQ(run->riscv_sbi.args[5], -15UL);
	run->riscv_sbi.ret[0] = SBI_ERR_DENIED;
	run->riscv_sbi.ret[1] = 0x123456789abcdefL;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.function_id, 3);

	run_until_done(vcpu);
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, ecall_exit_stat), 3);
}

TEST_F(sbi, experimental)
{
	expect_forward(self->vm, self->vcpu[0], EXT_FORWARD);
}

TEST_F(sbi, vendor)
{
	expect_forward(self->vm, self->vcpu[0], EXT_VENDOR);
}

/* Extensions that user space has to enable first. */
static void expect_optional(struct kvm_vm *vm, struct kvm_vcpu *vcpu, u64 reg, u64 ext)
{
	TEST_ASSERT(__vcpu_set_reg(vcpu, reg, 2) && errno == EINVAL,
		    "an extension was set to 2");
	vcpu_set_reg(vcpu, reg, 1);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg), 1);
	expect_forward(vm, vcpu, ext);
}

TEST_F(sbi, debug_console)
{
	expect_optional(self->vm, self->vcpu[0], RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_DBCN),
			EXT_DBCN);
}

TEST_F(sbi, message_proxy)
{
	expect_optional(self->vm, self->vcpu[0], RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_MPXY),
			EXT_MPXY);
}

static void guest_probe_forwarded(void)
{
	struct sbiret ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, EXT_FORWARD + 1);

	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT_EQ(ret.value, 77);
	GUEST_DONE();
}

/* Whether such an extension exists, only user space knows. */
TEST_F(sbi, probe_forwarded)
{
	struct kvm_run *run = self->vcpu[0]->run;

	vcpu_arch_set_entry_point(self->vcpu[0], guest_probe_forwarded);
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpu[0], KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, SBI_EXT_BASE);
	TEST_ASSERT_EQ(run->riscv_sbi.function_id, SBI_EXT_BASE_PROBE_EXT);
	TEST_ASSERT_EQ(run->riscv_sbi.args[0], EXT_FORWARD + 1);
	run->riscv_sbi.ret[0] = 0;
	run->riscv_sbi.ret[1] = 77;
	run_until_done(self->vcpu[0]);
}

TEST_HARNESS_MAIN
