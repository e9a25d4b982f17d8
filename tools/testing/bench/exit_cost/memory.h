/* SPDX-License-Identifier: GPL-2.0 */
/* What the G-stage table is like when a loop over the data pages begins. */
#ifndef EXIT_COST_MEMORY_H
#define EXIT_COST_MEMORY_H

void unmap_data(void);
void drop_data(void);

const char *begin_shared(void);
const char *begin_dirty_log(void);
void check_dirty_log(unsigned int writes);

const char *begin_clearing(void);
void write_logged(void);
void clear_log(unsigned int pages);
void check_cleared(unsigned int pages);

/* What is done to a whole slot, each of whose pages is mapped and was written. */
const char *begin_large(void);
void map_large(void);
void map_large_logged(void);
void start_log(unsigned int pages);
void check_log_started(unsigned int pages);
void end_log(unsigned int pages);
void take_right_to_write(unsigned int pages);
void check_unmapped(unsigned int pages);

#endif /* EXIT_COST_MEMORY_H */
