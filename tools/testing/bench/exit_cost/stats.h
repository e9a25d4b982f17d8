/* SPDX-License-Identifier: GPL-2.0 */
/* The statistics that KVM keeps of a vCPU. */
#ifndef EXIT_COST_STATS_H
#define EXIT_COST_STATS_H

#include <stdint.h>
#include <sys/types.h>

/* Those that tell which way an exit has taken, by the names that KVM uses. */
#define COUNTERS(COUNTER)						\
	COUNTER(exits)							\
	COUNTER(ecall_exit_stat)					\
	COUNTER(wfi_exit_stat)						\
	COUNTER(wrs_exit_stat)						\
	COUNTER(mmio_exit_user)						\
	COUNTER(mmio_exit_kernel)					\
	COUNTER(csr_exit_user)						\
	COUNTER(csr_exit_kernel)					\
	COUNTER(signal_exits)						\
	COUNTER(instr_illegal_exits)					\
	COUNTER(load_misaligned_exits)					\
	COUNTER(store_misaligned_exits)					\
	COUNTER(load_access_exits)					\
	COUNTER(store_access_exits)					\
	COUNTER(halt_wakeup)						\
	COUNTER(blocking)

#define COUNTER_ENUM(name)	STAT_##name,
enum counter { COUNTERS(COUNTER_ENUM) NR_COUNTERS };

extern const char *const counter_names[NR_COUNTERS];

struct stats {
	int fd;
	off_t place[NR_COUNTERS];
};

void open_stats(struct stats *stats, int vcpu_fd);
uint64_t read_counter(const struct stats *stats, enum counter counter);
/* What was counted between the two is what they leave in `sums`. */
void subtract_stats(const struct stats *stats, uint64_t sums[NR_COUNTERS]);
void add_stats(const struct stats *stats, uint64_t sums[NR_COUNTERS]);

#endif /* EXIT_COST_STATS_H */
