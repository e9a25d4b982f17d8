// SPDX-License-Identifier: GPL-2.0
/* Data pages that are not mapped, or mapped but write-protected, or gone. */
#include <err.h>
#include <unistd.h>

#include "guest.h"
#include "memory.h"
#include "vm.h"

#define GRACE_US	20000

extern const char fault_logged_loop[];

/* RCU works off what the old slot has left while this sleeps. */
void unmap_data(void)
{
	replace_data_slot();
	usleep(GRACE_US);
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
