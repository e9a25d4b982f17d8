// SPDX-License-Identifier: GPL-2.0
#include "traps.h"

static struct traps now(void)
{
	struct traps traps = { 0 };
	int i;

	if (!nacl_sbi_is_there())
		return traps;
	for (i = 0; i < NACL_FUNCTIONS; i++)
		traps.calls += nacl_calls(i);
	traps.csrs = nacl_all_csr_accesses();
	traps.fences = nacl_hfences();
	return traps;
}

void add_traps(struct traps *traps)
{
	struct traps t = now();

	traps->calls += t.calls;
	traps->csrs += t.csrs;
	traps->fences += t.fences;
}

void subtract_traps(struct traps *traps)
{
	struct traps t = now();

	traps->calls -= t.calls;
	traps->csrs -= t.csrs;
	traps->fences -= t.fences;
}
