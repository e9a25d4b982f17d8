// SPDX-License-Identifier: GPL-2.0
/* Data pages that are not mapped, or mapped but write-protected, or gone; and their log. */
#include <err.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"
#include "traps.h"
#include "vm.h"

#define GRACE_US	20000

extern const char fault_logged_loop[], log_start_loop[];

/* RCU works off what the old slot has left while this sleeps. */
void unmap_data(void)
{
	replace_data_slot();
	usleep(GRACE_US);
}

const char *begin_shared(void)
{
	share_data_pages();
	return NULL;
}

/* The host takes its pages back, and with them what is mapped. */
void drop_data(void)
{
	drop_data_pages();
	usleep(GRACE_US);
}

/* The first writes map the pages. From then on they are only protected. */
const char *begin_dirty_log(void)
{
	set_data_slot_flags(KVM_MEM_LOG_DIRTY_PAGES);
	run_loop(&vcpus[0], fault_logged_loop, DATA_PAGES);
	check_dirty_log(DATA_PAGES);
	return NULL;
}

/*
 * That the log has all the pages tells that each was written, and was protected
 * before. To read the log protects them for the next lap.
 */
void check_dirty_log(unsigned int writes)
{
	unsigned int pages = take_dirty_pages();

	if (pages != writes)
		errx(1, "%u pages were written, and %u are in the dirty log",
		     writes, pages);
}

const char *begin_clearing(void)
{
	protect_by_hand();
	set_data_slot_flags(KVM_MEM_LOG_DIRTY_PAGES);
	return NULL;
}

void write_logged(void)
{
	run_loop(&vcpus[0], fault_logged_loop, DATA_PAGES);
}

void clear_log(unsigned int pages)
{
	if (pages)
		clear_dirty_pages(pages);
}

void check_cleared(unsigned int pages)
{
	unsigned int left = take_dirty_pages();

	if (left != DATA_PAGES - pages)
		errx(1, "%u pages are in the log: %u were written, %u cleared",
		     left, DATA_PAGES, pages);
}

const char *begin_large(void)
{
	if (nacl_sbi_is_there())
		return "it takes minutes where each access to a CSR traps";
	add_large_slot();
	return NULL;
}

static void write_large(void)
{
	run_loop(&vcpus[0], log_start_loop, LARGE_PAGES);
	usleep(GRACE_US);
}

void map_large(void)
{
	set_large_slot_flags(0);
	write_large();
}

void map_large_logged(void)
{
	set_large_slot_flags(KVM_MEM_LOG_DIRTY_PAGES);
	write_large();
}

void start_log(unsigned int pages)
{
	if (pages)
		set_large_slot_flags(KVM_MEM_LOG_DIRTY_PAGES);
}

/* That the log has all pages that are written now tells that each was protected. */
void check_log_started(unsigned int pages)
{
	unsigned int found;

	if (!pages)
		return;
	run_loop(&vcpus[0], log_start_loop, pages);
	found = take_dirty_large_pages();
	if (found != pages)
		errx(1, "%u pages were written, and %u are in the dirty log", pages, found);
}

void end_log(unsigned int pages)
{
	if (pages)
		set_large_slot_flags(0);
}

void take_right_to_write(unsigned int pages)
{
	if (pages)
		protect_large_slot(PROT_READ);
}

/* That a store fails tells that its page was unmapped. */
void check_unmapped(unsigned int pages)
{
	if (!pages)
		return;
	answer(&vcpus[0], log_start_loop, 1);
	if (!ioctl(vcpus[0].fd, KVM_RUN, NULL) || errno != EFAULT)
		errx(1, "the guest writes what the host may not write");
	protect_large_slot(PROT_READ | PROT_WRITE);
	while (!run_once(&vcpus[0]))
		;
}
