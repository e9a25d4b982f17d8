/* SPDX-License-Identifier: GPL-2.0 */
/* The other vCPU, asleep until an IPI wakes it. */
#ifndef EXIT_COST_SLEEPER_H
#define EXIT_COST_SLEEPER_H

const char *begin_sleeper(void);
void check_sleeper(unsigned int ipis);

#endif /* EXIT_COST_SLEEPER_H */
