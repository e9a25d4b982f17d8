/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Before Linux 7.3, the kernel does not know that a vCPU has the vector unit of a
 * hart, and does not ask for it.
 */
#ifndef __RUST_HELPERS_KVM_RISCV_VCTX_H
#define __RUST_HELPERS_KVM_RISCV_VCTX_H

#include <linux/types.h>

static inline void kvm_riscv_vctx_taken(void)
{
}

static inline void kvm_riscv_vctx_returned(void)
{
}

static inline bool kvm_riscv_vctx_set_callback(void (*callback)(void))
{
	return false;
}

#endif /* __RUST_HELPERS_KVM_RISCV_VCTX_H */
