// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a hart of the host can sleep after a vCPU has left it.
 *
 * WFI does not wait while an interrupt is pending and enabled, even if it is that
 * of a guest which does not run. The host's idle loop then spins. Each case leaves
 * a hart with an interrupt of a guest, and counts how often the hart goes idle.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "run_guest.h"
#include "sbi_call.h"

#define TRACING		"/sys/kernel/tracing/"
#define EVENT		TRACING "events/power/cpu_idle/enable"
/* The hart that the vCPU has run on, and the one that this program runs on. */
#define LEFT		1
#define HERE		0
/* A hart wakes up for ticks and for work: well below 1,000 times a second. */
#define SECONDS		1
#define MOST		5000

/* The events of a CPU since the trace was cleared, overwritten ones included. */
static unsigned long events_of(int cpu)
{
	char path[128];

	snprintf(path, sizeof(path), TRACING "per_cpu/cpu%d/stats", cpu);
	return read_number(path, "entries: %lu") + read_number(path, "overrun: %lu");
}

static unsigned long idle_events(void)
{
	unsigned long count;

	/* What has just happened there is over. */
	usleep(100000);
	write_file(TRACING "trace", "\n");
	write_file(EVENT, "1");
	sleep(SECONDS);
	write_file(EVENT, "0");
	count = events_of(LEFT);
	ksft_print_msg("CPU %d: %lu times in or out of idle in %d s\n", LEFT, count,
		       SECONDS);
	return count;
}

static void guest_soft_interrupt(void)
{
	csr_write(CSR_SIE, IE_SIE);
	csr_set(CSR_SIP, IE_SIE);
	GUEST_SYNC(0);
	GUEST_DONE();
}

static void guest_stops(void)
{
	csr_write(CSR_SIE, IE_SIE);
	csr_set(CSR_SIP, IE_SIE);
	CALL(EXT_HSM, HSM_STOP);
	GUEST_ASSERT(0);
}

static void guest_external_interrupt(void)
{
	csr_write(CSR_SIE, IE_EIE);
	GUEST_SYNC(0);
	GUEST_SYNC(1);
	GUEST_DONE();
}

static void guest_timer_interrupt(void)
{
	csr_write(CSR_SIE, IE_TIE);
	CALL(EXT_TIME, 0, csr_read(CSR_TIME));
	GUEST_SYNC(0);
	GUEST_DONE();
}

FIXTURE(idle) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_SETUP(idle)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend keeps a hart awake that a vCPU has left");
	if (access(EVENT, W_OK))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	TEST_ASSERT(!access(EVENT, W_OK), "there is no %s", EVENT);
	self->vm = vm_with_vcpus(1, guest_soft_interrupt, &self->vcpu);
	TEST_ASSERT(idle_events() < MOST, "the hart is not idle to begin with");
	pin_self_to_cpu(LEFT);
}

FIXTURE_TEARDOWN(idle)
{
	if (self->vm)
		kvm_vm_free(self->vm);
}

static void check_idle(void)
{
	pin_self_to_cpu(HERE);
	TEST_ASSERT(idle_events() < MOST, "the hart does not sleep");
}

TEST_F(idle, software)
{
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "the guest has ended");
	check_idle();
	/* The interrupt is still the guest's. */
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_GENERAL_CSR_REG(sip)), IE_SIE);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_GENERAL_CSR_REG(sie)), IE_SIE);
	run_until_done(self->vcpu);
}

TEST_F(idle, external)
{
	struct kvm_interrupt raise = { .irq = KVM_INTERRUPT_SET };

	vcpu_arch_set_entry_point(self->vcpu, guest_external_interrupt);
	vcpu_run(self->vcpu);
	vcpu_ioctl(self->vcpu, KVM_INTERRUPT, &raise);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "the guest has ended");
	check_idle();
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_GENERAL_CSR_REG(sip)), IE_EIE);
}

TEST_F(idle, timer)
{
	vcpu_arch_set_entry_point(self->vcpu, guest_timer_interrupt);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "the guest has ended");
	check_idle();
}

/* The thread of the vCPU sleeps in the kernel. */
TEST_F(idle, stopped)
{
	struct vcpu_thread t;

	vcpu_arch_set_entry_point(self->vcpu, guest_stops);
	vcpu_thread_start(&t, self->vcpu);
	sleep(1);
	check_idle();
	vcpu_thread_stop(&t);
}

/* The VM goes with its process. */
TEST_F(idle, killed)
{
	struct kvm_vcpu *vcpu;
	int status;
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		vm_with_vcpus(1, guest_soft_interrupt, &vcpu);
		vcpu_run(vcpu);
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	TEST_ASSERT(WIFSIGNALED(status), "the process has ended otherwise");
	check_idle();
}

TEST_HARNESS_MAIN
