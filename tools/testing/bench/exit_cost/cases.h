/* SPDX-License-Identifier: GPL-2.0 */
/* What is measured. */
#ifndef EXIT_COST_CASES_H
#define EXIT_COST_CASES_H

#include <stdbool.h>

#include "stats.h"

/*
 * Each case is a loop, assembled twice: once with the instruction that exits,
 * once with a nop in its place.
 */
struct exit_case {
	const char *name;
	const char *title;
	const char *loop;
	const char *base;
	/* Exits in one lap of the loop, on each vCPU. */
	unsigned int exits;
	/* Whether the backend may do with fewer. The cost is for each all the same. */
	bool at_most;
	/* Exits that are measured as one. */
	unsigned int joined;
	/* How often it is measured, if not as often as others. */
	unsigned int runs;
	/* Laps that are timed together. */
	unsigned int laps;
	/* vCPUs that run the loop, by turns. */
	unsigned int vcpus;
	/*
	 * What KVM counts of each exit besides that it is one, if it does. No
	 * other of its counters may grow.
	 */
	enum counter counter;
	/*
	 * Once, before a vCPU runs, and after that; they return why this host
	 * cannot run the case, or NULL.
	 */
	const char *(*set_up)(void);
	const char *(*begin)(void);
	/* What is timed where no vCPU runs a loop: so many rounds of it. */
	void (*from_outside)(unsigned int rounds);
	/* Before and after each lap, not timed. */
	void (*before)(void);
	void (*after)(unsigned int exits);
};

extern const struct exit_case cases[];
extern const unsigned int nr_cases;

#endif /* EXIT_COST_CASES_H */
