/* SPDX-License-Identifier: GPL-2.0 */
/* The seed CSR, which KVM leaves to user space. */
#ifndef EXIT_COST_SEED_H
#define EXIT_COST_SEED_H

const char *begin_seed(void);

#endif /* EXIT_COST_SEED_H */
