// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions and macros of RISC-V that its KVM backend needs. As in
 * kvm.c, none of them may call the KVM core.
 */

#include <linux/cpu_pm.h>
#include <linux/irqchip/riscv-imsic.h>

#ifndef CONFIG_CPU_PM

__rust_helper int rust_helper_cpu_pm_register_notifier(struct notifier_block *nb)
{
	return cpu_pm_register_notifier(nb);
}

__rust_helper int rust_helper_cpu_pm_unregister_notifier(struct notifier_block *nb)
{
	return cpu_pm_unregister_notifier(nb);
}

#endif

#ifndef CONFIG_RISCV_IMSIC

__rust_helper const struct imsic_global_config *
rust_helper_imsic_get_global_config(void)
{
	return imsic_get_global_config();
}

#endif
