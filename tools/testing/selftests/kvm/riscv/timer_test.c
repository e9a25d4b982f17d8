// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's timer as user space saves, restores and moves it.
 *
 * The rule for all cases: the guest's timer interrupt is pending if the guest's
 * time has come to what the guest asked for, and only then. It must not depend
 * on the order in which user space accesses registers, nor on a timer of the
 * host that expires meanwhile.
 */
#include <sys/timex.h>

#include <asm/barrier.h>

#include "sbi_guest.h"

#define NEVER			(-1UL)
/* In ticks. How far deadlines are away, and how long a test waits for one. */
#define SOON		(ticks_per_second / 500)
#define LATER			(10 * ticks_per_second)
#define PATIENCE		(20 * ticks_per_second)
/* Any time of a guest that has been up for a while. */
#define SOME_TIME		(1UL << 40)

static u64 ticks_per_second;

enum { TIME, COMPARE, STATE, SIP, NR_REGS };

static u64 reg_id(int reg)
{
	switch (reg) {
	case TIME:
		return RISCV_TIMER_REG(time);
	case COMPARE:
		return RISCV_TIMER_REG(compare);
	case STATE:
		return RISCV_TIMER_REG(state);
	default:
		return RISCV_GENERAL_CSR_REG(sip);
	}
}

/* All orders of the four registers. */
#define NR_ORDERS		24

static void order_of_regs(int number, int order[NR_REGS])
{
	bool used[NR_REGS] = {};
	int place, left, reg;

	for (place = 0; place < NR_REGS; place++) {
		left = number % (NR_REGS - place);
		number /= NR_REGS - place;
		for (reg = 0; used[reg] || left--; reg++)
			;
		used[reg] = true;
		order[place] = reg;
	}
}

static void restore(struct kvm_vcpu *vcpu, const u64 regs[NR_REGS], int number)
{
	int order[NR_REGS], i;

	order_of_regs(number, order);
	for (i = 0; i < NR_REGS; i++)
		vcpu_set_reg(vcpu, reg_id(order[i]), regs[order[i]]);
}

static u64 guest_time(struct kvm_vcpu *vcpu)
{
	return vcpu_get_reg(vcpu, reg_id(TIME));
}

/* What the guest is to set its timer to, or 0. */
static u64 new_deadline;

/* Says again and again when it looked, and whether the interrupt was pending. */
static void guest_report(void)
{
	for (;;) {
		u64 before = csr_read(CSR_TIME);
		bool pending = csr_read(CSR_SIP) & IE_TIE;

		GUEST_SYNC_ARGS(pending, before, csr_read(CSR_TIME), 0, 0);
		if (READ_ONCE(new_deadline))
			GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, new_deadline));
	}
}

static bool is_pending(struct kvm_vcpu *vcpu, u64 deadline)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT(get_ucall(vcpu, &uc) == UCALL_SYNC, "not a report of the guest");
	TEST_ASSERT(!uc.args[1] || uc.args[3] >= deadline,
		    "pending at %lu, %lu ticks too early", uc.args[3], deadline - uc.args[3]);
	return uc.args[1];
}

/* The interrupt comes, no earlier than it must, and is not lost. */
static void expect_at(struct kvm_vcpu *vcpu, u64 deadline, const char *what)
{
	u64 give_up = deadline + PATIENCE;

	while (!is_pending(vcpu, deadline))
		TEST_ASSERT(guest_time(vcpu) < give_up, "%s: the interrupt is lost", what);
}

static void expect_none(struct kvm_vcpu *vcpu, const char *what)
{
	int i;

	for (i = 0; i < 3; i++)
		TEST_ASSERT(!is_pending(vcpu, 0), "%s: there is an interrupt", what);
}

/* The guest sets its timer, and then looks. */
static bool set_timer(struct kvm_vcpu *vcpu, u64 deadline)
{
	bool pending;

	new_deadline = deadline;
	sync_global_to_guest(vcpu->vm, new_deadline);
	pending = is_pending(vcpu, deadline);
	new_deadline = 0;
	sync_global_to_guest(vcpu->vm, new_deadline);
	return pending;
}

static void start_reporting(struct kvm_vcpu *vcpu)
{
	ticks_per_second = vcpu_get_reg(vcpu, RISCV_TIMER_REG(frequency));
	vcpu_arch_set_entry_point(vcpu, guest_report);
	is_pending(vcpu, 0);
}

/* Any snapshot of a timer, in any order, over what the vCPU had before. */
TEST_F(sbi, restore_in_any_order)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	enum { PASSED, AT_ONCE, AFTERWARDS, UNUSED, NR_KINDS };
	int order, kind, bits;

	if (!is_rust_backend())
		SKIP(return, "the C backend loses a timer, or one interrupt stays for ever");
	start_reporting(vcpu);
	for (order = 0; order < NR_ORDERS; order++)
		for (kind = 0; kind < NR_KINDS; kind++)
			for (bits = 0; bits < 8; bits++) {
				const u64 deadline[NR_KINDS] = {
					SOME_TIME - 1000, SOME_TIME + SOON,
					SOME_TIME + LATER, NEVER,
				};
				u64 regs[NR_REGS] = {
					[TIME] = SOME_TIME,
					[COMPARE] = deadline[kind],
					[STATE] = bits & 1,
					[SIP] = bits & 2 ? IE_TIE : 0,
				};
				char what[80];

				snprintf(what, sizeof(what), "order %d, kind %d, bits %d",
					 order, kind, bits);
				set_timer(vcpu, bits & 4 ? guest_time(vcpu) + LATER : 1);
				restore(vcpu, regs, order);
				switch (kind) {
				case PASSED:
				case AT_ONCE:
					expect_at(vcpu, deadline[kind], what);
					break;
				case AFTERWARDS:
					expect_none(vcpu, what);
					vcpu_set_reg(vcpu, reg_id(TIME), deadline[kind]);
					expect_at(vcpu, deadline[kind], what);
					break;
				case UNUSED:
					expect_none(vcpu, what);
					break;
				}
				TEST_ASSERT(!set_timer(vcpu, NEVER),
					    "%s: set_timer() leaves the interrupt", what);
			}
}

/* The host's timer expires between any two reads of a snapshot. */
TEST_F(sbi, expires_while_saved)
{
	struct kvm_vcpu *from = self->vcpu[0], *to = self->vcpu[1];
	int number, expiry, order[NR_REGS], i;
	u64 regs[NR_REGS], deadline;
	char what[80];

	if (!is_rust_backend())
		SKIP(return, "the C backend loses a timer that expires while it is saved");
	start_reporting(from);
	start_reporting(to);
	for (number = 0; number < NR_ORDERS; number++)
		for (expiry = 0; expiry <= NR_REGS; expiry++) {
			snprintf(what, sizeof(what), "order %d, expiry before read %d",
				 number, expiry);
			order_of_regs(number, order);
			deadline = guest_time(from) + SOON;
			set_timer(from, deadline);
			for (i = 0; i < NR_REGS; i++) {
				while (i == expiry && guest_time(from) <= deadline)
					usleep(100);
				/* Let the host's timer come. */
				if (i == expiry)
					usleep(1000);
				regs[order[i]] = vcpu_get_reg(from, reg_id(order[i]));
			}
			TEST_ASSERT_EQ(regs[COMPARE], deadline);
			/* From the first to the last, and the other way. */
			restore(to, regs, number);
			expect_at(to, deadline, what);
			restore(to, regs, NR_ORDERS - 1 - number);
			expect_at(to, deadline, what);
			set_timer(to, NEVER);
		}
}

/* A bit of sip that is not the timer's is restored as it is. */
TEST_F(sbi, restore_sip)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	if (!is_rust_backend())
		SKIP(return, "the C backend keeps a timer interrupt that no timer has raised");
	start_reporting(vcpu);
	vcpu_set_reg(vcpu, reg_id(SIP), IE_SIE | IE_TIE | IE_EIE);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg_id(SIP)), IE_SIE | IE_EIE);
	expect_none(vcpu, "sip.STIP");
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg_id(SIP)), IE_SIE | IE_EIE);
}

/*
 * With Sstc, a VMM must not write ON to a host whose backend is in C, which
 * then writes to the CSR of some hart. Without, it must.
 */
TEST_F(sbi, state)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	bool sstc = __vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_SSTC);
	u64 on = sstc ? KVM_RISCV_TIMER_STATE_OFF : KVM_RISCV_TIMER_STATE_ON;

	if (!is_rust_backend())
		SKIP(return, "the C backend says that a timer is off once it has expired");
	start_reporting(vcpu);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg_id(STATE)), KVM_RISCV_TIMER_STATE_OFF);
	set_timer(vcpu, guest_time(vcpu) + LATER);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg_id(STATE)), on);
	set_timer(vcpu, 1);
	expect_at(vcpu, 1, "in the past");
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg_id(STATE)), on);
	vcpu_set_reg(vcpu, reg_id(STATE), KVM_RISCV_TIMER_STATE_OFF);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg_id(STATE)), on);
	expect_at(vcpu, 1, "OFF says nothing");
	set_timer(vcpu, NEVER);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, reg_id(STATE)), KVM_RISCV_TIMER_STATE_OFF);
}

/* The time goes back while the vCPU is in user space, and a deadline is near. */
TEST_F(sbi, time_goes_back)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 deadline;

	if (!is_rust_backend())
		SKIP(return, "the C backend keeps an interrupt whose time is yet to come");
	start_reporting(vcpu);
	vcpu_set_reg(vcpu, reg_id(TIME), SOME_TIME);
	/* The host's timer runs ... */
	deadline = guest_time(vcpu) + SOON;
	set_timer(vcpu, deadline);
	vcpu_set_reg(vcpu, reg_id(TIME), deadline - LATER);
	usleep(20000);
	expect_none(vcpu, "before it has expired");
	vcpu_set_reg(vcpu, reg_id(TIME), deadline - SOON);
	expect_at(vcpu, deadline, "before it has expired");

	/* ... or it has expired. */
	vcpu_set_reg(vcpu, reg_id(TIME), deadline - LATER);
	expect_none(vcpu, "after it has expired");
	vcpu_set_reg(vcpu, reg_id(TIME), deadline - SOON);
	expect_at(vcpu, deadline, "after it has expired");
}

static void guest_tell_time(void)
{
	for (;;)
		GUEST_SYNC(csr_read(CSR_TIME));
}

/* Each VM has a time of its own, also where they use one hart by turns. */
TEST_F(sbi, two_times)
{
	struct kvm_vcpu *vcpu[2];
	struct kvm_vm *vm = vm_with_vcpus(1, guest_tell_time, &vcpu[1]);
	u64 before[2], after;
	struct ucall uc;
	int round, i;

	vcpu[0] = self->vcpu[0];
	vcpu_arch_set_entry_point(vcpu[0], guest_tell_time);
	pin_self_to_cpu(sched_getcpu());
	for (i = 0; i < 2; i++)
		vcpu_set_reg(vcpu[i], reg_id(TIME), (i + 1) * SOME_TIME);
	for (round = 0; round < 50; round++)
		for (i = 0; i < 2; i++) {
			before[i] = guest_time(vcpu[i]);
			vcpu_run(vcpu[i]);
			TEST_ASSERT_EQ(get_ucall(vcpu[i], &uc), UCALL_SYNC);
			after = guest_time(vcpu[i]);
			TEST_ASSERT(before[i] <= uc.args[1] && uc.args[1] <= after,
				    "VM %d: %lu is not from %lu to %lu", i, uc.args[1],
				    before[i], after);
		}
	kvm_vm_free(vm);
}

/* What another vCPU reads from its time CSR, and how often it has done so. */
static u64 time_seen, times_seen;
static u64 stop_watching;

static void guest_watch_time(void)
{
	while (!READ_ONCE(stop_watching)) {
		WRITE_ONCE(time_seen, csr_read(CSR_TIME));
		/* Pairs with the one below: a count is found after its time. */
		smp_mb();
		WRITE_ONCE(times_seen, times_seen + 1);
	}
	GUEST_DONE();
}

/* The time of a VM is that of all its vCPUs, also of those in the guest. */
TEST_F(sbi, time_while_running)
{
	u64 *count = addr_gva2hva(self->vm, (gva_t)&times_seen);
	u64 *seen = addr_gva2hva(self->vm, (gva_t)&time_seen);
	u64 *stop = addr_gva2hva(self->vm, (gva_t)&stop_watching);
	struct vcpu_thread thread;
	int round;

	if (!is_rust_backend())
		SKIP(return, "the C backend does not tell other vCPUs of a new time");
	vcpu_arch_set_entry_point(self->vcpu[1], guest_watch_time);
	vcpu_thread_start(&thread, self->vcpu[1]);
	for (round = 1; round <= 50; round++) {
		u64 time = round * SOME_TIME, first = READ_ONCE(*count);

		while (READ_ONCE(*count) == first)
			;
		vcpu_set_reg(self->vcpu[0], reg_id(TIME), time);
		first = READ_ONCE(*count);
		/* The second after the call has been read after it. */
		while (READ_ONCE(*count) < first + 2)
			;
		/* Pairs with the one above. */
		smp_mb();
		TEST_ASSERT(READ_ONCE(*seen) >= time, "round %d: %lu, not %lu", round,
			    READ_ONCE(*seen), time);
	}
	WRITE_ONCE(*stop, 1);
	vcpu_thread_join(&thread);
}

static u64 wake_up_at;

static void guest_sleep(void)
{
	csr_write(CSR_SIE, IE_TIE);
	local_irq_disable();
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, wake_up_at));
	/* WFI may end for no reason. */
	while (!(csr_read(CSR_SIP) & IE_TIE))
		asm volatile("wfi");
	GUEST_ASSERT(csr_read(CSR_TIME) >= wake_up_at);
	GUEST_DONE();
}

/* It is also that of those that sleep until a certain time. */
static void wake_by_time(struct kvm_vm *vm, struct kvm_vcpu *sleeper,
			 struct kvm_vcpu *other, u64 left)
{
	u64 wfis = vcpu_get_stat(sleeper, wfi_exit_stat);
	struct vcpu_thread thread;
	int tries;

	vcpu_set_reg(other, reg_id(TIME), 2 * SOME_TIME);
	wake_up_at = 2 * SOME_TIME + 3600 * ticks_per_second;
	sync_global_to_guest(vm, wake_up_at);
	vcpu_arch_set_entry_point(sleeper, guest_sleep);
	vcpu_thread_start(&thread, sleeper);
	while (vcpu_get_stat(sleeper, wfi_exit_stat) == wfis)
		usleep(1000);
	usleep(20000);
	/* First back, then near the deadline. */
	vcpu_set_reg(other, reg_id(TIME), SOME_TIME);
	usleep(20000);
	TEST_ASSERT(!READ_ONCE(thread.done), "the vCPU did not sleep");
	vcpu_set_reg(other, reg_id(TIME), wake_up_at - left);
	for (tries = 0; tries < 10000 && !READ_ONCE(thread.done); tries++)
		usleep(1000);
	TEST_ASSERT(READ_ONCE(thread.done), "the vCPU sleeps on, %lu ticks ahead", left);
	vcpu_thread_join(&thread);
}

TEST_F(sbi, time_while_asleep)
{
	int round;

	if (!is_rust_backend())
		SKIP(return, "the C backend does not tell other vCPUs of a new time");
	ticks_per_second = vcpu_get_reg(self->vcpu[0], RISCV_TIMER_REG(frequency));
	for (round = 0; round < 5; round++) {
		u64 sp = vcpu_get_reg(self->vcpu[1], RISCV_CORE_REG(regs.sp));

		wake_by_time(self->vm, self->vcpu[1], self->vcpu[0],
			     round & 1 ? 0 : SOON);
		vcpu_set_reg(self->vcpu[1], RISCV_CORE_REG(regs.sp), sp);
	}
}

/* The host's timer may expire before the guest's time has come: it starts again. */
TEST_F(sbi, host_clock_runs_fast)
{
	/* In microseconds for each 100th of a second: the most that Linux takes. */
	struct timex fast = { .modes = ADJ_TICK, .tick = 11000 };
	struct timex normal = { .modes = ADJ_TICK, .tick = 10000 };
	struct vcpu_thread thread;
	int tries;

	if (adjtimex(&fast) < 0)
		SKIP(return, "adjtimex: %s", strerror(errno));
	usleep(50000);
	ticks_per_second = vcpu_get_reg(self->vcpu[0], RISCV_TIMER_REG(frequency));
	wake_up_at = guest_time(self->vcpu[0]) + ticks_per_second / 2;
	sync_global_to_guest(self->vm, wake_up_at);
	vcpu_arch_set_entry_point(self->vcpu[0], guest_sleep);
	vcpu_thread_start(&thread, self->vcpu[0]);
	for (tries = 0; tries < 10000 && !READ_ONCE(thread.done); tries++)
		usleep(1000);
	adjtimex(&normal);
	TEST_ASSERT(READ_ONCE(thread.done), "the vCPU sleeps on");
	vcpu_thread_join(&thread);
}

TEST_HARNESS_MAIN
