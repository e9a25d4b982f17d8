// SPDX-License-Identifier: GPL-2.0
/*
 * Macros of raw spinlocks.
 */

#include <linux/spinlock.h>

__rust_helper void rust_helper_raw_spin_lock_init(raw_spinlock_t *lock,
						  const char *name,
						  struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	raw_spin_lock_init(lock);
#endif
}
