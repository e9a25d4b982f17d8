/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The vector registers, to and from struct __riscv_v_ext_state and the memory
 * that it points to: v0 to v31, one behind the other. SSTATUS.VS is opened for
 * the access and put back after it, as in fp_regs.S.
 *
 * Whole-register loads and stores need no vtype, but begin at element vstart.
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/csr.h>

/* struct __riscv_v_ext_state */
#define V_VSTART	(0 * SZREG)
#define V_VL		(1 * SZREG)
#define V_VTYPE		(2 * SZREG)
#define V_VCSR		(3 * SZREG)
#define V_DATAP		(5 * SZREG)

.macro open_vector
	li	t1, SR_VS
	csrrs	t2, CSR_SSTATUS, t1
.endm

.macro close_vector
	csrw	CSR_SSTATUS, t2
	ret
.endm

/* \insn all registers at their places, eight at a time. vstart is zero. */
.macro all_vector_regs insn
	csrr	t0, CSR_VLENB
	slli	t0, t0, 3
	REG_L	t1, V_DATAP(a0)
	\insn	v0, (t1)
	add	t1, t1, t0
	\insn	v8, (t1)
	add	t1, t1, t0
	\insn	v16, (t1)
	add	t1, t1, t0
	\insn	v24, (t1)
.endm

	.text
	/* A module loader cannot align functions. */
	.option norelax
	.option arch, +v

SYM_FUNC_START(__kvm_riscv_rust_vector_save)
	open_vector
	csrr	t0, CSR_VSTART
	REG_S	t0, V_VSTART(a0)
	csrw	CSR_VSTART, zero
	csrr	t0, CSR_VL
	REG_S	t0, V_VL(a0)
	csrr	t0, CSR_VTYPE
	REG_S	t0, V_VTYPE(a0)
	csrr	t0, CSR_VCSR
	REG_S	t0, V_VCSR(a0)
	all_vector_regs vs8r.v
	close_vector
SYM_FUNC_END(__kvm_riscv_rust_vector_save)

SYM_FUNC_START(__kvm_riscv_rust_vector_restore)
	open_vector
	csrw	CSR_VSTART, zero
	all_vector_regs vl8re8.v
	/*
	 * Any values may stand there: those that the hart does not have make it
	 * set vtype.vill. Setting vtype clears vstart, which so comes last.
	 */
	REG_L	t0, V_VL(a0)
	REG_L	t1, V_VTYPE(a0)
	vsetvl	zero, t0, t1
	REG_L	t0, V_VCSR(a0)
	csrw	CSR_VCSR, t0
	REG_L	t0, V_VSTART(a0)
	csrw	CSR_VSTART, t0
	close_vector
SYM_FUNC_END(__kvm_riscv_rust_vector_restore)
