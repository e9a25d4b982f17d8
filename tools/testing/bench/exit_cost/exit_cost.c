// SPDX-License-Identifier: GPL-2.0
/*
 * What one guest exit costs, in ticks of the host's time CSR.
 *
 * Runs on the host, without a library. The difference of the times of a case's
 * two loops is the cost of the exits alone; the loop, the final exit to user
 * space and the reads of the clock cancel out.
 *
 * Each loop is run several times and the shortest time wins, since the host's
 * timer interrupt can only make a run longer. On a host that is emulated with
 * counted instructions, ticks are instructions divided by a constant, and the
 * result repeats. KVM's own statistics have to say that the exits took the way
 * that the case is named after.
 *
 * On nacl-sbi, that firmware counts what traps to it: calls of SBI nested
 * acceleration, accesses to H CSRs, and fences by instruction.
 *
 * Output, one line a case, and one more on nacl-sbi:
 *	exit_cost NAME TICKS EXITS TITLE
 *	exit_traps NAME CALLS CSRS FENCES EXITS TITLE
 *	not_measured NAME TITLE: REASON
 */
#include <err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "clock.h"
#include "traps.h"
#include "stats.h"
#include "vm.h"

#define RUNS		25
/* Where counts are all that is wanted, and everything is slow. */
#define RUNS_COUNTED	3

/* What a run took, and what KVM has counted meanwhile, of all its vCPUs. */
struct measurement {
	uint64_t ticks;
	struct traps traps;
	uint64_t counted[NR_COUNTERS];
};

static struct stats stats[NR_VCPUS];

/* By turns, until each has asked its next question. */
static void run_vcpus(const struct exit_case *c, const char *loop)
{
	unsigned int i, left = c->vcpus;

	for (i = 0; i < c->vcpus; i++)
		answer(&vcpus[i], loop, c->exits);
	for (i = 0; left; i = (i + 1) % c->vcpus)
		left -= run_once(&vcpus[i]);
}

static void check_complaints(const struct exit_case *c)
{
	unsigned int i;

	for (i = 0; i < c->vcpus; i++) {
		if (complaint(&vcpus[i]))
			errx(1, "%s: the guest complains: 0x%lx", c->name,
			     complaint(&vcpus[i]));
	}
}

/* `exits` is how many the loop has to make on each vCPU, if any. */
static void run_lap(const struct exit_case *c, const char *loop,
		    unsigned int exits, struct measurement *m)
{
	uint64_t start;

	if (c->before)
		c->before();
	subtract_traps(&m->traps);
	start = read_time();
	if (c->from_outside)
		c->from_outside(exits);
	else
		run_vcpus(c, loop);
	m->ticks += read_time() - start;
	add_traps(&m->traps);
	if (exits)
		check_complaints(c);
	if (c->after)
		c->after(exits);
}

static void check_counters(const struct exit_case *c,
			   const struct measurement *m, unsigned int exits)
{
	int i;

	for (i = 0; i < NR_COUNTERS; i++) {
		uint64_t expected = 0;

		/* The host's interrupts are exits, too: see shortest(). */
		if (i == STAT_exits)
			continue;
		if (i == c->counter)
			expected += exits * c->laps * c->vcpus;
		/* The question at the end. */
		if (i == STAT_ecall_exit_stat)
			expected += c->laps * c->vcpus;
		if (m->counted[i] != expected)
			errx(1, "%s: KVM has counted %lu of %s, not %lu",
			     c->name, m->counted[i], counter_names[i],
			     expected);
	}
}

static struct measurement run_laps(const struct exit_case *c,
				   const char *loop, unsigned int exits)
{
	struct measurement m = { 0 };
	unsigned int i;

	for (i = 0; i < c->vcpus; i++)
		subtract_stats(&stats[i], m.counted);
	for (i = 0; i < c->laps; i++)
		run_lap(c, loop, exits, &m);
	for (i = 0; i < c->vcpus; i++)
		add_stats(&stats[i], m.counted);
	check_counters(c, &m, exits);
	return m;
}

static struct measurement shortest(const struct exit_case *c,
				   const char *loop, unsigned int exits)
{
	struct measurement best = { .ticks = UINT64_MAX };
	uint64_t expected = (exits * c->joined + 1UL) * c->laps * c->vcpus;
	unsigned int runs = nacl_sbi_is_there() ? RUNS_COUNTED : c->runs ?: RUNS;
	unsigned int i;

	for (i = 0; i < runs; i++) {
		struct measurement m = run_laps(c, loop, exits);

		if (m.ticks < best.ticks)
			best = m;
	}
	/*
	 * Traps that are emulated make runs long. One interrupt among hundreds of
	 * exits is nothing to their counts, and time is not measured there.
	 */
	if (best.counted[STAT_exits] != expected && !nacl_sbi_is_there() &&
	    !(c->at_most && best.counted[STAT_exits] < expected))
		errx(1, "%s: %lu exits, not %lu, in the shortest of %u runs",
		     c->name, best.counted[STAT_exits], expected, runs);
	return best;
}

static void measure(const struct exit_case *c)
{
	unsigned int exits = c->exits * c->laps * (c->vcpus ?: 1);
	struct measurement with, without;
	const char *reason = create_vm(c->set_up);
	int i;

	for (i = 0; !reason && i < NR_VCPUS; i++)
		open_stats(&stats[i], vcpus[i].fd);
	if (!reason && c->begin)
		reason = c->begin();
	if (reason) {
		printf("not_measured %s %s: %s\n", c->name, c->title, reason);
		return;
	}
	with = shortest(c, c->loop, c->exits);
	without = shortest(c, c->base, 0);
	printf("exit_cost %s %lu %u %s\n", c->name, with.ticks - without.ticks,
	       exits, c->title);
	if (nacl_sbi_is_there())
		printf("exit_traps %s %ld %ld %ld %u %s\n", c->name,
		       with.traps.calls - without.traps.calls,
		       with.traps.csrs - without.traps.csrs,
		       with.traps.fences - without.traps.fences,
		       exits, c->title);
}

/* A process and a VM for each case, so that none sees what another has left. */
static void measure_apart(const struct exit_case *c)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		err(1, "fork");
	if (!child) {
		measure(c);
		exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		err(1, "waitpid");
	if (status)
		errx(1, "%s failed, wait status 0x%x", c->name, status);
}

static bool is_wanted(const struct exit_case *c, char **names)
{
	bool all = !*names;

	for (; *names; names++) {
		if (!strcmp(c->name, *names))
			return true;
	}
	return all;
}

/* The cases that are named, or all. */
int main(int argc, char **argv)
{
	unsigned int i;

	for (i = 0; i < nr_cases; i++) {
		if (is_wanted(&cases[i], argv + 1))
			measure_apart(&cases[i]);
	}
	return 0;
}
