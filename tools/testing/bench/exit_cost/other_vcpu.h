/* SPDX-License-Identifier: GPL-2.0 */
/* The other vCPU, which the loop calls while it does not run. */
#ifndef EXIT_COST_OTHER_VCPU_H
#define EXIT_COST_OTHER_VCPU_H

void run_other(void);
void take_ipi_of_other(unsigned int ipis);
const char *begin_fences(void);
void check_fences(unsigned int fences);
const char *fill_queue_of_other(void);

#endif /* EXIT_COST_OTHER_VCPU_H */
