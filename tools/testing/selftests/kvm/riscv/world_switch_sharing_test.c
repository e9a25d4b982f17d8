// SPDX-License-Identifier: GPL-2.0
/*
 * A hart that vCPUs, VMs and the host itself use by turns.
 *
 * Which break each case notices:
 *
 *  two_vcpus, two_vms
 *	State of one vCPU that leaks into the next on the same hart; HSTATUS or
 *	a VS CSR that is left because "it is the same vCPU".
 *  moved
 *	State that a vCPU has left on a hart taken for what it has now.
 *  own_page_table
 *	SATP, once the guest itself has changed it.
 *  host_counters
 *	The guest's SCOUNTEREN left in the hart: the host's own rdtime traps.
 *  host_survives
 *	SSCRATCH, TP, STVEC or SSTATUS of the host left as the guest had them:
 *	the first interrupt after an exit then brings the host down. HSTATUS not
 *	swapped back: the next return to user space enters a guest.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "world_switch.h"

/* Two vCPUs of one VM, by turns, from one thread. */
TEST_F(world_switch, two_vcpus)
{
	bool more[2] = { true, true };
	int i;

	for (i = 0; i < 2; i++)
		start(self->vcpu[i], guest_sbi_forward, i, ROUNDS);
	while (more[0] || more[1])
		for (i = 0; i < 2; i++)
			if (more[i])
				more[i] = step(self, i);
	TEST_ASSERT_EQ(self->seed[0], ROUNDS);
	TEST_ASSERT_EQ(self->seed[1], 1000 + ROUNDS);
}

/* How many times a guest is run to its end, at most, until both were preempted. */
#define MOST_RUNS	1000

struct runner {
	struct kvm_vcpu *vcpu;
	int me;
};

static int preempted;

static void *run_until_preempted(void *arg)
{
	struct runner *r = arg;
	struct rusage usage;
	bool counted = false;
	int runs = 0;

	pin_self_to_cpu(0);
	do {
		start(r->vcpu, guest_spin, r->me, 20);
		vcpu_run(r->vcpu);
		TEST_ASSERT(guest_is_done(r->vcpu), "not reached");
		getrusage(RUSAGE_THREAD, &usage);
		if (usage.ru_nivcsw && !counted) {
			counted = true;
			__atomic_add_fetch(&preempted, 1, __ATOMIC_SEQ_CST);
		}
	} while (__atomic_load_n(&preempted, __ATOMIC_SEQ_CST) < 2 && ++runs < MOST_RUNS);
	return NULL;
}

/* vCPUs of two VMs, preempted by each other on one hart. */
TEST_F(world_switch, two_vms)
{
	struct kvm_vcpu *vcpu[2];
	struct area *area[2];
	struct kvm_vm *vm = create_vm(vcpu, area);
	struct runner runner[2] = { { self->vcpu[0], 0 }, { vcpu[1], 1 } };
	pthread_t thread[2];
	int i;

	for (i = 0; i < 2; i++)
		thread[i] = thread_start(run_until_preempted, &runner[i]);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	TEST_ASSERT(preempted == 2, "a vCPU was never preempted");
	kvm_vm_free(vm);
}

/* A vCPU that comes back to where it has left other values. */
TEST_F(world_switch, moved)
{
	int cpus[2], found = 0, cpu, exit = 0;
	cpu_set_t allowed;

	kvm_sched_getaffinity(0, sizeof(allowed), &allowed);
	for (cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[found++] = cpu;
	if (found < 2)
		SKIP(return, "there is only one CPU");
	start(self->vcpu[0], guest_sbi_forward, 0, ROUNDS);
	do
		pin_self_to_cpu(cpus[exit++ / 2 % 2]);
	while (step(self, 0));
	TEST_ASSERT_EQ(self->seed[0], ROUNDS);
}

#define SATP_ASID_SHIFT		44
#define SATP_ASID		(1UL << SATP_ASID_SHIFT)

static void guest_new_satp(void)
{
	u64 satp = csr_read(CSR_SATP) | SATP_ASID;

	csr_write(CSR_SATP, satp);
	/* A hart without ASIDs does not take it. */
	satp = csr_read(CSR_SATP);
	GUEST_SYNC(satp);
	GUEST_ASSERT_EQ(csr_read(CSR_SATP), satp);
	GUEST_DONE();
}

/* The satp that the guest has written goes with it, and is what user space reads. */
TEST_F(world_switch, own_page_table)
{
	struct kvm_vcpu *vcpu[2], *other;
	struct area *area[2];
	struct kvm_vm *vm = create_vm(vcpu, area);
	struct ucall uc;

	other = vcpu[0];
	vcpu_arch_set_entry_point(self->vcpu[0], guest_new_satp);
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT_EQ(get_ucall(self->vcpu[0], &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu[0], RISCV_GENERAL_CSR_REG(satp)), uc.args[1]);
	start(other, guest_sbi_call, 0, 1);
	vcpu_run(other);
	TEST_ASSERT(guest_is_done(other), "not reached");
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT(guest_is_done(self->vcpu[0]), "not reached");
	kvm_vm_free(vm);
}

static void guest_no_counters(void)
{
	csr_write(CSR_SCOUNTEREN, 0);
	ucall(UCALL_NONE, 0);
	GUEST_ASSERT_EQ(csr_read(CSR_SCOUNTEREN), 0);
	GUEST_DONE();
}

TEST_F(world_switch, host_counters)
{
	u64 before, after;

	vcpu_arch_set_entry_point(self->vcpu[0], guest_no_counters);
	asm volatile("rdtime %0" : "=r" (before));
	vcpu_run(self->vcpu[0]);
	asm volatile("rdtime %0" : "=r" (after));
	TEST_ASSERT(before < after, "the host's time stands still");
	TEST_ASSERT_EQ(get_ucall(self->vcpu[0], NULL), UCALL_NONE);
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT(guest_is_done(self->vcpu[0]), "not reached");
}

static bool stop;
static unsigned long signals;

static void count_signal(int signo)
{
	WRITE_ONCE(signals, signals + 1);
}

static void *system_calls(void *count)
{
	const struct timespec nap = { .tv_nsec = 50000 };
	unsigned long n = 0;

	while (!READ_ONCE(stop)) {
		syscall(SYS_getppid);
		if (!(++n % 64))
			nanosleep(&nap, NULL);
	}
	*(unsigned long *)count = n;
	return NULL;
}

/* Thousands of exits while signals, ticks and system calls go on around. */
TEST_F(world_switch, host_survives)
{
	const struct itimerspec millisecond = {
		.it_interval.tv_nsec = 1000000, .it_value.tv_nsec = 1000000,
	};
	struct sigevent to_us = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1,
	};
	struct sigaction action = { .sa_handler = count_signal };
	struct kvm_vcpu *vcpu = self->vcpu[0];
	unsigned long calls[2], interrupted = 0;
	pthread_t thread[2];
	sigset_t usr1;
	timer_t timer;
	int i;

	/* The signal is for the thread that runs the vCPU, this one. */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	for (i = 0; i < 2; i++)
		thread[i] = thread_start(system_calls, &calls[i]);
	sigaction(SIGUSR1, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	TEST_ASSERT(!timer_create(CLOCK_MONOTONIC, &to_us, &timer) &&
		    !timer_settime(timer, 0, &millisecond, NULL),
		    "no timer: %s", strerror(errno));

	for (i = 0; i < 4; i++) {
		u64 sp = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.sp));
		bool done = false;

		start(vcpu, i & 1 ? guest_spin : guest_sbi_call, 0,
		      i & 1 ? 50 : 10 * ROUNDS);
		while (!done) {
			if (!__vcpu_run(vcpu)) {
				done = guest_is_done(vcpu);
				continue;
			}
			TEST_ASSERT(errno == EINTR, "KVM_RUN: %s", strerror(errno));
			interrupted++;
		}
		vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), sp);
	}

	timer_delete(timer);
	WRITE_ONCE(stop, true);
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		TEST_ASSERT(calls[i] > 0, "a thread beside the guest did not run");
	}
	TEST_ASSERT(READ_ONCE(signals) > 0, "no signal arrived");
	TEST_ASSERT(interrupted > 0, "no signal interrupted KVM_RUN");
	TEST_ASSERT(vcpu_get_stat(vcpu, exits) > 20 * ROUNDS, "too few exits");
}

TEST_HARNESS_MAIN
