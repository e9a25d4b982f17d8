/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The floating-point registers, of F or of D, to and from struct
 * kvm_cpu_context. SSTATUS.FS is opened for the access and put back after it:
 * the host's own bookkeeping in SSTATUS does not change.
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/csr.h>

	.altmacro

.macro one_fp_reg insn, n, f0, size
	\insn	f\n, (\f0 + \n * \size)(a0)
.endm

/* \insn each register at its place: \f0 is that of f0, \size the distance. */
.macro all_fp_regs insn, f0, size
	.set	i, 0
	.rept	32
	one_fp_reg \insn, %i, \f0, \size
	.set	i, i + 1
	.endr
.endm

.macro open_fp
	li	t1, SR_FS
	csrrs	t2, CSR_SSTATUS, t1
.endm

.macro close_fp
	csrw	CSR_SSTATUS, t2
	ret
.endm

	.text
	/* A module loader cannot align functions. */
	.option norelax

SYM_FUNC_START(__kvm_riscv_rust_fp_f_save)
	open_fp
	frcsr	t0
	all_fp_regs fsw, KVM_ARCH_FP_F_F0, 4
	sw	t0, KVM_ARCH_FP_F_FCSR(a0)
	close_fp
SYM_FUNC_END(__kvm_riscv_rust_fp_f_save)

SYM_FUNC_START(__kvm_riscv_rust_fp_f_restore)
	open_fp
	lw	t0, KVM_ARCH_FP_F_FCSR(a0)
	all_fp_regs flw, KVM_ARCH_FP_F_F0, 4
	fscsr	t0
	close_fp
SYM_FUNC_END(__kvm_riscv_rust_fp_f_restore)

SYM_FUNC_START(__kvm_riscv_rust_fp_d_save)
	open_fp
	frcsr	t0
	all_fp_regs fsd, KVM_ARCH_FP_D_F0, 8
	sw	t0, KVM_ARCH_FP_D_FCSR(a0)
	close_fp
SYM_FUNC_END(__kvm_riscv_rust_fp_d_save)

SYM_FUNC_START(__kvm_riscv_rust_fp_d_restore)
	open_fp
	lw	t0, KVM_ARCH_FP_D_FCSR(a0)
	all_fp_regs fld, KVM_ARCH_FP_D_F0, 8
	fscsr	t0
	close_fp
SYM_FUNC_END(__kvm_riscv_rust_fp_d_restore)
