// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls that change how a vCPU runs: KVM_SET_MP_STATE, KVM_INTERRUPT and
 * KVM_SET_GUEST_DEBUG.
 */
#include "hostile.h"
#include "reset_state.h"

TEST_F(hostile, mp_state)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	struct kvm_mp_state state;
	u32 value;

	for (value = 0; value < 64; value++) {
		state.mp_state = value;
		switch (value) {
		case KVM_MP_STATE_RUNNABLE:
		case KVM_MP_STATE_STOPPED:
			vcpu_mp_state_set(vcpu, &state);
			state.mp_state = ~0;
			vcpu_mp_state_get(vcpu, &state);
			TEST_ASSERT_EQ(state.mp_state, value);
			break;
		default:
			EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_SET_MP_STATE, &state));
		}
	}
	state.mp_state = -1;
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_SET_MP_STATE, &state));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_SET_MP_STATE, NULL));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_GET_MP_STATE, NULL));

	state.mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu_mp_state_set(vcpu, &state);
	check_alive(self);
}

/* The first vCPU boots, and starts the others. */
TEST_F(hostile, mp_state_of_new)
{
	struct kvm_vm *vm = vm_create_barebones();
	struct kvm_mp_state state;
	int id, fd;

	for (id = 0; id < 3; id++) {
		fd = __vm_ioctl(vm, KVM_CREATE_VCPU, (void *)(unsigned long)id);
		TEST_ASSERT(fd >= 0, "KVM_CREATE_VCPU: errno %d", errno);
		TEST_ASSERT(!ioctl(fd, KVM_GET_MP_STATE, &state), "errno %d", errno);
		TEST_ASSERT_EQ(state.mp_state,
			       id ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE);
		close(fd);
	}
	kvm_vm_free(vm);
}

static u64 times_seen;

/* Says how often the interrupt has come and gone, and never exits by itself. */
static void guest_watch_interrupt(void)
{
	for (;;) {
		while (!(csr_read(CSR_SIP) & IE_EIE))
			;
		WRITE_ONCE(times_seen, times_seen + 1);
		while (csr_read(CSR_SIP) & IE_EIE)
			;
		WRITE_ONCE(times_seen, times_seen + 1);
	}
}

/* How often a CPU has been interrupted by another one to look for work. */
static u64 reschedule_interrupts(int cpu)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[512], *field;
	u64 count = 0;
	int i;

	TEST_ASSERT(file, "interrupts: %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, "Rescheduling interrupts"))
			continue;
		field = strchr(line, ':') + 1;
		for (i = 0; i <= cpu; i++)
			count = strtoul(field, &field, 10);
	}
	fclose(file);
	return count;
}

static void *run_on_cpu_1(void *thread)
{
	pin_self_to_cpu(1);
	return vcpu_thread_main(thread);
}

/*
 * A vCPU that is in the guest is interrupted when it gets an interrupt. Else it would
 * see that only at the next tick of the host, as it sees here that one is lowered.
 */
TEST_F(hostile, interrupt_of_running)
{
	const int rounds = 100;
	struct vcpu_thread thread = { .vcpu = self->vcpu };
	u64 *seen = addr_gva2hva(self->vm, (gva_t)&times_seen);
	u64 before;
	cpu_set_t allowed;
	int i;

	kvm_sched_getaffinity(0, sizeof(allowed), &allowed);
	if (!CPU_ISSET(0, &allowed) || !CPU_ISSET(1, &allowed))
		SKIP(return, "there is only one CPU");
	pin_self_to_cpu(0);
	vcpu_arch_set_entry_point(self->vcpu, guest_watch_interrupt);
	signal(SIGUSR1, vcpu_thread_kicked);
	thread.thread = thread_start(run_on_cpu_1, &thread);
	TEST_ASSERT(vcpu_has_exited(self->vcpu), "the guest did not run");
	before = reschedule_interrupts(1);
	for (i = 0; i < rounds; i++) {
		interrupt(self->vcpu, KVM_INTERRUPT_SET);
		while (READ_ONCE(*seen) < 2 * i + 1)
			;
		interrupt(self->vcpu, KVM_INTERRUPT_UNSET);
		while (READ_ONCE(*seen) < 2 * i + 2)
			;
	}
	/* Some come when the vCPU is out of the guest for another reason. */
	TEST_ASSERT(reschedule_interrupts(1) - before >= rounds / 2, "%lu interrupts for %d",
		    reschedule_interrupts(1) - before, rounds);
	vcpu_thread_stop(&thread);
}

/* A reset by user space is an option, and undoes what the guest has done. */
TEST_F(hostile, mp_state_reset)
{
	struct kvm_mp_state reset = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu *vcpu = self->vcpu;
	int n;

	vm_enable_cap(self->vm, KVM_CAP_RISCV_MP_STATE_RESET, 0);
	check_alive(self);
	spoil_state(vcpu);
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sip), IE_SIE | IE_EIE);
	vcpu_set_reg(vcpu, RISCV_TIMER_REG(compare), 0x1234);
	interrupt(vcpu, KVM_INTERRUPT_SET);
	vcpu_mp_state_set(vcpu, &reset);
	for (n = 0; n < 32; n++)
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, core_reg(n)), 0);
	check_reset_state(vcpu);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sip)), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_TIMER_REG(compare)), -1UL);
}

/* The next KVM_RUN does not complete what the vCPU was about before the reset. */
TEST_F(hostile, mp_state_reset_at_exit)
{
	struct kvm_mp_state reset = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu *vcpu = self->vcpu;
	static const u32 exits[] = {
		KVM_EXIT_MMIO, KVM_EXIT_MMIO, KVM_EXIT_RISCV_SBI,
	};
	int i, n;

	if (!is_rust_backend())
		SKIP(return, "the C backend completes an exit from before the reset");
	for (i = 0; i < ARRAY_SIZE(exits); i++) {
		struct kvm_vm *vm;

		vcpu = another_vcpu(&vm);
		vm_enable_cap(vm, KVM_CAP_RISCV_MP_STATE_RESET, 0);
		for (n = 0; n <= i; n++)
			vcpu_run(vcpu);
		TEST_ASSERT_EQ(vcpu->run->exit_reason, exits[i]);
		vcpu_mp_state_set(vcpu, &reset);
		vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.pc), 0x1000);
		memset(vcpu->run->mmio.data, 0xff, sizeof(vcpu->run->mmio.data));
		vcpu->run->immediate_exit = 1;
		EXPECT_ERRNO(EINTR, __vcpu_run(vcpu));
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), 0x1000);
		for (n = 1; n < 32; n++)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, core_reg(n)), 0);
		kvm_vm_free(vm);
	}
}

/* Where nothing is. */
#define NOWHERE			0xdead000UL
#define SBI_EXT_HSM		0x48534dUL
#define SBI_HSM_HART_START	0

static void guest_start_other(void)
{
	GUEST_ASSERT_EQ(sbi_ecall(SBI_EXT_HSM, SBI_HSM_HART_START, 1, NOWHERE, 0, 0, 0, 0).error,
			0);
	GUEST_DONE();
}

/* What is undone, too, is that the guest has started a vCPU that has not run yet. */
TEST_F(hostile, mp_state_reset_of_started)
{
	struct kvm_mp_state stopped = { .mp_state = KVM_MP_STATE_STOPPED };
	struct kvm_mp_state reset = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu *vcpu[2];
	struct kvm_vm *vm;
	u64 kept[NR_KEPT];

	if (!is_rust_backend())
		SKIP(return, "the C backend starts a vCPU that was reset since");
	vm = vm_with_vcpus(2, NULL, vcpu);
	vm_enable_cap(vm, KVM_CAP_RISCV_MP_STATE_RESET, 0);
	vcpu_mp_state_set(vcpu[1], &stopped);
	keep_regs(vcpu[1], kept);
	vcpu_arch_set_entry_point(vcpu[0], guest_start_other);
	run_until_done(vcpu[0]);

	vcpu_mp_state_set(vcpu[1], &reset);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu[1], RISCV_CORE_REG(regs.pc)), 0);
	restore_regs(vcpu[1], kept);
	vcpu_arch_set_entry_point(vcpu[1], guest_done);
	vcpu_mp_state_set(vcpu[1], &runnable);
	run_until_done(vcpu[1]);
	kvm_vm_free(vm);
}

static void guest_see_external_interrupt(void)
{
	while (!(csr_read(CSR_SIP) & IE_EIE))
		;
	GUEST_SYNC(0);
	while (csr_read(CSR_SIP) & IE_EIE)
		;
	GUEST_DONE();
}

TEST_F(hostile, interrupt)
{
	static const u32 others[] = { 0, 1, 2, 9, 10, 0x7fffffff, -3 };
	struct kvm_vcpu *vcpu = self->vcpu;
	struct vcpu_thread thread;
	int i;

	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_INTERRUPT, NULL));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_INTERRUPT, KERNEL_ADDRESS));

	/* Any other value was always taken for KVM_INTERRUPT_UNSET; C may refuse it. */
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		struct kvm_interrupt how = { .irq = others[i] };

		if (vcpu_raw(vcpu, KVM_INTERRUPT, &how))
			TEST_ASSERT(!is_rust_backend() && errno == EINVAL,
				    "interrupt %d: errno %d", others[i], errno);
	}

	/* Set before the run, cleared at an exit. */
	vcpu_arch_set_entry_point(vcpu, guest_see_external_interrupt);
	interrupt(vcpu, KVM_INTERRUPT_SET);
	interrupt(vcpu, KVM_INTERRUPT_SET);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "not reached");
	interrupt(vcpu, KVM_INTERRUPT_UNSET);
	run_until_done(vcpu);

	/* Set and cleared while it runs: this one does not wait for KVM_RUN. */
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), self->sp);
	vcpu_arch_set_entry_point(vcpu, guest_see_external_interrupt);
	vcpu_thread_start(&thread, vcpu);
	usleep(20000);
	interrupt(vcpu, KVM_INTERRUPT_SET);
	usleep(20000);
	interrupt(vcpu, KVM_INTERRUPT_UNSET);
	vcpu_thread_join(&thread);
}

TEST_F(hostile, guest_debug)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };

	EXPECT_ERRNO(EFAULT, vcpu_raw(self->vcpu, KVM_SET_GUEST_DEBUG, NULL));
	vcpu_guest_debug_set(self->vcpu, &debug);
	memset(&debug, 0, sizeof(debug));
	vcpu_guest_debug_set(self->vcpu, &debug);
	check_alive(self);
}

/* Neither single-stepping nor a breakpoint of the hart's: a debugger has to know. */
TEST_F(hostile, guest_debug_flags)
{
	struct kvm_guest_debug debug = {};
	int bit;

	if (!is_rust_backend())
		SKIP(return, "the C backend takes all flags, and ignores them");
	for (bit = 0; bit < 32; bit++) {
		if (BIT(bit) == KVM_GUESTDBG_ENABLE)
			continue;
		debug.control = BIT(bit);
		EXPECT_ERRNO(EINVAL, vcpu_raw(self->vcpu, KVM_SET_GUEST_DEBUG, &debug));
		debug.control |= KVM_GUESTDBG_ENABLE;
		EXPECT_ERRNO(EINVAL, vcpu_raw(self->vcpu, KVM_SET_GUEST_DEBUG, &debug));
	}
	memset(&debug, 0, sizeof(debug));
	vcpu_guest_debug_set(self->vcpu, &debug);
	check_alive(self);
}

TEST_HARNESS_MAIN
