// SPDX-License-Identifier: GPL-2.0
/*
 * The first thing that is done when the module is loaded.
 */

#include <linux/init.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <linux/utsname.h>
#include <generated/utsversion.h>
#include "module.h"

/*
 * The name of a release says nothing of how it was built, and the module was
 * compiled against the structures of one build.
 */
int __init init_module(void)
{
	const char *running = init_uts_ns.name.version;

	if (strcmp(running, UTS_VERSION)) {
		pr_err("kvm: this is the kernel \"%s\"\n", running);
		pr_err("kvm: the module is for \"%s\"; build it again\n", UTS_VERSION);
		return -ENOEXEC;
	}
	return kvm_rust_init_module();
}
