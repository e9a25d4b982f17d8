// SPDX-License-Identifier: GPL-2.0
/* The other vCPU while it does not run, and what it finds to do afterwards. */
#include <err.h>

#include "clock.h"
#include "guest.h"
#include "other_vcpu.h"
#include "vm.h"

#define SIP		(KVM_REG_RISCV | KVM_REG_SIZE_U64 |		\
			 KVM_REG_RISCV_CSR | KVM_REG_RISCV_CSR_REG(sip))
#define SIP_SSIP	2UL

/* More fences than any queue of a vCPU holds. */
#define MANY_FENCES	1000
#define TRIES		10

GUEST_LOOP(nothing_loop, "", "", "nop", "");
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
