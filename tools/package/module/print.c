// SPDX-License-Identifier: GPL-2.0
/*
 * Messages of Rust code in a kernel that was built without Rust, whose printk()
 * does not know %pA.
 */

#include <linux/minmax.h>
#include <linux/printk.h>
#include "module.h"

/* Longer messages are cut off. */
#define LENGTH	256

/*
 * Takes the place of _printk() in the backend's object. All its messages have
 * one form: a level and "%s: %pA", the name of the module, and what %pA prints.
 */
int kvm_rust_printk(const char *format, const char *module, const void *arguments)
{
	char text[LENGTH];
	char *last = text + LENGTH - 1;
	char *end = rust_fmt_argument(text, last, arguments);

	*min(end, last) = '\0';
	return _printk("%.2s%s: %s", format, module, text);
}
