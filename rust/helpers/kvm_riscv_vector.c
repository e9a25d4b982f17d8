// SPDX-License-Identifier: GPL-2.0
/*
 * The vector unit of a hart, which user space, the kernel and a vCPU share.
 */

#include <linux/sched.h>
#include <asm/ptrace.h>
#include <asm/vector.h>

__rust_helper unsigned long rust_helper_kvm_riscv_vector_size(void)
{
	return riscv_v_vsize;
}

#ifdef CONFIG_RISCV_ISA_V

#include "kvm_riscv_vctx.h"

/*
 * Takes the vector unit from this thread's user space for its vCPU. What user
 * space has in the registers is kept, and is there again when it runs again.
 * Interrupts are disabled.
 */
__rust_helper void rust_helper_kvm_riscv_claim_vector(void)
{
	struct pt_regs *regs = task_pt_regs(current);

	riscv_v_vstate_save(&current->thread.vstate, regs);
	riscv_v_vstate_set_restore(current, regs);
	kvm_riscv_vctx_taken();
}

/* The registers hold nothing of the vCPU any more. Interrupts are disabled. */
__rust_helper void rust_helper_kvm_riscv_release_vector(void)
{
	kvm_riscv_vctx_returned();
}

__rust_helper bool rust_helper_kvm_riscv_set_vector_callback(void (*callback)(void))
{
	return kvm_riscv_vctx_set_callback(callback);
}

#else /* No host has vectors, and only the last of these is called. */

__rust_helper void rust_helper_kvm_riscv_claim_vector(void)
{
}

__rust_helper void rust_helper_kvm_riscv_release_vector(void)
{
}

__rust_helper bool rust_helper_kvm_riscv_set_vector_callback(void (*callback)(void))
{
	return false;
}

__rust_helper bool rust_helper_riscv_v_vstate_ctrl_user_allowed(void)
{
	return riscv_v_vstate_ctrl_user_allowed();
}

#endif /* CONFIG_RISCV_ISA_V */
