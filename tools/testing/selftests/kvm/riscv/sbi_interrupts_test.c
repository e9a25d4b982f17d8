// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts that a guest asks the SBI for: of its timer, and of other harts.
 */
#include "ask_guest.h"
#include "sbi_guest.h"

/*
 * Sleeps until `cond`. Interrupts are off in between: one that came after the
 * last look at `cond` ends the WFI, and is taken then.
 */
#define GUEST_WAIT_UNTIL(cond)						\
do {									\
	local_irq_disable();						\
	while (!(cond)) {						\
		asm volatile("wfi");					\
		local_irq_enable();					\
		local_irq_disable();					\
	}								\
	local_irq_enable();						\
} while (0)

static u64 interrupts[NR_VCPUS];	/* taken by each hart */

static void guest_count_timer(struct pt_regs *regs)
{
	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_TIMER);
	/* The call is also what takes the interrupt away. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, -1UL));
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_TIE));
	WRITE_ONCE(interrupts[0], interrupts[0] + 1);
}

static void guest_time(void)
{
	static const u64 delays[] = { 0, 100, 10000, 50000 };
	int i;

	csr_write(CSR_SIE, IE_TIE);
	for (i = 0; i < 3 * ARRAY_SIZE(delays); i++) {
		u64 before = READ_ONCE(interrupts[0]);
		u64 when = csr_read(CSR_TIME) + delays[i % ARRAY_SIZE(delays)];

		local_irq_disable();
		GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, when));
		while (!(csr_read(CSR_SIP) & IE_TIE))
			asm volatile("wfi");
		GUEST_ASSERT(csr_read(CSR_TIME) >= when);
		local_irq_enable();
		while (READ_ONCE(interrupts[0]) == before)
			cpu_relax();
		GUEST_ASSERT_EQ(READ_ONCE(interrupts[0]), before + 1);
	}

	/* In the past, and long past. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, 0));
	while (READ_ONCE(interrupts[0]) == i)
		cpu_relax();

	/* Replaced before it expires: only the second counts. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, csr_read(CSR_TIME) + 100000000000UL));
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, csr_read(CSR_TIME) + 1000));
	GUEST_WAIT_UNTIL(READ_ONCE(interrupts[0]) != i + 1);
	GUEST_ASSERT_EQ(READ_ONCE(interrupts[0]), i + 2);
	GUEST_DONE();
}

TEST_F(sbi, time)
{
	vm_install_interrupt_handler(self->vm, guest_count_timer);
	run_guest(self->vcpu[0], guest_time);
}

static void guest_count_ipi(struct pt_regs *regs)
{
	u32 me = guest_get_vcpuid();

	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_SOFT);
	csr_clear(CSR_SIP, IE_SIE);
	WRITE_ONCE(interrupts[me], interrupts[me] + 1);
}

static void guest_wait_for_ipis(void)
{
	csr_write(CSR_SIE, IE_SIE);
	GUEST_WAIT_UNTIL(READ_ONCE(guest_stop));
	GUEST_DONE();
}

static void guest_expect_ipi(int hart, u64 count)
{
	while (READ_ONCE(interrupts[hart]) < count)
		cpu_relax();
	GUEST_ASSERT_EQ(READ_ONCE(interrupts[hart]), count);
}

static void guest_ipi(void)
{
	int i;

	/* To itself: pending, since disabled; then taken. */
	csr_write(CSR_SIE, 0);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 1, 0));
	GUEST_ASSERT(csr_read(CSR_SIP) & IE_SIE);
	local_irq_enable();
	csr_write(CSR_SIE, IE_SIE);
	guest_expect_ipi(0, 1);
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_SIE));

	/* To another, which waits for it, named by mask and by base. */
	for (i = 1; i <= 50; i++) {
		GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 2 >> (i & 1), i & 1));
		guest_expect_ipi(1, i);
	}

	/* To all, in the two ways to say so. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 3, 0));
	guest_expect_ipi(0, 2);
	guest_expect_ipi(1, 51);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 0, ALL_HARTS));
	guest_expect_ipi(0, 3);
	guest_expect_ipi(1, 52);

	/* To none. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 0, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 1UL << 50, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 1, NO_SUCH_HART));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 1UL << 63, 1));
	/* A base so high that base + bit wraps to a hart that exists. */
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 0xc, -2UL));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, -1UL, -3UL));
	guest_expect_ipi(0, 3);
	guest_expect_ipi(1, 52);

	WRITE_ONCE(guest_stop, 1);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 2, 0));
	GUEST_DONE();
}

TEST_F(sbi, ipi)
{
	struct vcpu_thread other;

	vm_install_interrupt_handler(self->vm, guest_count_ipi);
	vcpu_arch_set_entry_point(self->vcpu[1], guest_wait_for_ipis);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_ipi);
	vcpu_thread_join(&other);
}

/* Each of two harts sends the other an IPI for each one that it gets. */
static u64 ipi_rounds;

static void guest_bounce_ipis(void)
{
	u32 me = guest_get_vcpuid();
	u64 round;

	csr_write(CSR_SIE, IE_SIE);
	for (round = 1; round <= ipi_rounds; round++) {
		if (!me)
			GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 2, 0));
		GUEST_WAIT_UNTIL(READ_ONCE(interrupts[me]) >= round);
		GUEST_ASSERT_EQ(READ_ONCE(interrupts[me]), round);
		if (me)
			GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 1, 0));
	}
	GUEST_DONE();
}

static void pin(pthread_t thread, int cpu)
{
	cpu_set_t set;
	int error;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	error = pthread_setaffinity_np(thread, sizeof(set), &set);
	/* The thread may be done. */
	TEST_ASSERT(!error || error == ESRCH, "pthread_setaffinity_np: %s", strerror(error));
}

/*
 * No IPI gets lost when the vCPUs are moved to other CPUs all the time: when one
 * is sent, the other is in WFI, about to sleep, about to wake up, or on its way.
 */
TEST_F(sbi, ipi_while_moved)
{
	u64 *taken = addr_gva2hva(self->vm, (gva_t)&interrupts[1]);
	int nr_cpus = sysconf(_SC_NPROCESSORS_ONLN), i;
	struct vcpu_thread thread[2];
	u64 seen = 0, moves = 0, still = 0;

	if (!is_rust_backend())
		SKIP(return, "the C backend loses an IPI in one of some dozen runs");
	if (nr_cpus < 2)
		SKIP(return, "there is one CPU, and nowhere to move to");
	ipi_rounds = getenv("FULL") ? 100000 : 5000;
	sync_global_to_guest(self->vm, ipi_rounds);
	vm_install_interrupt_handler(self->vm, guest_count_ipi);
	for (i = 0; i < 2; i++)
		vcpu_arch_set_entry_point(self->vcpu[i], guest_bounce_ipis);
	for (i = 1; i >= 0; i--)
		vcpu_thread_start(&thread[i], self->vcpu[i]);
	while (!READ_ONCE(thread[0].done) || !READ_ONCE(thread[1].done)) {
		for (i = 0; i < 2; i++)
			pin(thread[i].thread, kvm_random_u32(&kvm_rng) % nr_cpus);
		moves++;
		usleep(1000);
		still = READ_ONCE(*taken) == seen ? still + 1 : 0;
		seen = READ_ONCE(*taken);
		TEST_ASSERT(still < 20000, "an IPI is lost after %lu rounds", seen);
	}
	for (i = 0; i < 2; i++)
		vcpu_thread_join(&thread[i]);
	TEST_ASSERT(moves >= 100, "%lu moves are too few to say anything", moves);
}

#define MANY_VCPUS	20

static void guest_send_ipi(u64 mask, u64 base)
{
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, mask, base));
	GUEST_DONE();
}

/* However many harts a mask names, all of them get the interrupt, and no other. */
TEST(ipi_to_many)
{
	const u64 sip = RISCV_GENERAL_CSR_REG(sip);
	struct kvm_vcpu *vcpu[MANY_VCPUS];
	struct kvm_vm *vm = vm_with_vcpus(MANY_VCPUS, guest_send_ipi, vcpu);
	int named, i;
	u64 mask;

	for (named = 1; named <= MANY_VCPUS; named++) {
		mask = (1UL << named) - 1;
		for (i = 0; i < MANY_VCPUS; i++)
			vcpu_set_reg(vcpu[i], sip, 0);
		vcpu_args_set(vcpu[0], 2, mask, named < MANY_VCPUS ? 0 : ALL_HARTS);
		run_guest(vcpu[0], guest_send_ipi);
		for (i = 0; i < MANY_VCPUS; i++)
			TEST_ASSERT(!!(vcpu_get_reg(vcpu[i], sip) & IE_SIE) == (i < named),
				    "IPI to %d harts: hart %d", named, i);
	}
	kvm_vm_free(vm);
}

TEST_HARNESS_MAIN
