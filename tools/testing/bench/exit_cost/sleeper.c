// SPDX-License-Identifier: GPL-2.0
/* The other vCPU in a thread of its own, asleep in WFI but for interrupts. */
#include <err.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"
#include "sleeper.h"
#include "stats.h"
#include "vm.h"

#define FOREVER		(~0U)
/* Far more than it takes. */
#define TRIES		1000

GUEST_LOOP(sleeper_loop, "csrwi sie, 2", "", "wfi", "csrci sip, 2");

static struct stats stats;
static uint64_t sleeps, wakeups;

static void *sleeper(void *loop)
{
	run_loop(OTHER, loop, FOREVER);
	errx(1, "the vCPU that has to sleep in WFI has left its loop");
}

/*
 * Of a higher class than the thread of the loop, it is what runs once it is
 * woken, and until it sleeps again. So the loop gets no further meanwhile.
 */
static void start_thread(const char *loop)
{
	struct sched_param priority = { .sched_priority = 1 };
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &priority);
	error = pthread_create(&thread, &attr, sleeper, (void *)loop);
	if (error)
		errx(1, "a thread of class SCHED_FIFO: %s", strerror(error));
	pthread_attr_destroy(&attr);
}

const char *begin_sleep(const char *loop)
{
	int i;

	open_stats(&stats, OTHER->fd);
	start_thread(loop);
	for (i = 0; !read_counter(&stats, STAT_blocking); i++) {
		if (i == TRIES)
			errx(1, "a vCPU in WFI has not gone to sleep");
		usleep(1000);
	}
	sleeps = read_counter(&stats, STAT_wfi_exit_stat);
	wakeups = read_counter(&stats, STAT_halt_wakeup);
	return NULL;
}

const char *begin_sleeper(void)
{
	return begin_sleep(sleeper_loop);
}

/* Each interrupt has woken it, and each time it has gone to sleep again. */
void check_sleeper(unsigned int interrupts)
{
	uint64_t slept = read_counter(&stats, STAT_wfi_exit_stat) - sleeps;
	uint64_t woken = read_counter(&stats, STAT_halt_wakeup) - wakeups;

	if (woken != interrupts || slept != interrupts)
		errx(1, "%u interrupts have woken a vCPU %lu times, %lu times it slept again",
		     interrupts, woken, slept);
	sleeps += slept;
	wakeups += woken;
}
