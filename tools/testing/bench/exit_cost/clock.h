/* SPDX-License-Identifier: GPL-2.0 */
/* The host's time CSR. */
#ifndef EXIT_COST_CLOCK_H
#define EXIT_COST_CLOCK_H

#include <stdint.h>

static inline uint64_t read_time(void)
{
	uint64_t t;

	asm volatile("rdtime %0" : "=r"(t) :: "memory");
	return t;
}

#endif /* EXIT_COST_CLOCK_H */
