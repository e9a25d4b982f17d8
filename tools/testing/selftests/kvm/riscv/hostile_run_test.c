// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_RUN: of a vCPU whose kvm_run user space scribbles over, of one that is to
 * exit immediately, and of one that has no way to go on.
 */
#include "hostile.h"

TEST_F(hostile, immediate_exit)
{
	struct kvm_run *run = self->vcpu->run;
	u64 pc = vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc));
	int i;

	run->immediate_exit = 1;
	for (i = 0; i < 100; i++)
		EXPECT_ERRNO(EINTR, __vcpu_run(self->vcpu));
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc)), pc);
	run->immediate_exit = 255;
	EXPECT_ERRNO(EINTR, __vcpu_run(self->vcpu));
	EXPECT_ERRNO(EINVAL, vcpu_raw(self->vcpu, KVM_RUN, 1));

	/* Completion is done once, however often user space asks for it. */
	run->immediate_exit = 0;
	vcpu_run(self->vcpu);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_MMIO);
	pc = vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc));
	run->immediate_exit = 1;
	for (i = 0; i < 3; i++) {
		EXPECT_ERRNO(EINTR, __vcpu_run(self->vcpu));
		TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc)), pc + 4);
	}
	check_alive(self);
}

/* User space writes what it likes into the page that it shares with KVM. */
static void scribble(struct kvm_run *run)
{
	static const u32 reasons[] = {
		KVM_EXIT_UNKNOWN, KVM_EXIT_MMIO, KVM_EXIT_RISCV_SBI,
		KVM_EXIT_RISCV_CSR, KVM_EXIT_DEBUG, KVM_EXIT_SYSTEM_EVENT,
		KVM_EXIT_INTERNAL_ERROR, 1000, -1,
	};
	u8 *bytes = (u8 *)run;
	size_t i, from = offsetof(struct kvm_run, padding1);

	switch (kvm_random_u32(&kvm_rng) % 4) {
	case 0:
		run->mmio.len = kvm_random_u32(&kvm_rng);
		run->mmio.is_write = kvm_random_u32(&kvm_rng);
		break;
	case 1:
		for (i = from; i < 256; i++)
			bytes[i] = kvm_random_u32(&kvm_rng);
		break;
	case 2:
		memset(bytes + from, 0xff, sizeof(*run) - from);
		break;
	}
	if (kvm_random_bool(&kvm_rng))
		run->exit_reason = reasons[kvm_random_u32(&kvm_rng) % ARRAY_SIZE(reasons)];
}

TEST_F(hostile, kvm_run)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	int i, failed = 0;

	for (i = 0; i < 3000; i++) {
		scribble(vcpu->run);
		vcpu->run->immediate_exit = kvm_random_u32(&kvm_rng) % 8 == 0;
		if (!__vcpu_run(vcpu))
			continue;
		TEST_ASSERT(errno == EINTR || errno == EOPNOTSUPP || errno == EIO ||
			    errno == EINVAL, "KVM_RUN: errno %d", errno);
		failed++;
		vcpu_arch_set_entry_point(vcpu, guest_exits);
	}
	TEST_ASSERT(failed < 2000, "%d of 3000 runs failed", failed);
	check_alive(self);
}

/* Before the first exit there is nothing to complete. */
TEST_F(hostile, kvm_run_first)
{
	static const u32 reasons[] = {
		KVM_EXIT_MMIO, KVM_EXIT_RISCV_SBI, KVM_EXIT_RISCV_CSR, -1,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct kvm_vm *vm;
		struct kvm_vcpu *vcpu = another_vcpu(&vm);

		memset(vcpu->run, 0xff, sizeof(*vcpu->run));
		vcpu->run->exit_reason = reasons[i];
		vcpu->run->immediate_exit = 1;
		TEST_ASSERT(__vcpu_run(vcpu) == -1, "an immediate exit came back with success");
		kvm_vm_free(vm);
	}
}

#define ANY_CAUSE	(-1UL)

/*
 * A vCPU that has no way to go on can still be stopped. It traps over and over:
 * either it exits each time, or its guest is given the trap without an exit.
 */
static void expect_endless(struct kvm_vcpu *vcpu, const char *what, u64 cause, bool exits)
{
	struct vcpu_thread thread;

	vcpu_thread_start(&thread, vcpu);
	TEST_ASSERT(vcpu_has_exited(vcpu), "%s: the guest did not run", what);
	usleep(30000);
	/* As long as is waited for them, ticks of 250 Hz make half as many. */
	TEST_ASSERT(!exits || vcpu_exits_reach(vcpu, 5000),
		    "%s: the guest has stopped trapping", what);
	vcpu_thread_stop(&thread);
	TEST_ASSERT(!thread.done, "%s: the guest is done", what);
	if (cause != ANY_CAUSE)
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(scause)), cause);
}

TEST_F(hostile, guest_state)
{
	static const struct {
		const char *what;
		u64 pc, satp;
		bool set_satp;
		u64 cause;
		bool exits;
	} states[] = {
		{ "pc outside of memory", 0x7000000000, 0, true, EXC_INST_ACCESS, true },
		{ "pc -1", -1UL, 0, true, EXC_INST_ACCESS, true },
		{ "pc not canonical", 1UL << 62, 0, false, EXC_INST_PAGE_FAULT, false },
		{ "page tables outside of memory", 0x1000, 8UL << 60 | 0x7000000, true,
		  EXC_INST_ACCESS, true },
		{ "page tables beyond all addresses", 0x1000, 8UL << 60 | ((1UL << 44) - 1), true,
		  EXC_INST_ACCESS, true },
		/* A hart may ignore it, and keep the satp of whoever ran there before. */
		{ "an unknown mode of satp", 0x1000, 15UL << 60, true, ANY_CAUSE, false },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		struct kvm_vm *vm;
		struct kvm_vcpu *vcpu = another_vcpu(&vm);

		if (states[i].set_satp)
			vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(satp), states[i].satp);
		vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(stvec), states[i].pc & ~3UL);
		vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.pc), states[i].pc);
		expect_endless(vcpu, states[i].what, states[i].cause, states[i].exits);
		kvm_vm_free(vm);
	}
}

TEST_HARNESS_MAIN
