/* SPDX-License-Identifier: GPL-2.0 */
/* Devices that the kernel serves by itself. */
#ifndef EXIT_COST_DEVICES_H
#define EXIT_COST_DEVICES_H

const char *begin_ioeventfd(void);
void check_ioeventfd(unsigned int stores);

const char *begin_coalesced(void);
void check_coalesced(unsigned int stores);

#endif /* EXIT_COST_DEVICES_H */
