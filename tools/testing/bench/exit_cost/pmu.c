// SPDX-License-Identifier: GPL-2.0
/* Counters of the guest, and its record of steal time: what prepares them. */
#include <err.h>
#include <errno.h>

#include "guest.h"
#include "pmu.h"
#include "vm.h"

/* The C library's headers may be older than these registers. */
#define REG_SBI_EXT	(0x08 << 24)
#define SBI_EXT_PMU	6

#define NO_ERROR	"or s3, s3, a0; "
#define CONFIGURE							\
	EXT_PMU "li a6, 2; " INSTRET "li a2, 0; li a3, 2; li a4, 0; ecall; " NO_ERROR
#define START		PMU_START "li a2, 0; ecall; " NO_ERROR

GUEST_LOOP(stopped_counter, CONFIGURE, "", "nop", "");
GUEST_LOOP(running_counter, CONFIGURE START, "", "nop", "");
GUEST_LOOP(snapshot,
	   CONFIGURE "li a6, 7; li a0, " STR(DATA_GPA) "; li a1, 0; li a2, 0; ecall; " NO_ERROR,
	   "", "nop", "");
/* The first counter of the firmware comes 22 ahead of the last one of all. */
GUEST_LOOP(firmware_counter,
	   EXT_PMU "li a6, 0; ecall; addi s1, a1, -22; "
	   "li a6, 2; mv a0, s1; li a1, 1; li a2, 0; li a3, 0xf0005; li a4, 0; ecall; " NO_ERROR
	   "li a6, 3; mv a0, s1; li a1, 1; li a2, 0; ecall; " NO_ERROR,
	   "", "nop", "");
GUEST_LOOP(steal_time,
	   "li a7, 0x535441; li a6, 0; li a0, " STR(DATA_GPA) "; li a1, 0; li a2, 0; ecall; "
	   NO_ERROR, "", "nop", "");

static const char *prepare(const char *loop)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		run_loop(&vcpus[i], loop, 1);
		if (complaint(&vcpus[i]))
			errx(1, "the SBI refuses what the case needs: 0x%lx",
			     complaint(&vcpus[i]));
	}
	return NULL;
}

static const char *prepare_pmu(const char *loop)
{
	uint64_t has_pmu = 0;

	if (get_reg(&vcpus[0], KVM_REG_RISCV | KVM_REG_SIZE_U64 | REG_SBI_EXT | SBI_EXT_PMU,
		    &has_pmu) && errno != ENOENT)
		err(1, "KVM_GET_ONE_REG of the PMU");
	return has_pmu ? prepare(loop) : "the CPU has no Sscofpmf; CPU=max has";
}

const char *begin_stopped_counter(void)
{
	return prepare_pmu(stopped_counter);
}

const char *begin_counter(void)
{
	return prepare_pmu(running_counter);
}

const char *begin_snapshot(void)
{
	return prepare_pmu(snapshot);
}

const char *begin_firmware_counter(void)
{
	return prepare_pmu(firmware_counter);
}

const char *begin_steal_time(void)
{
	return prepare(steal_time);
}
