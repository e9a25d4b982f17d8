// SPDX-License-Identifier: GPL-2.0
/*
 * A hart that has slept comes back without the state of its hypervisor.
 *
 * The hart may lose its registers in a suspend without retention, and QEMU's
 * keeps all that KVM has written there. So this module overwrites them when the
 * hart wakes up, before KVM is told that it does. The values are such that a
 * guest which is entered with one of them is lost, and a host which keeps the
 * interrupts gets one that it does not know.
 *
 * KVM has to be loaded first.
 */
#include <linux/atomic.h>
#include <linux/cpu_pm.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/csr.h>
#include <asm/hwcap.h>

#define VS_INTERRUPTS	(BIT(IRQ_VS_SOFT) | BIT(IRQ_VS_TIMER) | BIT(IRQ_VS_EXT))
#define GARBAGE		0x5a5a5a5a5a5a5a50

static atomic_t times = ATOMIC_INIT(0);
module_param_named(times, times.counter, int, 0444);
MODULE_PARM_DESC(times, "how often a hart has lost its state so far");

static bool interrupts = true;
module_param(interrupts, bool, 0444);
MODULE_PARM_DESC(interrupts, "whether interrupts of VS-level are enabled and pending then");

/* Interrupts are disabled, or the host would take those of VS-level. */
static void forget(void)
{
	csr_write(CSR_HEDELEG, 0);
	csr_write(CSR_HIDELEG, 0);
	csr_write(CSR_HIE, interrupts ? VS_INTERRUPTS : 0);
	csr_write(CSR_HVIP, interrupts ? VS_INTERRUPTS : 0);
	csr_write(CSR_HCOUNTEREN, 0);
	csr_write(CSR_HTIMEDELTA, GARBAGE);
	if (riscv_has_extension_unlikely(RISCV_ISA_EXT_XLINUXENVCFG))
		csr_write(CSR_HENVCFG, 0);
	if (riscv_has_extension_unlikely(RISCV_ISA_EXT_SMSTATEEN))
		csr_write(CSR_HSTATEEN0, 0);

	/* The root of the page table is where there is no memory. */
	csr_write(CSR_VSATP, 0);
	csr_write(CSR_HGATP, HGATP_MODE_SV39X4 << HGATP_MODE_SHIFT);
	csr_write(CSR_VSATP, SATP_MODE_39);

	csr_write(CSR_VSSTATUS, 0);
	csr_write(CSR_VSTVEC, GARBAGE);
	csr_write(CSR_VSSCRATCH, GARBAGE);
	csr_write(CSR_VSEPC, GARBAGE);
	csr_write(CSR_VSCAUSE, GARBAGE);
	csr_write(CSR_VSTVAL, GARBAGE);
}

static int notify(struct notifier_block *block, unsigned long event, void *unused)
{
	if (event != CPU_PM_EXIT)
		return NOTIFY_DONE;
	forget();
	atomic_inc(&times);
	return NOTIFY_OK;
}

static struct notifier_block block = {
	.notifier_call = notify,
	.priority = INT_MAX,
};

static int __init hart_forgets_init(void)
{
	if (!riscv_has_extension_unlikely(RISCV_ISA_EXT_H))
		return -ENODEV;
	return cpu_pm_register_notifier(&block);
}
module_init(hart_forgets_init);

static void __exit hart_forgets_exit(void)
{
	cpu_pm_unregister_notifier(&block);
}
module_exit(hart_forgets_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Takes the hypervisor's registers from a hart that wakes up");
