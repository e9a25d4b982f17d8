// SPDX-License-Identifier: GPL-2.0
/*
 * What is left of a guest on a hart of the host that has slept.
 *
 * The hart may lose all that KVM has written to it, in an idle state without
 * retention or while the system is suspended. Each case lets a vCPU run on the
 * hart, then the hart sleep, and then the vCPU go on there. No other vCPU comes
 * in between, so that only the sleep tells KVM to write everything again.
 *
 * Which break each case notices:
 *
 *  user_space
 *	A register of the guest, or one that configures what the guest may do,
 *	which KVM takes for written after its thread was in user space.
 *  wait
 *	The same after the thread has slept in KVM_RUN, and a timer or an access
 *	to the time that the hart has forgotten.
 *  pending
 *	An interrupt of the guest that was raised before the hart slept.
 *  suspend
 *	As user_space, after the system was suspended.
 *
 * It needs an idle state without retention, which the first state beside WFI has
 * to be, and for the last case a firmware that suspends the system and a clock
 * that ends it.
 */
#include <fcntl.h>
#include <linux/rtc.h>
#include <sys/ioctl.h>
#include <time.h>

#include "run_guest.h"
#include "sbi_call.h"

#define CPUIDLE		"/sys/devices/system/cpu/cpu%d/cpuidle/%s"
#define CLOCK		"/dev/rtc0"
/* How long the system is suspended, in seconds: OpenSBI's test takes five. */
#define AWAY		6

/* The only one that stays online in a suspend is the first. */
#define CPU		0
#define ROUNDS		20
/* Of the time's clock, which has 10 MHz on QEMU's machine. */
#define NAP		50000

#define SECRET		0xffffffff81234560

static void write_state(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), CPUIDLE, CPU, file);
	write_file(path, text);
}

/* How often the hart has slept so far. */
static u64 sleeps(void)
{
	char path[128];

	snprintf(path, sizeof(path), CPUIDLE, CPU, "state1/usage");
	return read_number(path, "%lu");
}

/* Leaves the hart to itself until it has slept. */
static void let_sleep(void)
{
	u64 before = sleeps();
	int tries;

	for (tries = 0; tries < 1000 && sleeps() == before; tries++)
		usleep(2000);
	TEST_ASSERT(sleeps() != before, "CPU %d does not sleep", CPU);
}

static void guest_set(void)
{
	csr_write(CSR_SSCRATCH, SECRET);
	csr_write(CSR_SEPC, SECRET);
	csr_write(CSR_SCAUSE, 5);
	csr_write(CSR_STVAL, SECRET + 8);
	csr_write(CSR_SIE, IE_EIE);
	csr_set(CSR_SSTATUS, SR_FS_INITIAL);
}

#define GUEST_ASSERT_CSR(csr, value) GUEST_ASSERT_EQ(csr_read(csr), value)

static void guest_check(u64 satp, u64 stvec)
{
	GUEST_ASSERT_CSR(CSR_SSCRATCH, SECRET);
	GUEST_ASSERT_CSR(CSR_SEPC, SECRET);
	GUEST_ASSERT_CSR(CSR_SCAUSE, 5);
	GUEST_ASSERT_CSR(CSR_STVAL, SECRET + 8);
	GUEST_ASSERT_CSR(CSR_SIE, IE_EIE);
	GUEST_ASSERT_CSR(CSR_SATP, satp);
	GUEST_ASSERT_CSR(CSR_STVEC, stvec);
	GUEST_ASSERT(csr_read(CSR_SSTATUS) & SR_FS);
}

static void guest_keeps(u64 rounds)
{
	u64 satp = csr_read(CSR_SATP), stvec = csr_read(CSR_STVEC);
	u64 time = csr_read(CSR_TIME), later;

	guest_set();
	while (rounds--) {
		GUEST_SYNC(0);
		guest_check(satp, stvec);
		later = csr_read(CSR_TIME);
		GUEST_ASSERT(later > time);
		time = later;
	}
	GUEST_DONE();
}

static bool guest_has_sstc;

/* The interrupt is not enabled in sstatus, so that it ends WFI and nothing else. */
static void guest_waits(u64 rounds)
{
	u64 satp = csr_read(CSR_SATP), stvec = csr_read(CSR_STVEC);
	u64 deadline;

	guest_set();
	while (rounds--) {
		deadline = csr_read(CSR_TIME) + NAP;
		csr_write(CSR_SIE, IE_TIE);
		if (guest_has_sstc)
			csr_write(CSR_STIMECMP, deadline);
		else
			CALL(EXT_TIME, 0, deadline);
		while (!(csr_read(CSR_SIP) & IE_TIE))
			asm volatile("wfi");
		GUEST_ASSERT(csr_read(CSR_TIME) >= deadline);
		csr_write(CSR_SIE, IE_EIE);
		guest_check(satp, stvec);
	}
	GUEST_DONE();
}

static void guest_is_interrupted(void)
{
	u64 satp = csr_read(CSR_SATP), stvec = csr_read(CSR_STVEC);

	guest_set();
	csr_set(CSR_SIP, IE_SIE);
	GUEST_SYNC(0);
	GUEST_ASSERT_CSR(CSR_SIP, IE_SIE | IE_EIE);
	guest_check(satp, stvec);
	GUEST_DONE();
}

FIXTURE(host_sleep) {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_SETUP(host_sleep)
{
	char path[128];

	snprintf(path, sizeof(path), CPUIDLE, CPU, "state1/disable");
	if (access(path, W_OK))
		SKIP(return, "the host has no idle state besides WFI");
	/* WFI would do for short naps. */
	write_state("state0/disable", "1");
	pin_self_to_cpu(CPU);
	self->vm = vm_with_vcpus(1, guest_keeps, &self->vcpu);
	guest_has_sstc = __vcpu_has_isa_ext(self->vcpu, KVM_RISCV_ISA_EXT_SSTC);
	sync_global_to_guest(self->vm, guest_has_sstc);
}

FIXTURE_TEARDOWN(host_sleep)
{
	if (!self->vm)
		return;
	kvm_vm_free(self->vm);
	write_state("state0/disable", "0");
}

TEST_F(host_sleep, user_space)
{
	int i;

	vcpu_args_set(self->vcpu, 1, ROUNDS);
	for (i = 0; i < ROUNDS; i++) {
		vcpu_run(self->vcpu);
		TEST_ASSERT(!guest_is_done(self->vcpu), "the guest has ended");
		let_sleep();
	}
	run_until_done(self->vcpu);
}

TEST_F(host_sleep, wait)
{
	u64 before = sleeps();

	vcpu_args_set(self->vcpu, 1, ROUNDS);
	run_guest(self->vcpu, guest_waits);
	TEST_ASSERT(sleeps() - before >= ROUNDS / 2, "CPU %d slept %lu times", CPU,
		    sleeps() - before);
}

TEST_F(host_sleep, pending)
{
	struct kvm_interrupt raise = { .irq = KVM_INTERRUPT_SET };

	vcpu_arch_set_entry_point(self->vcpu, guest_is_interrupted);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "the guest has ended");
	vcpu_ioctl(self->vcpu, KVM_INTERRUPT, &raise);
	let_sleep();
	run_until_done(self->vcpu);
}

static bool can_suspend(void)
{
	char states[64] = "";
	int fd = open("/sys/power/mem_sleep", O_RDONLY);

	if (fd < 0)
		return false;
	if (read(fd, states, sizeof(states) - 1) < 0)
		states[0] = '\0';
	close(fd);
	return strstr(states, "deep");
}

/* The clock interrupts the host then, whether it sleeps or not. */
static void set_alarm(void)
{
	struct rtc_wkalrm alarm = { .enabled = 1 };
	int fd = open(CLOCK, O_RDONLY);
	struct tm tm = {};
	time_t then;

	TEST_ASSERT(fd >= 0, CLOCK ": %s", strerror(errno));
	TEST_ASSERT(!ioctl(fd, RTC_RD_TIME, &alarm.time), "RTC_RD_TIME: %s",
		    strerror(errno));
	tm.tm_year = alarm.time.tm_year;
	tm.tm_mon = alarm.time.tm_mon;
	tm.tm_mday = alarm.time.tm_mday;
	tm.tm_hour = alarm.time.tm_hour;
	tm.tm_min = alarm.time.tm_min;
	tm.tm_sec = alarm.time.tm_sec;
	then = timegm(&tm) + AWAY;
	gmtime_r(&then, &tm);
	alarm.time = (struct rtc_time){
		.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday,
		.tm_hour = tm.tm_hour, .tm_min = tm.tm_min, .tm_sec = tm.tm_sec,
	};
	TEST_ASSERT(!ioctl(fd, RTC_WKALM_SET, &alarm), "RTC_WKALM_SET: %s",
		    strerror(errno));
	close(fd);
}

TEST_F(host_sleep, suspend)
{
	int i;

	if (!can_suspend())
		SKIP(return, "the host's firmware does not suspend the system");
	vcpu_args_set(self->vcpu, 1, 2UL);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "the guest has ended");
	set_alarm();
	write_file("/sys/power/state", "mem");
	for (i = 0; i < 2; i++) {
		vcpu_run(self->vcpu);
		TEST_ASSERT(guest_is_done(self->vcpu) == i, "the guest has ended");
	}
}

TEST_HARNESS_MAIN
