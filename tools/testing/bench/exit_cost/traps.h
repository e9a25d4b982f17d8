/* SPDX-License-Identifier: GPL-2.0 */
/* What has trapped to nacl-sbi, if that is the firmware. */
#ifndef EXIT_COST_TRAPS_H
#define EXIT_COST_TRAPS_H

#include <stdbool.h>

#include "nacl_sbi.h"

struct traps {
	/* Of SBI nested acceleration. */
	long calls;
	/* Instructions that access H CSRs. */
	long csrs;
	/* HFENCE and HINVAL. */
	long fences;
};

void add_traps(struct traps *traps);
void subtract_traps(struct traps *traps);

#endif /* EXIT_COST_TRAPS_H */
