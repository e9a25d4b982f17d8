/* SPDX-License-Identifier: GPL-2.0 */
/* Counters of the guest, and its record of steal time. */
#ifndef EXIT_COST_PMU_H
#define EXIT_COST_PMU_H

#define EXT_PMU		"li a7, 0x504d55; "
/* A set of one counter: instret. */
#define INSTRET		"li a0, 2; li a1, 1; "
#define PMU_START	"li a6, 3; " INSTRET
#define PMU_STOP	"li a6, 4; " INSTRET

/*
 * Each lets the guest's vCPUs prepare what the case is about: instret counts
 * instructions, and is stopped, or counts; values are exchanged by a page of data;
 * s1 is the number of a counter of the firmware. They return why there is no such.
 */
const char *begin_stopped_counter(void);
const char *begin_counter(void);
const char *begin_snapshot(void);
const char *begin_firmware_counter(void);

/* The vCPUs have a record of steal time. */
const char *begin_steal_time(void);

#endif /* EXIT_COST_PMU_H */
