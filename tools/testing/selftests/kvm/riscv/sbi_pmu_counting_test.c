// SPDX-License-Identifier: GPL-2.0
/*
 * What the counters of a guest count, what stands in their snapshots, and the interrupts
 * by which they overflow. The arguments of the calls are up to sbi_pmu_calls_test.
 */
#include <sched.h>
#include <sys/sysinfo.h>

#include "expect_errno.h"
#include "pmu_guest.h"

#define OVERFLOW_IRQ	13

/* How often each call is made that is counted. */
#define CALLS		7

enum call { SET_TIMER, SEND_IPI, FENCE_I, SFENCE, SFENCE_ASID };

static void guest_make_call(enum call call)
{
	struct sbiret ret = {};

	switch (call) {
	case SET_TIMER:
		ret = CALL(EXT_TIME, 0, -1UL);
		break;
	case SEND_IPI:
		ret = CALL(EXT_IPI, 0, 3, 0);
		break;
	case FENCE_I:
		ret = CALL(EXT_RFENCE, 0, 3, 0);
		break;
	case SFENCE:
		ret = CALL(EXT_RFENCE, 1, 3, 0, 0x1000, 0x1000);
		break;
	case SFENCE_ASID:
		ret = CALL(EXT_RFENCE, 2, 3, 0, 0x1000, 0x1000, 5);
		break;
	}
	GUEST_ASSERT_EQ(ret.error, 0);
}

/* Which event each call is, of the hart that makes it and of both that it names. */
static const struct {
	enum call call;
	int sent, received;
	bool rust_alone;
} firmware[] = {
	{ SET_TIMER, SBI_PMU_FW_SET_TIMER, -1 },
	{ SEND_IPI, SBI_PMU_FW_IPI_SENT, SBI_PMU_FW_IPI_RCVD },
	{ FENCE_I, SBI_PMU_FW_FENCE_I_SENT, SBI_PMU_FW_FENCE_I_RCVD },
	{ SFENCE, SBI_PMU_FW_HFENCE_VVMA_SENT, SBI_PMU_FW_HFENCE_VVMA_RCVD },
	{ SFENCE_ASID, SBI_PMU_FW_HFENCE_VVMA_ASID_SENT, SBI_PMU_FW_HFENCE_VVMA_ASID_RCVD },
	/* What the SBI calls them. The C backend counts none. */
	{ SFENCE, SBI_PMU_FW_SFENCE_VMA_SENT, SBI_PMU_FW_SFENCE_VMA_RCVD, true },
	{ SFENCE_ASID, SBI_PMU_FW_SFENCE_VMA_ASID_SENT, SBI_PMU_FW_SFENCE_VMA_ASID_RCVD, true },
};

/* What the first hart has sent, as the second one waits to be told. */
static u64 sent_kind, sent_calls;

static void guest_send(void)
{
	int i, n;

	for (i = 0; i < ARRAY_SIZE(firmware); i++) {
		u64 counter;

		if (firmware[i].rust_alone && !guest_is_under_rust)
			continue;
		counter = guest_configure(guest_all(), 0, fw(firmware[i].sent));
		guest_make_call(firmware[i].call);
		GUEST_ASSERT_EQ(guest_read_fw(counter), 0);
		guest_start_at(counter, 100);
		for (n = 0; n < CALLS; n++)
			guest_make_call(firmware[i].call);
		GUEST_ASSERT_EQ(guest_read_fw(counter), 100 + CALLS);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), 0);
		guest_make_call(firmware[i].call);
		GUEST_ASSERT_EQ(guest_read_fw(counter), 100 + CALLS);
		GUEST_ASSERT_EQ(guest_start(counter, 0, 0), 0);
		guest_make_call(firmware[i].call);
		GUEST_ASSERT_EQ(guest_read_fw(counter), 100 + CALLS + 1);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_RESET), 0);
	}
	GUEST_DONE();
}

TEST_F(pmu, firmware_sent)
{
	run_guest(self->vcpu[0], guest_send);
}

/* The second hart counts; the first one sends what the test tells. */
static void guest_count_received(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(firmware); i++) {
		u64 counter;

		if (firmware[i].received < 0 || (firmware[i].rust_alone && !guest_is_under_rust))
			continue;
		counter = guest_configure(guest_all(), SBI_PMU_CFG_FLAG_CLEAR_VALUE,
					  fw(firmware[i].received));
		guest_start_at(counter, 0);
		GUEST_SYNC(firmware[i].call);
		/* The C backend counts when they are executed: several at a time. */
		if (guest_is_under_rust)
			GUEST_ASSERT_EQ(guest_read_fw(counter), CALLS);
		else
			GUEST_ASSERT(guest_read_fw(counter) >= 1);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_RESET), 0);
		/* IPIs stay pending. */
		csr_clear(CSR_SIP, BIT(1));
	}
	GUEST_DONE();
}

static void guest_send_calls(void)
{
	for (;;) {
		u64 i;

		GUEST_SYNC(0);
		for (i = 0; i < READ_ONCE(sent_calls); i++)
			guest_make_call(READ_ONCE(sent_kind));
	}
}

TEST_F(pmu, firmware_received)
{
	struct kvm_vcpu *sender = self->vcpu[0], *receiver = self->vcpu[1];
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct ucall uc;

	vcpu_mp_state_set(receiver, &runnable);
	vcpu_arch_set_entry_point(receiver, guest_count_received);
	vcpu_arch_set_entry_point(sender, guest_send_calls);
	vcpu_run(sender);
	for (;;) {
		vcpu_run(receiver);
		if (guest_is_done(receiver))
			break;
		get_ucall(receiver, &uc);
		sent_kind = uc.args[1];
		sent_calls = CALLS;
		sync_global_to_guest(self->vm, sent_kind);
		sync_global_to_guest(self->vm, sent_calls);
		vcpu_run(sender);
		TEST_ASSERT(!guest_is_done(sender), "too early");
	}
}

/* Two counters of one event go their own ways. */
static void guest_two_counters(void)
{
	u64 first = guest_configure(guest_all(), 0, fw(SBI_PMU_FW_SET_TIMER));
	u64 second = guest_configure(guest_all(), 0, fw(SBI_PMU_FW_SET_TIMER));

	GUEST_ASSERT_EQ(guest_start(first, 0, 0), 0);
	guest_make_call(SET_TIMER);
	guest_start_at(second, -1UL);
	guest_make_call(SET_TIMER);
	GUEST_ASSERT_EQ(guest_read_fw(first), 2);
	GUEST_ASSERT_EQ(guest_read_fw(second), 0);
	GUEST_ASSERT_EQ(guest_stop_counter(first, 0), 0);
	guest_make_call(SET_TIMER);
	GUEST_ASSERT_EQ(guest_read_fw(first), 2);
	GUEST_ASSERT_EQ(guest_read_fw(second), 1);
	/* A start that fails changes nothing. */
	GUEST_ASSERT_EQ(guest_start(second, SBI_PMU_START_FLAG_SET_INIT_VALUE, 50),
			SBI_ERR_ALREADY_STARTED);
	GUEST_ASSERT_EQ(guest_read_fw(second), 1);
	GUEST_DONE();
}

TEST_F(pmu, two_counters)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend has one value for each event");
	run_guest(self->vcpu[0], guest_two_counters);
}

#define WORK	20000

/* Counters of the hardware, by the CSR and by the snapshot. */
static void guest_hardware(void)
{
	struct riscv_pmu_snapshot_data *shmem = (void *)SHMEM_GPA;
	u64 events[] = { SBI_PMU_HW_CPU_CYCLES, SBI_PMU_HW_INSTRUCTIONS };
	int i;

	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 0), 0);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		u64 counter = guest_configure(guest_all(), 0, events[i]), before, after;

		before = guest_read_csr(counter);
		guest_work(WORK);
		GUEST_ASSERT_EQ(guest_read_csr(counter), before);
		guest_start_at(counter, 1UL << 40);
		guest_work(WORK);
		after = guest_read_csr(counter);
		GUEST_ASSERT(after > (1UL << 40) + WORK && after < 1UL << 41);
		GUEST_ASSERT(guest_read_csr(counter) > after);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT), 0);
		GUEST_ASSERT(shmem->ctr_values[0] > after);
		GUEST_ASSERT_EQ(guest_read_csr(counter), shmem->ctr_values[0]);
		GUEST_ASSERT_EQ(shmem->ctr_overflow_mask, 0);
		/* It goes on from there. */
		before = guest_read_csr(counter);
		GUEST_ASSERT_EQ(guest_start(counter, 0, 0), 0);
		guest_work(WORK);
		after = guest_read_csr(counter);
		GUEST_ASSERT(after > before + WORK && after < before + (1UL << 40));
		/* And from what the snapshot says. */
		GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), 0);
		shmem->ctr_values[0] = 1UL << 50;
		GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_INIT_SNAPSHOT, 0), 0);
		guest_work(WORK);
		after = guest_read_csr(counter);
		GUEST_ASSERT(after > (1UL << 50) + WORK && after < 1UL << 51);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_RESET), 0);
	}
	GUEST_DONE();
}

TEST_F(pmu, hardware)
{
	run_guest(self->vcpu[0], guest_hardware);
}

/* A snapshot of several counters, at their distances from the base, and of no others. */
static void guest_snapshot(void)
{
	struct riscv_pmu_snapshot_data *shmem = (void *)SHMEM_GPA;
	u64 first_fw = guest_first_fw(), base = first_fw - 1, i;
	u64 set = BIT(1) | BIT(3);

	guest_configure(BIT(first_fw), 0, fw(SBI_PMU_FW_SET_TIMER));
	guest_configure(BIT(first_fw + 2), 0, fw(SBI_PMU_FW_IPI_SENT));
	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 0), 0);
	memset(shmem, 0xaa, sizeof(*shmem));
	shmem->ctr_values[1] = 1000;
	shmem->ctr_values[3] = 2000;
	GUEST_ASSERT_ERROR(0, PMU(SBI_EXT_PMU_COUNTER_START, base, set,
				  SBI_PMU_START_FLAG_INIT_SNAPSHOT));
	guest_make_call(SET_TIMER);
	guest_make_call(SEND_IPI);
	guest_make_call(SEND_IPI);
	shmem->ctr_values[1] = 0;
	shmem->ctr_values[3] = 0;
	GUEST_ASSERT_ERROR(0, PMU(SBI_EXT_PMU_COUNTER_STOP, base, set,
				  SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT));
	GUEST_ASSERT_EQ(shmem->ctr_values[1], 1001);
	GUEST_ASSERT_EQ(shmem->ctr_values[3], 2002);
	GUEST_ASSERT_EQ(shmem->ctr_overflow_mask, 0xaaaaaaaaaaaaaaaa & ~set);
	for (i = 0; i < 64; i++)
		if (!(set & BIT(i)))
			GUEST_ASSERT_EQ(shmem->ctr_values[i], 0xaaaaaaaaaaaaaaaa);
	for (i = 0; i < ARRAY_SIZE(shmem->reserved); i++)
		GUEST_ASSERT_EQ(shmem->reserved[i], 0xaaaaaaaaaaaaaaaa);
	GUEST_DONE();
}

TEST_F(pmu, snapshot)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend writes all of the snapshot");
	run_guest(self->vcpu[0], guest_snapshot);
}

/* Reads and writes of CSRs that are illegal: each counts here. */
static int illegal;

static void guest_illegal(struct pt_regs *regs)
{
	illegal++;
	regs->epc += 4;
}

static void guest_csrs(void)
{
	u64 counter;

	csr_read(CSR_CYCLE);
	csr_read(CSR_INSTRET);
	csr_read(CSR_HPMCOUNTER3);
	csr_read(CSR_HPMCOUNTER31);
	GUEST_ASSERT_EQ(READ_ONCE(illegal), 4);
	GUEST_ASSERT(csr_read(CSR_TIME));
	counter = guest_configure(BIT(CYCLE), 0, SBI_PMU_HW_CPU_CYCLES);
	GUEST_ASSERT_EQ(counter, CYCLE);
	csr_read(CSR_CYCLE);
	GUEST_ASSERT_EQ(READ_ONCE(illegal), 4);
	csr_write(CSR_CYCLE, 0);
	csr_write(CSR_INSTRET, 0);
	GUEST_ASSERT_EQ(READ_ONCE(illegal), 6);
	GUEST_DONE();
}

TEST_F(pmu, csrs)
{
	vm_install_exception_handler(self->vm, EXC_INST_ILLEGAL, guest_illegal);
	run_guest(self->vcpu[0], guest_csrs);
}

/* Without the extension, software that knows the old counters finds them at zero. */
static void guest_csrs_without(void)
{
	GUEST_ASSERT_EQ(csr_read(CSR_CYCLE), 0);
	GUEST_ASSERT_EQ(csr_read(CSR_INSTRET), 0);
	csr_read(CSR_HPMCOUNTER3);
	GUEST_ASSERT_EQ(READ_ONCE(illegal), 1);
	GUEST_DONE();
}

TEST_F(pmu, csrs_without)
{
	if (!counters_read_zero(self->vcpu[0]))
		SKIP(return, "the C backend reads the counters by the host's PMU alone");
	vm_install_exception_handler(self->vm, EXC_INST_ILLEGAL, guest_illegal);
	run_guest(self->vcpu[0], guest_csrs_without);
}

/* What is excluded is not counted: this guest has no user mode. */
static void guest_modes(void)
{
	u64 counter = guest_configure(guest_all(), SBI_PMU_CFG_FLAG_SET_SINH,
				      SBI_PMU_HW_INSTRUCTIONS);

	guest_start_at(counter, 500);
	guest_work(WORK);
	GUEST_ASSERT_EQ(guest_read_csr(counter), 500);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_RESET), 0);
	counter = guest_configure(guest_all(), SBI_PMU_CFG_FLAG_SET_UINH,
				  SBI_PMU_HW_INSTRUCTIONS);
	guest_start_at(counter, 500);
	guest_work(WORK);
	GUEST_ASSERT(guest_read_csr(counter) > 500 + WORK);
	GUEST_DONE();
}

TEST_F(pmu, modes)
{
	run_guest(self->vcpu[0], guest_modes);
}

/* What the host does meanwhile is not counted, as long as it may take. */
static void guest_counts_itself(void)
{
	u64 counter = guest_configure(guest_all(), 0, SBI_PMU_HW_INSTRUCTIONS), alone;

	guest_start_at(counter, 0);
	guest_work(WORK);
	alone = guest_read_csr(counter);
	guest_start_at(guest_configure(guest_all(), 0, SBI_PMU_HW_CPU_CYCLES), 0);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), 0);
	guest_start_at(counter, 0);
	guest_work(WORK);
	GUEST_SYNC(0);
	/* The most is what the two exits and the calls make of it. */
	__GUEST_ASSERT(guest_read_csr(counter) < 20 * alone, "%lu, and alone %lu",
		       guest_read_csr(counter), alone);
	GUEST_DONE();
}

TEST_F(pmu, host_does_not_count)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 begin;

	vcpu_arch_set_entry_point(vcpu, guest_counts_itself);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "too early");
	/* In this thread: 1000 times as long. */
	for (begin = 0; begin < 1000UL * WORK; begin++)
		asm volatile("nop");
	run_until_done(vcpu);
}

/* The vCPU goes to another thread, and its counters with it. */
static void guest_in_threads(void)
{
	u64 counter = guest_configure(guest_all(), 0, SBI_PMU_HW_INSTRUCTIONS), before, now;

	guest_start_at(counter, 1000);
	guest_work(WORK);
	before = guest_read_csr(counter);
	GUEST_ASSERT(before > 1000 + WORK);
	GUEST_SYNC(0);
	/* Far less than before, so that it shows if that is forgotten. */
	guest_work(WORK / 20);
	now = guest_read_csr(counter);
	GUEST_ASSERT(now > before + WORK / 20 && now < 1UL << 40);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), 0);
	now = guest_read_csr(counter);
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(guest_read_csr(counter), now);
	GUEST_ASSERT_EQ(guest_start(counter, 0, 0), 0);
	guest_work(WORK / 20);
	GUEST_ASSERT(guest_read_csr(counter) > now + WORK / 20);
	GUEST_DONE();
}

static void *run_once(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	vcpu_run(vcpu);
	return (void *)(u64)guest_is_done(vcpu);
}

TEST_F(pmu, threads)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	void *done;
	int i;

	if (!is_rust_backend())
		SKIP(return, "the C backend counts in the thread that has configured the counter");
	vcpu_arch_set_entry_point(vcpu, guest_in_threads);
	for (i = 0; i < 3; i++) {
		/* Each thread ends before the next one begins. */
		pthread_join(thread_start(run_once, vcpu), &done);
		TEST_ASSERT_EQ((u64)done, i == 2);
	}
}

/* Interrupts by overflow. */
static u64 overflows;

static void guest_overflowed(struct pt_regs *regs)
{
	GUEST_ASSERT_EQ(regs->cause & ~CAUSE_IRQ_FLAG, OVERFLOW_IRQ);
	csr_clear(CSR_SIP, BIT(OVERFLOW_IRQ));
	WRITE_ONCE(overflows, overflows + 1);
}

static void overflow_setup(FIXTURE_DATA(pmu) *self)
{
	vm_install_interrupt_handler(self->vm, guest_overflowed);
}

static bool has_overflow(struct kvm_vcpu *vcpu)
{
	return __vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_SSCOFPMF);
}

#define ROUNDS	20

/* Starts a counter that is about to overflow, and works until it has. */
static void guest_overflow(u64 counter, u64 distance)
{
	guest_start_at(counter, -distance);
	while (guest_read_csr(counter) >= -distance)
		guest_work(100);
}

static void guest_overflow_rounds(void)
{
	struct riscv_pmu_snapshot_data *shmem = (void *)SHMEM_GPA;
	u64 counter = guest_configure(guest_all(), 0, SBI_PMU_HW_INSTRUCTIONS), i;

	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 0), 0);
	csr_set(CSR_SIE, BIT(OVERFLOW_IRQ));
	local_irq_enable();
	for (i = 0; i < ROUNDS; i++) {
		GUEST_ASSERT_EQ(READ_ONCE(overflows), i);
		guest_overflow(counter, 1 + i * 500);
		while (READ_ONCE(overflows) == i)
			guest_work(100);
		/* Once: the next is a whole turn away. */
		guest_work(WORK);
		GUEST_ASSERT_EQ(READ_ONCE(overflows), i + 1);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT), 0);
		GUEST_ASSERT_EQ(shmem->ctr_overflow_mask, 1);
		GUEST_ASSERT(shmem->ctr_values[0] < 1UL << 40);
		/* Started again, it has not overflowed. */
		guest_start_at(counter, 0);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT), 0);
		GUEST_ASSERT_EQ(shmem->ctr_overflow_mask, !guest_is_under_rust);
	}
	GUEST_DONE();
}

TEST_F(pmu, overflow)
{
	if (!has_overflow(self->vcpu[0]))
		SKIP(return, "the hart has no interrupt by overflow");
	overflow_setup(self);
	run_guest(self->vcpu[0], guest_overflow_rounds);
}

/* The same, on a vCPU whose thread is moved from hart to hart. */
static bool stop_moving;

static void *move(void *arg)
{
	pthread_t thread = *(pthread_t *)arg;
	int cpu = 0, cpus = get_nprocs();

	while (!READ_ONCE(stop_moving)) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(cpu++ % cpus, &set);
		pthread_setaffinity_np(thread, sizeof(set), &set);
		usleep(500);
	}
	return NULL;
}

TEST_F(pmu, overflow_moved)
{
	struct vcpu_thread thread;
	pthread_t mover;

	if (!has_overflow(self->vcpu[0]))
		SKIP(return, "the hart has no interrupt by overflow");
	overflow_setup(self);
	vcpu_arch_set_entry_point(self->vcpu[0], guest_overflow_rounds);
	stop_moving = false;
	vcpu_thread_start(&thread, self->vcpu[0]);
	mover = thread_start(move, &thread.thread);
	vcpu_thread_join(&thread);
	WRITE_ONCE(stop_moving, true);
	pthread_join(mover, NULL);
}

/* An interrupt that is not enabled yet stays with its vCPU, and ends WFI. */
static void guest_pending(void)
{
	u64 counter = guest_configure(guest_all(), 0, SBI_PMU_HW_INSTRUCTIONS);

	GUEST_ASSERT_EQ(csr_read(CSR_SIP) & BIT(OVERFLOW_IRQ), 0);
	guest_overflow(counter, 1000);
	while (!(csr_read(CSR_SIP) & BIT(OVERFLOW_IRQ)))
		guest_work(100);
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(csr_read(CSR_SIP) & BIT(OVERFLOW_IRQ), BIT(OVERFLOW_IRQ));
	csr_set(CSR_SIE, BIT(OVERFLOW_IRQ));
	/* It is not taken, but awaited. */
	asm volatile("wfi" ::: "memory");
	GUEST_ASSERT_EQ(READ_ONCE(overflows), 0);
	local_irq_enable();
	GUEST_ASSERT_EQ(READ_ONCE(overflows), 1);
	GUEST_ASSERT_EQ(csr_read(CSR_SIP) & BIT(OVERFLOW_IRQ), 0);
	GUEST_DONE();
}

/* The neighbour on the same hart sees nothing of it. */
static void guest_neighbour(void)
{
	csr_set(CSR_SIE, BIT(OVERFLOW_IRQ));
	local_irq_enable();
	guest_work(WORK);
	GUEST_ASSERT_EQ(csr_read(CSR_SIP) & BIT(OVERFLOW_IRQ), 0);
	GUEST_ASSERT_EQ(csr_read(CSR_SIE) & BIT(OVERFLOW_IRQ), BIT(OVERFLOW_IRQ));
	GUEST_ASSERT_EQ(READ_ONCE(overflows), 0);
	GUEST_DONE();
}

TEST_F(pmu, overflow_pending)
{
	struct kvm_vcpu *vcpu = self->vcpu[0], *neighbour = self->vcpu[1];
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	u64 sip;

	if (!has_overflow(vcpu))
		SKIP(return, "the hart has no interrupt by overflow");
	overflow_setup(self);
	vcpu_arch_set_entry_point(vcpu, guest_pending);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "too early");
	vcpu_mp_state_set(neighbour, &runnable);
	run_guest(neighbour, guest_neighbour);
	/* Saved and restored. The C backend shows it, and forgets what is restored. */
	sip = vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sip));
	TEST_ASSERT_EQ(sip & BIT(OVERFLOW_IRQ), BIT(OVERFLOW_IRQ));
	TEST_ASSERT_EQ(vcpu_get_reg(neighbour, RISCV_GENERAL_CSR_REG(sie)) & BIT(OVERFLOW_IRQ),
		       BIT(OVERFLOW_IRQ));
	if (is_rust_backend()) {
		vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sip), 0);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sip)), 0);
		vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sip), sip);
	}
	run_until_done(vcpu);
}

/* A reset leaves no counter, no snapshot, and no interrupt. */
static void guest_leaves_counters(void)
{
	u64 counter = guest_configure(guest_all(), 0, SBI_PMU_HW_INSTRUCTIONS);

	guest_configure(guest_all(), SBI_PMU_CFG_FLAG_AUTO_START, fw(SBI_PMU_FW_SET_TIMER));
	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 0), 0);
	guest_start_at(counter, -1000UL);
	guest_work(WORK);
	GUEST_SYNC(0);
}

static void guest_after_reset(void)
{
	u64 first_fw = guest_first_fw(), counter;

	GUEST_ASSERT_EQ(csr_read(CSR_SIP), 0);
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, PMU(SBI_EXT_PMU_COUNTER_FW_READ, first_fw));
	counter = guest_configure(guest_all(), 0, SBI_PMU_HW_INSTRUCTIONS);
	GUEST_ASSERT_EQ(counter, INSTRET);
	GUEST_ASSERT_EQ(guest_read_csr(counter), 0);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT),
			SBI_ERR_NO_SHMEM);
	GUEST_ASSERT_EQ(guest_configure(guest_all(), 0, fw(SBI_PMU_FW_SET_TIMER)), first_fw);
	GUEST_ASSERT_EQ(guest_read_fw(first_fw), 0);
	GUEST_DONE();
}

TEST_F(pmu, reset)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_mp_state init = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	u64 kept[NR_KEPT];

	vm_enable_cap(self->vm, KVM_CAP_RISCV_MP_STATE_RESET, 0);
	keep_regs(vcpu, kept);
	vcpu_arch_set_entry_point(vcpu, guest_leaves_counters);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "too early");
	vcpu_mp_state_set(vcpu, &init);
	restore_regs(vcpu, kept);
	run_guest(vcpu, guest_after_reset);
}

TEST_HARNESS_MAIN
