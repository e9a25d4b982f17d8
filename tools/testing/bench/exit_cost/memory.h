/* SPDX-License-Identifier: GPL-2.0 */
/* What the G-stage table is like when a loop over the data pages begins. */
#ifndef EXIT_COST_MEMORY_H
#define EXIT_COST_MEMORY_H

void unmap_data(void);
void drop_data(void);

const char *begin_dirty_log(void);
void check_dirty_log(unsigned int writes);

#endif /* EXIT_COST_MEMORY_H */
