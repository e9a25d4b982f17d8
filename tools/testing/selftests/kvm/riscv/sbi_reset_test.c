// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that resets or suspends its system by the SBI.
 */
#include "sbi_guest.h"

static u64 opaque, start_pc_gpa;

static void guest_reset(u64 type, u64 reason)
{
	struct sbiret ret = CALL(EXT_SRST, 0, type, reason);

	/* Only what does not exist comes back, which the C backend does not support. */
	if (guest_is_under_rust || ret.error != SBI_ERR_NOT_SUPPORTED)
		GUEST_ASSERT_EQ(ret.error, SBI_ERR_INVALID_PARAM);
	GUEST_DONE();
}

static void expect_system_event(FIXTURE_DATA(sbi) *self, u64 type, u64 reason, u32 event)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		set_mp_state(self->vcpu[i], KVM_MP_STATE_RUNNABLE);
	vcpu_arch_set_entry_point(vcpu, guest_reset);
	vcpu_args_set(vcpu, 2, type, reason);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_SYSTEM_EVENT);
	TEST_ASSERT_EQ(vcpu->run->system_event.type, event);
	TEST_ASSERT_EQ(vcpu->run->system_event.ndata, 1);
	TEST_ASSERT_EQ(vcpu->run->system_event.data[0], (u32)reason);
	for (i = 0; i < NR_VCPUS; i++)
		TEST_ASSERT_EQ(mp_state_of(self->vcpu[i]), KVM_MP_STATE_STOPPED);
}

TEST_F(sbi, system_reset)
{
	expect_system_event(self, 0, 0, KVM_SYSTEM_EVENT_SHUTDOWN);
	expect_system_event(self, 0, 1, KVM_SYSTEM_EVENT_SHUTDOWN);
	expect_system_event(self, 1, 0, KVM_SYSTEM_EVENT_RESET);
	expect_system_event(self, 2, 1, KVM_SYSTEM_EVENT_RESET);
	/* Both arguments are 32 bits wide. */
	expect_system_event(self, 1UL << 32, -1UL, KVM_SYSTEM_EVENT_SHUTDOWN);
}

static void expect_no_reset(FIXTURE_DATA(sbi) *self, u64 type, u64 reason)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 sp = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.sp));

	tell_guest_backend(self->vm);
	vcpu_args_set(vcpu, 2, type, reason);
	run_guest(vcpu, guest_reset);
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), sp);
}

TEST_F(sbi, system_reset_bad_type)
{
	const u64 types[] = { 3, 0x7fffffff, 0x80000000, 0xf0000000, 0xffffffff };
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		expect_no_reset(self, types[i], 0);
}

TEST_F(sbi, system_reset_bad_reason)
{
	const u64 reasons[] = { 2, 0x7fffffff, 0xdfffffff };
	int i;

	if (!is_rust_backend())
		SKIP(return, "the C backend does not look at the reason of a reset");
	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		expect_no_reset(self, 0, reasons[i]);
}

/* Where the hart begins after a suspend, without translation: tells what it finds. */
#define RESUMED_EID	0x08000123
extern const u32 resumed[], resumed_end[];

asm(".pushsection .rodata\n"
	".option push\n"
	".option norvc\n"
	".balign 4\n"
	"resumed:\n"
	"	csrr	a2, satp\n"
	"	csrr	a3, sie\n"
	"	csrr	a4, sstatus\n"
	"	csrr	a5, sip\n"
	"	li	a7, " __stringify(RESUMED_EID) "\n"
	"	ecall\n"
	"	j	.\n"
	"resumed_end:\n"
	".option pop\n"
	".popsection\n");

static void guest_suspend(void)
{
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(EXT_SUSP, 1, 0, start_pc_gpa, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_SUSP, 0, 1, start_pc_gpa, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_SUSP, 0, 0x80000000, start_pc_gpa, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_ADDRESS, CALL(EXT_SUSP, 0, 0, UNBACKED_GPA, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_ADDRESS, CALL(EXT_SUSP, 0, 0, -1UL, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_DENIED, CALL(EXT_SUSP, 0, 0, start_pc_gpa, 0));
	GUEST_SYNC(0);
	/* None of these has left anything behind. */
	csr_write(CSR_SIE, IE_EIE | IE_TIE);
	csr_write(CSR_SIP, IE_SIE);
	/* The type is 32 bits wide. */
	CALL(EXT_SUSP, 0, 1UL << 32, start_pc_gpa, opaque);
	GUEST_FAIL("a suspend came back");
}

static void suspend(FIXTURE_DATA(sbi) *self)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_run *run = vcpu->run;
	gva_t page = vm_alloc_page(self->vm);
	int i;

	start_pc_gpa = addr_gva2gpa(self->vm, page);
	opaque = 0x1234567890abcdef;
	sync_global_to_guest(self->vm, start_pc_gpa);
	sync_global_to_guest(self->vm, opaque);
	memcpy(addr_gva2hva(self->vm, page), resumed, (char *)resumed_end - (char *)resumed);
	vcpu_arch_set_entry_point(vcpu, guest_suspend);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "not reached");

	for (i = 1; i < NR_VCPUS; i++)
		set_mp_state(self->vcpu[i], KVM_MP_STATE_STOPPED);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, EXT_SUSP);
	TEST_ASSERT_EQ(run->riscv_sbi.function_id, 0);
	TEST_ASSERT_EQ(run->riscv_sbi.args[1], start_pc_gpa);
	TEST_ASSERT_EQ(run->riscv_sbi.args[2], opaque);
	TEST_ASSERT_EQ(mp_state_of(vcpu), KVM_MP_STATE_RUNNABLE);
}

static void expect_resumed(struct kvm_vcpu *vcpu, bool external)
{
	struct kvm_run *run = vcpu->run;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, RESUMED_EID);
	TEST_ASSERT_EQ(run->riscv_sbi.args[0], vcpu->id);
	TEST_ASSERT_EQ(run->riscv_sbi.args[1], opaque);
	TEST_ASSERT_EQ(run->riscv_sbi.args[2], 0);
	TEST_ASSERT_EQ(run->riscv_sbi.args[3], 0);
	TEST_ASSERT_EQ(run->riscv_sbi.args[4] & SR_SIE, 0);
	TEST_ASSERT_EQ(run->riscv_sbi.args[5], external ? IE_EIE : 0);
}

static bool has_suspend(struct kvm_vcpu *vcpu)
{
	return !__vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_SUSP), 1);
}

/* Whatever user space answers, the hart begins anew. */
TEST_F(sbi, system_suspend)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	TEST_ASSERT(has_suspend(vcpu), "KVM has no SUSP extension");
	suspend(self);
	vcpu->run->riscv_sbi.ret[0] = SBI_ERR_FAILURE;
	vcpu->run->riscv_sbi.ret[1] = 1;
	if (is_rust_backend()) {
		/* It can be saved before it wakes up. */
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), start_pc_gpa);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.a0)), vcpu->id);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.a1)), opaque);
	}
	expect_resumed(vcpu, false);
}

/* User space may stop the hart until the system wakes up. */
TEST_F(sbi, system_suspend_stopped)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	TEST_ASSERT(has_suspend(vcpu), "KVM has no SUSP extension");
	suspend(self);
	set_mp_state(vcpu, KVM_MP_STATE_STOPPED);
	set_mp_state(vcpu, KVM_MP_STATE_RUNNABLE);
	expect_resumed(vcpu, false);
}

/* What wakes the system is still there when the hart begins. */
TEST_F(sbi, system_suspend_interrupt)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_interrupt irq = { .irq = KVM_INTERRUPT_SET };

	TEST_ASSERT(has_suspend(vcpu), "KVM has no SUSP extension");
	vcpu_ioctl(vcpu, KVM_INTERRUPT, &irq);
	if (!is_rust_backend())
		SKIP(return, "the C backend lowers the wire of an external interrupt");
	suspend(self);
	expect_resumed(vcpu, true);
}

/* A guest without the extension does not have it; it is off by default. */
TEST_F(sbi, no_system_suspend)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 id = RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_SUSP);

	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, id), 0);
}

TEST_HARNESS_MAIN
