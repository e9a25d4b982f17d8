// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions that Linux 7.3 has in its own helpers.
 */

#include <linux/srcu.h>

__rust_helper int rust_helper_srcu_read_lock(struct srcu_struct *srcu)
{
	return srcu_read_lock(srcu);
}

__rust_helper void rust_helper_srcu_read_unlock(struct srcu_struct *srcu, int index)
{
	srcu_read_unlock(srcu, index);
}
