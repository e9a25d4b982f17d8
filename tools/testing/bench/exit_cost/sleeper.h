/* SPDX-License-Identifier: GPL-2.0 */
/* The other vCPU, asleep until an interrupt wakes it. */
#ifndef EXIT_COST_SLEEPER_H
#define EXIT_COST_SLEEPER_H

/* In a loop of the guest that sleeps in WFI, for ever. */
const char *begin_sleep(const char *loop);
/* In one that IPIs wake. */
const char *begin_sleeper(void);
void check_sleeper(unsigned int interrupts);

#endif /* EXIT_COST_SLEEPER_H */
