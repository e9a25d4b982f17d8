// SPDX-License-Identifier: GPL-2.0
/*
 * The other vCPU. On one hart it can never be in the guest at the same time: it
 * does not run, or a thread of its own sleeps in WFI.
 */
#include <err.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "guest.h"
#include "other_vcpu.h"
#include "stats.h"
#include "vm.h"

#define OTHER		(&vcpus[1])
#define SIP		(KVM_REG_RISCV | KVM_REG_SIZE_U64 |		\
			 KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_REG(sip))
#define SIP_SSIP	2UL

/* More fences than any queue of a vCPU holds. */
#define MANY_FENCES	1000
#define FOREVER		(~0U)
#define TRIES		10

GUEST_LOOP(nothing_loop, "", "", "nop", "");
GUEST_LOOP(sleeper_loop, "csrwi sie, 2", "", "wfi", "csrci sip, 2");
extern const char fence_full_loop[];

/* Does what waits for it. */
void run_other(void)
{
	run_loop(OTHER, nothing_loop, 1);
}

/* That it has the interrupt shows that the calls have found it. */
void take_ipi_of_other(unsigned int ipis)
{
	uint64_t sip;

	if (get_reg(OTHER, SIP, &sip))
		err(1, "KVM_GET_ONE_REG of sip");
	if (!(sip & SIP_SSIP) != !ipis)
		errx(1, "after %u IPIs, the sip of their target is 0x%lx", ipis,
		     sip);
	set_reg(OTHER, SIP, 0);
}

static uint64_t ticks_without_fences = UINT64_MAX;

static uint64_t time_of_other(void)
{
	uint64_t start = read_time();

	run_other();
	return read_time() - start;
}

const char *begin_fences(void)
{
	int i;

	for (i = 0; i < TRIES; i++) {
		uint64_t ticks;

		/* After the first vCPU, as after a lap. */
		run_loop(&vcpus[0], nothing_loop, 1);
		ticks = time_of_other();
		if (ticks < ticks_without_fences)
			ticks_without_fences = ticks;
	}
	return NULL;
}

/*
 * KVM does not count fences. But that the other vCPU has some to do shows in
 * the time until its next question.
 */
void check_fences(unsigned int fences)
{
	uint64_t ticks = time_of_other();

	if (fences && ticks <= ticks_without_fences)
		errx(1, "after %u fences of another vCPU, it has none to do",
		     fences);
}

const char *fill_queue_of_other(void)
{
	run_loop(&vcpus[0], fence_full_loop, MANY_FENCES);
	return NULL;
}

static struct stats stats;
static uint64_t sleeps, wakeups;

static void *sleeper(void *unused)
{
	run_loop(OTHER, sleeper_loop, FOREVER);
	errx(1, "the vCPU that has to sleep in WFI has left its loop");
}

/*
 * Of a higher class than the thread of the loop, it is what runs once it is
 * woken, and until it sleeps again. So the loop gets no further meanwhile.
 */
static void start_thread(void)
{
	struct sched_param priority = { .sched_priority = 1 };
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &priority);
	error = pthread_create(&thread, &attr, sleeper, NULL);
	if (error)
		errx(1, "a thread of class SCHED_FIFO: %s", strerror(error));
	pthread_attr_destroy(&attr);
}

const char *begin_sleeper(void)
{
	int i;

	open_stats(&stats, OTHER->fd);
	start_thread();
	for (i = 0; !read_counter(&stats, STAT_blocking); i++) {
		if (i == 1000)
			errx(1, "a vCPU in WFI has not gone to sleep");
		usleep(1000);
	}
	sleeps = read_counter(&stats, STAT_wfi_exit_stat);
	wakeups = read_counter(&stats, STAT_halt_wakeup);
	return NULL;
}

/* Each IPI has woken it, and each time it has gone to sleep again. */
void check_sleeper(unsigned int ipis)
{
	uint64_t slept = read_counter(&stats, STAT_wfi_exit_stat) - sleeps;
	uint64_t woken = read_counter(&stats, STAT_halt_wakeup) - wakeups;

	if (woken != ipis || slept != ipis)
		errx(1, "%u IPIs have woken a vCPU %lu times, %lu times it slept again",
		     ipis, woken, slept);
	sleeps += slept;
	wakeups += woken;
}
