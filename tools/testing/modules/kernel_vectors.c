// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel uses vectors on every hart, in softirqs, many times a second.
 *
 * A softirq runs where an interrupt has come in: also on top of the thread of a
 * vCPU whose vector registers are on the hart. Kernels do that if their drivers
 * compute checksums or ciphers with vectors. This module overwrites all vector
 * registers, and counts how often they were those of a vCPU.
 */
#include <linux/atomic.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/simd.h>
#include <asm/vector.h>

#define PERIOD_NS	(500 * NSEC_PER_USEC)

static atomic_t times = ATOMIC_INIT(0);
module_param_named(times, times.counter, int, 0444);
MODULE_PARM_DESC(times, "how often the kernel has used vectors so far");

static atomic_t met = ATOMIC_INIT(0);
module_param_named(met, met.counter, int, 0444);
MODULE_PARM_DESC(met, "how often a vCPU had them then");

static DEFINE_PER_CPU(struct hrtimer, timer);

static enum hrtimer_restart use_vectors(struct hrtimer *self)
{
	hrtimer_forward_now(self, ns_to_ktime(PERIOD_NS));
	if (!may_use_simd())
		return HRTIMER_RESTART;
/* Before Linux 7.3, the kernel does not know. */
#ifdef RISCV_V_VCPU_CTX
	if (riscv_v_flags() & RISCV_V_VCPU_CTX)
		atomic_inc(&met);
#endif
	kernel_vector_begin();
	asm volatile(".option push\n"
		     ".option arch, +v\n"
		     "vsetvli	t0, x0, e8, m8, ta, ma\n"
		     "vmv.v.x	v0, %0\n"
		     "vmv.v.x	v8, %0\n"
		     "vmv.v.x	v16, %0\n"
		     "vmv.v.x	v24, %0\n"
		     "csrwi	vcsr, 7\n"
		     ".option pop\n"
		     : : "r" (0xa5) : "t0", "memory");
	kernel_vector_end();
	atomic_inc(&times);
	return HRTIMER_RESTART;
}

static void start(void *unused)
{
	hrtimer_start(this_cpu_ptr(&timer), ns_to_ktime(PERIOD_NS),
		      HRTIMER_MODE_REL_PINNED_SOFT);
}

static int __init kernel_vectors_init(void)
{
	int cpu;

	if (!has_vector())
		return -ENODEV;
	for_each_possible_cpu(cpu)
		hrtimer_setup(per_cpu_ptr(&timer, cpu), use_vectors, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_SOFT);
	on_each_cpu(start, NULL, 1);
	return 0;
}
module_init(kernel_vectors_init);

static void __exit kernel_vectors_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_cancel(per_cpu_ptr(&timer, cpu));
}
module_exit(kernel_vectors_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Uses vectors in softirqs on all harts");
