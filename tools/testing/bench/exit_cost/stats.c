// SPDX-License-Identifier: GPL-2.0
/* Statistics of a vCPU, from the file descriptor that KVM gives for them. */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "stats.h"

#define COUNTER_NAME(name)	#name,
const char *const counter_names[NR_COUNTERS] = { COUNTERS(COUNTER_NAME) };

static void read_at(int fd, off_t place, void *buffer, size_t bytes)
{
	ssize_t got = pread(fd, buffer, bytes, place);

	if (got < 0)
		err(1, "statistics of a vCPU");
	if ((size_t)got != bytes)
		errx(1, "statistics of a vCPU: %zd of %zu bytes", got, bytes);
}

static void note_place(struct stats *stats, const char *name, off_t place)
{
	int i;

	for (i = 0; i < NR_COUNTERS; i++) {
		if (!strcmp(name, counter_names[i]))
			stats->place[i] = place;
	}
}

void open_stats(struct stats *stats, int vcpu_fd)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	size_t bytes;
	uint32_t i;

	memset(stats, 0, sizeof(*stats));
	stats->fd = ioctl(vcpu_fd, KVM_GET_STATS_FD, NULL);
	if (stats->fd < 0)
		err(1, "KVM_GET_STATS_FD");
	read_at(stats->fd, 0, &header, sizeof(header));

	bytes = sizeof(*desc) + header.name_size;
	desc = malloc(bytes);
	if (!desc)
		err(1, "a description of %zu bytes", bytes);
	for (i = 0; i < header.num_desc; i++) {
		read_at(stats->fd, header.desc_offset + i * bytes, desc, bytes);
		note_place(stats, desc->name,
			   header.data_offset + desc->offset);
	}
	free(desc);

	for (i = 0; i < NR_COUNTERS; i++) {
		if (!stats->place[i])
			errx(1, "KVM does not count %s of a vCPU",
			     counter_names[i]);
	}
}

uint64_t read_counter(const struct stats *stats, enum counter counter)
{
	uint64_t value;

	read_at(stats->fd, stats->place[counter], &value, sizeof(value));
	return value;
}

void subtract_stats(const struct stats *stats, uint64_t sums[NR_COUNTERS])
{
	int i;

	for (i = 0; i < NR_COUNTERS; i++)
		sums[i] -= read_counter(stats, i);
}

void add_stats(const struct stats *stats, uint64_t sums[NR_COUNTERS])
{
	int i;

	for (i = 0; i < NR_COUNTERS; i++)
		sums[i] += read_counter(stats, i);
}
