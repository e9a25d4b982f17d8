// SPDX-License-Identifier: GPL-2.0
/* The table of cases, and the guest's loops that belong to them. */
#include "aia.h"
#include "cases.h"
#include "devices.h"
#include "guest.h"
#include "memory.h"
#include "other_vcpu.h"
#include "pmu.h"
#include "seed.h"
#include "sleeper.h"

/*
 * This many exits, and this many wake-ups, stay far below the distance of two
 * timer interrupts (4 ms, 4 million counted instructions), so that many of the
 * runs see none.
 */
#define EXITS		500
/* Of what takes long, as does what comes ahead of it. */
#define FEW_RUNS	5
#define WAKEUPS		100

/* No more fences than the queue of a vCPU holds under either backend. */
#define FENCES		16
#define FENCE_LAPS	8
/* Less than the ring holds: KVM_COALESCED_MMIO_MAX. */
#define COALESCED	150
#define COALESCED_LAPS	6

/*
 * Each of this many pages once, none of them beside the one before: the number of
 * the page is multiplied by an odd one, in as many bits as there are pages.
 */
#define MIXED_PAGES	512
#define MIXED_BEGIN							\
	"li s1, " STR(DATA_GPA) "; mv t1, s1; li s2, 197 * 4096"
#define MIXED_NEXT							\
	"sub s1, s1, t1; add s1, s1, s2; li t0, 511 * 4096; and s1, s1, t0; add s1, s1, t1"

#define EXT_BASE	"li a7, 0x10; li a6, 0"
#define EXT_TIME	"li a7, 0x54494d45; li a6, 0"
#define EXT_IPI		"li a7, 0x735049; li a6, 0"
#define EXT_FENCE_I	"li a7, 0x52464e43; li a6, 0"
#define EXT_SFENCE	"li a7, 0x52464e43; li a6, 1"
#define EXT_USER							\
	"li a7, " STR(SBI_USER) "; li a6, " STR(SBI_USER_NOTHING)
/* A mask of harts, and the number of the hart that its bit 0 means. */
#define THIS_HART	"li a0, 1; li a1, 0"
#define OTHER_HART	"li a0, 2; li a1, 0"
#define ALL_HARTS	"li a0, 0; li a1, -1"
/* Four pages, others each time: a fence that waits already is not repeated. */
#define FOUR_PAGES	"mv a2, s1; mv a3, s2"
#define ALL_PAGES	"li a2, 0; li a3, -1"

#define NO_ERROR	"or s3, s3, a0"
#define IS_PENDING							\
	"csrr t0, sip; not t0, t0; andi t0, t0, 2; or s3, s3, t0"

/*
 * CASE(name, title, (how), init, before, insn, after): `how` is what differs
 * from one run of EXITS exits on one vCPU that KVM only counts as exits.
 */
#define CASES(CASE)							\
	/* Base extension, get_spec_version: there is no cheaper call. */ \
	CASE(sbi_call, "SBI call finished in the kernel", (),		\
	     EXT_BASE, "", "ecall", NO_ERROR)				\
	CASE(sbi_user, "SBI call to user space",			\
	     (.counter = STAT_ecall_exit_stat),	\
	     EXT_USER, "", "ecall", NO_ERROR)				\
	/* Less the case above, this is a switch between two vCPUs. */	\
	CASE(vcpu_switch, "SBI call to user space, 2 vCPUs by turns",	\
	     (.exits = EXITS / 2, .vcpus = 2,			\
	      .counter = STAT_ecall_exit_stat),				\
	     EXT_USER, "", "ecall", NO_ERROR)				\
	/* Set to a time that never comes. */				\
	CASE(set_timer, "set_timer", (),				\
	     EXT_TIME, "li a0, -1", "ecall", NO_ERROR)			\
	/* The guest clears what it has got. */				\
	CASE(self_ipi, "IPI to itself", (),				\
	     EXT_IPI, THIS_HART, "ecall",				\
	     NO_ERROR "; " IS_PENDING "; csrci sip, 2")			\
	CASE(other_ipi, "IPI to a vCPU that does not run",		\
	     (.after = take_ipi_of_other),				\
	     EXT_IPI, OTHER_HART, "ecall", NO_ERROR)			\
	/* All the way: it wakes up, clears the interrupt, sleeps again. */ \
	CASE(wake_ipi, "IPI that wakes a vCPU from WFI",		\
	     (.exits = WAKEUPS, .begin = begin_sleeper,			\
	      .after = check_sleeper),					\
	     EXT_IPI, OTHER_HART, "ecall", NO_ERROR)			\
	/* The interrupt is pending and enabled, but not in sstatus. */	\
	CASE(wfi_pending, "WFI with an interrupt pending",		\
	     (.counter = STAT_wfi_exit_stat),				\
	     "csrwi sie, 2; csrsi sip, 2", "", "wfi", "")		\
	/* There is nothing to do: WRS.NTO, and no other vCPU is ready. */ \
	CASE(spurious, "WRS.NTO, with none to yield to",		\
	     (.counter = STAT_wrs_exit_stat),				\
	     "", "", ".4byte 0x00d00073", "")				\
	CASE(fence_i, "Remote FENCE.I",					\
	     (.before = run_other),					\
	     EXT_FENCE_I, OTHER_HART, "ecall", NO_ERROR)		\
	CASE(fence_pages, "Remote fence of 4 pages",			\
	     (.exits = FENCES, .laps = FENCE_LAPS,			\
	      .begin = begin_fences, .after = check_fences),		\
	     EXT_SFENCE "; li s1, 0x40000000; li s2, 0x4000",		\
	     OTHER_HART "; " FOUR_PAGES, "ecall",			\
	     NO_ERROR "; add s1, s1, s2")				\
	/* The queue of the other has long overflowed. */		\
	CASE(fence_full, "Remote fence of 4 pages, queue full",		\
	     (.begin = fill_queue_of_other),				\
	     EXT_SFENCE "; li s1, 0x40000000; li s2, 0x4000",		\
	     OTHER_HART "; " FOUR_PAGES, "ecall",			\
	     NO_ERROR "; add s1, s1, s2")				\
	CASE(fence_all, "Fence of everything, all vCPUs",		\
	     (.exits = FENCES, .laps = FENCE_LAPS,			\
	      .begin = begin_fences, .after = check_fences),		\
	     EXT_SFENCE, ALL_HARTS "; " ALL_PAGES, "ecall", NO_ERROR)	\
	/* A store where no memory is: user space is the device. */	\
	CASE(mmio_store, "MMIO store to user space",			\
	     (.counter = STAT_mmio_exit_user),				\
	     "li s1, " STR(MMIO_GPA), "", "sw zero, 0(s1)", "")		\
	CASE(ioeventfd, "MMIO store to an ioeventfd",			\
	     (.counter = STAT_mmio_exit_kernel,				\
	      .begin = begin_ioeventfd, .after = check_ioeventfd),	\
	     "li s1, " STR(IOEVENTFD_GPA), "", "sw zero, 0(s1)", "")	\
	CASE(coalesced, "MMIO store, coalesced",			\
	     (.exits = COALESCED, .laps = COALESCED_LAPS,		\
	      .counter = STAT_mmio_exit_kernel,				\
	      .begin = begin_coalesced, .after = check_coalesced),	\
	     "li s1, " STR(COALESCED_GPA), "", "sw zero, 0(s1)", "")	\
	CASE(seed, "Read of the seed CSR, to user space",		\
	     (.counter = STAT_csr_exit_user, .begin = begin_seed),	\
	     "li s2, " STR(SEED), "", "csrrw t0, 0x015, zero",		\
	     "xor t0, t0, s2; or s3, s3, t0")				\
	/* The first touch of a page that the host has ready; the next is left out. */ \
	CASE(fault_4k, "4K G-stage fault",				\
	     (.exits = DATA_PAGES, .before = unmap_data),		\
	     "li s1, " STR(DATA_GPA) "; li s2, 8192", "",		\
	     "ld t0, 0(s1)", "add s1, s1, s2")				\
	/* Page after page: a backend may map the next ones with each. */ \
	CASE(touch_private, "Touch of private pages that the host has, in order", \
	     (.exits = DATA_PAGES, .at_most = true, .before = unmap_data), \
	     "li s1, " STR(DATA_GPA) "; li s2, 4096", "",		\
	     "ld t0, 0(s1)", "add s1, s1, s2")				\
	CASE(touch_shared, "Touch of shared pages that the host has, in order", \
	     (.exits = DATA_PAGES, .at_most = true,			\
	      .begin = begin_shared, .before = unmap_data),		\
	     "li s1, " STR(DATA_GPA) "; li s2, 4096", "",		\
	     "ld t0, 0(s1)", "add s1, s1, s2")				\
	CASE(mix_private, "Touch of private pages that the host has, out of order", \
	     (.exits = MIXED_PAGES, .at_most = true, .before = unmap_data), \
	     MIXED_BEGIN, "", "ld t0, 0(s1)", MIXED_NEXT)		\
	CASE(mix_shared, "Touch of shared pages that the host has, out of order", \
	     (.exits = MIXED_PAGES, .at_most = true,			\
	      .begin = begin_shared, .before = unmap_data),		\
	     MIXED_BEGIN, "", "ld t0, 0(s1)", MIXED_NEXT)		\
	/* The host has no page there yet, either. */			\
	CASE(first_touch, "First touch of a page of memory",		\
	     (.exits = DATA_PAGES, .before = drop_data),		\
	     "li s1, " STR(DATA_GPA) "; li s2, 4096", "",		\
	     "sd zero, 0(s1)", "add s1, s1, s2")			\
	/* The page is mapped, and is written for the first time since. */ \
	CASE(fault_logged, "4K write fault, dirty logging",		\
	     (.exits = DATA_PAGES, .begin = begin_dirty_log,		\
	      .after = check_dirty_log),				\
	     "li s1, " STR(DATA_GPA) "; li s2, 4096", "",		\
	     "sd zero, 0(s1)", "add s1, s1, s2")			\
	/* All pages that were written, by one ioctl. */		\
	CASE(clear_log, "KVM_CLEAR_DIRTY_LOG, for each page",		\
	     (.exits = DATA_PAGES, .vcpus = 0, .begin = begin_clearing,	\
	      .before = write_logged, .from_outside = clear_log,	\
	      .after = check_cleared),					\
	     "", "", "nop", "")						\
	/* A whole slot, each of whose pages is mapped and was written. */ \
	CASE(log_start, "Start of the dirty log, for each page",	\
	     (.exits = LARGE_PAGES, .vcpus = 0, .runs = FEW_RUNS,	\
	      .begin = begin_large, .before = map_large,		\
	      .from_outside = start_log, .after = check_log_started),	\
	     "li s1, " STR(LARGE_GPA) "; li s2, 4096", "",		\
	     "sd zero, 0(s1)", "add s1, s1, s2")			\
	CASE(log_end, "End of the dirty log, for each page",		\
	     (.exits = LARGE_PAGES, .vcpus = 0, .runs = FEW_RUNS,	\
	      .begin = begin_large, .before = map_large_logged,		\
	      .from_outside = end_log), "", "", "nop", "")		\
	CASE(unmap, "Unmapping for the host, by mprotect(), for each page", \
	     (.exits = LARGE_PAGES, .vcpus = 0, .runs = FEW_RUNS,	\
	      .begin = begin_large, .before = map_large,		\
	      .from_outside = take_right_to_write,			\
	      .after = check_unmapped), "", "", "nop", "")		\
	/* The vCPU's record of steal time is written if it has waited. */ \
	CASE(steal_switch, "2 vCPUs by turns, with steal time",	\
	     (.exits = EXITS / 2, .vcpus = 2,				\
	      .counter = STAT_ecall_exit_stat, .begin = begin_steal_time), \
	     EXT_USER, "", "ecall", NO_ERROR)				\
	CASE(read_counter, "Read of instret, which counts",		\
	     (.counter = STAT_csr_exit_kernel, .begin = begin_counter),	\
	     "", "", "csrr t0, instret", "")				\
	CASE(read_firmware, "Read of a counter of the firmware",	\
	     (.begin = begin_firmware_counter),				\
	     EXT_PMU "li a6, 5", "mv a0, s1", "ecall", NO_ERROR)	\
	CASE(toggle_counter, "Start and stop of a counter",		\
	     (.joined = 2, .begin = begin_stopped_counter),		\
	     EXT_PMU, "", PMU_START "li a2, 0; ecall; " PMU_STOP "li a2, 0; ecall", \
	     "")							\
	CASE(toggle_snapshot, "Start and stop of a counter, by a snapshot", \
	     (.joined = 2, .begin = begin_snapshot),			\
	     EXT_PMU, "", PMU_START "li a2, 2; ecall; " PMU_STOP "li a2, 2; ecall", \
	     "")							\
	CASE(pmu_switch, "2 vCPUs by turns, with counters that count",	\
	     (.exits = EXITS / 2, .vcpus = 2,				\
	      .counter = STAT_ecall_exit_stat, .begin = begin_counter),	\
	     EXT_USER, "", "ecall", NO_ERROR)				\
	CASE(msi, "KVM_SIGNAL_MSI to a vCPU that does not run",		\
	     (.vcpus = 0, .set_up = set_up_aia,			\
	      .from_outside = signal_msis, .after = take_msi_of_other), \
	     "", "", "nop", "")						\
	/* All the way, as with an IPI. */				\
	CASE(wake_msi, "KVM_SIGNAL_MSI that wakes a vCPU from WFI",	\
	     (.exits = WAKEUPS, .vcpus = 0, .set_up = set_up_aia,	\
	      .begin = begin_msi_sleeper,				\
	      .from_outside = signal_msis, .after = check_sleeper),	\
	     "", "", "nop", "")						\
	CASE(irqfd, "irqfd with an MSI to a vCPU that does not run",	\
	     (.vcpus = 0, .set_up = set_up_aia, .begin = begin_irqfd,	\
	      .from_outside = signal_irqfd, .after = take_msi_of_other), \
	     "", "", "nop", "")						\
	CASE(irq_line, "KVM_IRQ_LINE, up and down",			\
	     (.vcpus = 0, .set_up = set_up_aia,			\
	      .from_outside = pulse_wire, .after = take_msi_of_other),	\
	     "", "", "nop", "")						\
	CASE(aplic_store, "Store to setipnum of the APLIC",		\
	     (.counter = STAT_mmio_exit_kernel, .set_up = set_up_aia,	\
	      .after = take_msi_of_other),				\
	     "li s1, " STR(APLIC_SETIPNUM) "; li s2, " STR(WIRE), "",	\
	     "sw s2, 0(s1)", "")					\
	CASE(imsic_ipi, "IPI by the IMSIC to a vCPU that does not run",	\
	     (.counter = STAT_mmio_exit_kernel, .set_up = set_up_aia,	\
	      .after = take_msi_of_other),				\
	     "li s1, " STR(IMSIC_OF_OTHER) "; li s2, " STR(IDENTITY), "", \
	     "sw s2, 0(s1)", "")					\
	CASE(claim, "Claim of an interrupt of the IMSIC",		\
	     (.counter = STAT_csr_exit_kernel, .set_up = set_up_aia),	\
	     "", "", "csrrw t0, 0x15c, zero", "or s3, s3, t0")		\
	CASE(file_switch, "SBI call to user space, 2 vCPUs with guest files", \
	     (.exits = EXITS / 2, .vcpus = 2,			\
	      .counter = STAT_ecall_exit_stat,				\
	      .set_up = set_up_aia_with_files),			\
	     EXT_USER, "", "ecall", NO_ERROR)

#define CASE_LOOPS(name, title, how, init, before, insn, after)		\
	GUEST_LOOP(name##_loop, init, before, insn, after);		\
	GUEST_LOOP(name##_base, init, before, "nop", after);
CASES(CASE_LOOPS)

#define UNPACK(...)	__VA_ARGS__
#define CASE_ENTRY(name_, title_, how, init, before, insn, after)	\
	{								\
		.name = #name_,						\
		.title = title_,					\
		.loop = name_##_loop,					\
		.base = name_##_base,					\
		.exits = EXITS,						\
		.joined = 1,						\
		.laps = 1,						\
		.vcpus = 1,						\
		.counter = STAT_exits,					\
		UNPACK how						\
	},
const struct exit_case cases[] = { CASES(CASE_ENTRY) };
const unsigned int nr_cases = sizeof(cases) / sizeof(cases[0]);
