// SPDX-License-Identifier: GPL-2.0
/*
 * The alarm of the clock ends a suspend of the system.
 *
 * The kernel masks the interrupts of devices in a suspend, unless one is said to
 * wake the system. The driver of the clock on QEMU's machine does not say that
 * of its own, and nothing else there ends a suspend.
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/rtc.h>

static int irq;

static int __init clock_wakes_init(void)
{
	struct rtc_device *rtc = rtc_class_open("rtc0");

	if (!rtc)
		return -ENODEV;
	irq = platform_get_irq(to_platform_device(rtc->dev.parent), 0);
	rtc_class_close(rtc);
	return irq < 0 ? irq : enable_irq_wake(irq);
}
module_init(clock_wakes_init);

static void __exit clock_wakes_exit(void)
{
	disable_irq_wake(irq);
}
module_exit(clock_wakes_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lets the alarm of the first clock end a suspend");
