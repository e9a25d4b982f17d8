// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_RUN: of a vCPU whose kvm_run user space scribbles over, of one that is to
 * exit immediately, and of one that has no way to go on.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

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

/* By another exit reason, user space cancels what the last exit has left. */
TEST_F(hostile, cancelled)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	struct kvm_run *run = vcpu->run;
	u64 pc;

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_MMIO);
	pc = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc));
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.t1), 0x1234);
	run->exit_reason = KVM_EXIT_UNKNOWN;
	run->immediate_exit = 1;
	EXPECT_ERRNO(EINTR, __vcpu_run(vcpu));
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), pc);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.t1)), 0x1234);
	check_alive(self);
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

#define MISSING_GVA		0x50000000UL
#define MISSING_VALUE		0x123456789abcdefUL

static void guest_read_missing(void)
{
	GUEST_ASSERT_EQ(READ_ONCE(*(u64 *)MISSING_GVA), MISSING_VALUE);
	GUEST_DONE();
}

static void guest_write_missing(void)
{
	WRITE_ONCE(((u64 *)MISSING_GVA)[1], MISSING_VALUE);
	guest_read_missing();
}

/* Waits until a thread waits for a page of `memory`. */
static void wait_for_userfault(int fd, void *memory)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	TEST_ASSERT(poll(&pollfd, 1, 30000) == 1, "the guest does not fault");
	TEST_ASSERT(read(fd, &msg, sizeof(msg)) == sizeof(msg), "read: %s", strerror(errno));
	TEST_ASSERT_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
	TEST_ASSERT_EQ(msg.arg.pagefault.address & ~(PAGE - 1), (u64)memory);
}

/*
 * A fault that waits for user space to supply the page ends by a signal, so that
 * user space can stop the vCPU. Then the guest faults again, and goes on.
 */
static void check_userfault(FIXTURE_DATA(hostile) *self, void *guest)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy copy = { .len = PAGE };
	struct kvm_vcpu *vcpu = self->vcpu;
	struct vcpu_thread thread;
	u64 *memory, *page;
	int fd, round;

	fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	TEST_ASSERT(fd >= 0, "userfaultfd: %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, UFFDIO_API, &api), "UFFDIO_API: %s", strerror(errno));
	memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	page = (void *)memory + PAGE;
	range.range.start = (u64)memory;
	range.range.len = PAGE;
	TEST_ASSERT(!ioctl(fd, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER: %s",
		    strerror(errno));
	vm_set_user_memory_region(self->vm, FREE_SLOT, 0, FREE_GPA, PAGE, memory);
	virt_pg_map(self->vm, MISSING_GVA, FREE_GPA);

	vcpu_arch_set_entry_point(vcpu, guest);
	for (round = 1; round <= 5; round++) {
		vcpu_thread_start(&thread, vcpu);
		wait_for_userfault(fd, memory);
		vcpu_thread_stop(&thread);
		TEST_ASSERT(!thread.done, "the guest has got a page that is not there");
		TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_INTR);
		TEST_ASSERT_EQ(vcpu_get_stat(vcpu, signal_exits), round);
	}

	vcpu_thread_start(&thread, vcpu);
	wait_for_userfault(fd, memory);
	*page = MISSING_VALUE;
	copy.dst = (u64)memory;
	copy.src = (u64)page;
	TEST_ASSERT(!ioctl(fd, UFFDIO_COPY, &copy), "UFFDIO_COPY: %s", strerror(errno));
	vcpu_thread_join(&thread);
	TEST_ASSERT_EQ(memory[1], guest == guest_write_missing ? MISSING_VALUE : 0);
	vm_set_user_memory_region(self->vm, FREE_SLOT, 0, FREE_GPA, 0, NULL);
	munmap(memory, 2 * PAGE);
	close(fd);
}

TEST_F(hostile, userfault_and_signal)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend waits for the page whatever signal comes");
	check_userfault(self, guest_read_missing);
}

/* Like a load, a store waits for user space, and for signals. */
TEST_F(hostile, userfault_of_store_and_signal)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend waits for the page whatever signal comes");
	check_userfault(self, guest_write_missing);
}

TEST_HARNESS_MAIN
