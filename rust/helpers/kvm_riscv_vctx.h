/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the kernel knows that a vCPU has the vector unit of a hart. Interrupts are
 * disabled where that changes.
 */
#ifndef __RUST_HELPERS_KVM_RISCV_VCTX_H
#define __RUST_HELPERS_KVM_RISCV_VCTX_H

#include <asm/kvm_vcpu_vector.h>
#include <asm/vector.h>

static inline void kvm_riscv_vctx_taken(void)
{
	riscv_v_flags_set(riscv_v_flags() | RISCV_V_VCPU_CTX);
}

static inline void kvm_riscv_vctx_returned(void)
{
	riscv_v_flags_set(riscv_v_flags() & ~RISCV_V_VCPU_CTX);
}

/*
 * Sets what is called when the kernel wants the vector unit that a vCPU has.
 * Returns whether this kernel calls it.
 */
static inline bool kvm_riscv_vctx_set_callback(void (*callback)(void))
{
	if (callback)
		kvm_riscv_register_vctx_callback(callback);
	else
		kvm_riscv_unregister_vctx_callback();
	return true;
}

#endif /* __RUST_HELPERS_KVM_RISCV_VCTX_H */
