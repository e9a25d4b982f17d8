/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch.
 *
 * It moves the GPRs, SSTATUS, SEPC, STVEC and SSCRATCH, and nothing else:
 * HSTATUS is swapped around it, by world_switch.rs, because the cheapest way to
 * do so depends on the platform.
 *
 * The host side of both functions is an ordinary function call, so only the
 * registers that the calling convention makes the callee preserve are saved,
 * together with gp, which holds the shadow call stack if there is one, and tp,
 * which holds `current`.
 *
 * While the guest runs, SSCRATCH holds the pointer to struct kvm_vcpu_arch and
 * STVEC the return path; a trap comes back there with interrupts disabled.
 */

#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/csr.h>

#define SBI_EID_NACL			0x4E41434C
#define SBI_NACL_FID_SYNC_SRET		4
#define SBI_ERR_FAILED			-1

/* \insn each preserved host register at its place below \base. */
.macro host_gprs insn, base
	\insn	ra, (KVM_ARCH_HOST_RA)(\base)
	\insn	sp, (KVM_ARCH_HOST_SP)(\base)
	\insn	gp, (KVM_ARCH_HOST_GP)(\base)
	\insn	tp, (KVM_ARCH_HOST_TP)(\base)
	\insn	s0, (KVM_ARCH_HOST_S0)(\base)
	\insn	s1, (KVM_ARCH_HOST_S1)(\base)
	\insn	s2, (KVM_ARCH_HOST_S2)(\base)
	\insn	s3, (KVM_ARCH_HOST_S3)(\base)
	\insn	s4, (KVM_ARCH_HOST_S4)(\base)
	\insn	s5, (KVM_ARCH_HOST_S5)(\base)
	\insn	s6, (KVM_ARCH_HOST_S6)(\base)
	\insn	s7, (KVM_ARCH_HOST_S7)(\base)
	\insn	s8, (KVM_ARCH_HOST_S8)(\base)
	\insn	s9, (KVM_ARCH_HOST_S9)(\base)
	\insn	s10, (KVM_ARCH_HOST_S10)(\base)
	\insn	s11, (KVM_ARCH_HOST_S11)(\base)
.endm

/* \insn each guest register but a0, which holds the base. */
.macro guest_gprs_but_a0 insn
	\insn	ra, (KVM_ARCH_GUEST_RA)(a0)
	\insn	sp, (KVM_ARCH_GUEST_SP)(a0)
	\insn	gp, (KVM_ARCH_GUEST_GP)(a0)
	\insn	tp, (KVM_ARCH_GUEST_TP)(a0)
	\insn	t0, (KVM_ARCH_GUEST_T0)(a0)
	\insn	t1, (KVM_ARCH_GUEST_T1)(a0)
	\insn	t2, (KVM_ARCH_GUEST_T2)(a0)
	\insn	s0, (KVM_ARCH_GUEST_S0)(a0)
	\insn	s1, (KVM_ARCH_GUEST_S1)(a0)
	\insn	a1, (KVM_ARCH_GUEST_A1)(a0)
	\insn	a2, (KVM_ARCH_GUEST_A2)(a0)
	\insn	a3, (KVM_ARCH_GUEST_A3)(a0)
	\insn	a4, (KVM_ARCH_GUEST_A4)(a0)
	\insn	a5, (KVM_ARCH_GUEST_A5)(a0)
	\insn	a6, (KVM_ARCH_GUEST_A6)(a0)
	\insn	a7, (KVM_ARCH_GUEST_A7)(a0)
	\insn	s2, (KVM_ARCH_GUEST_S2)(a0)
	\insn	s3, (KVM_ARCH_GUEST_S3)(a0)
	\insn	s4, (KVM_ARCH_GUEST_S4)(a0)
	\insn	s5, (KVM_ARCH_GUEST_S5)(a0)
	\insn	s6, (KVM_ARCH_GUEST_S6)(a0)
	\insn	s7, (KVM_ARCH_GUEST_S7)(a0)
	\insn	s8, (KVM_ARCH_GUEST_S8)(a0)
	\insn	s9, (KVM_ARCH_GUEST_S9)(a0)
	\insn	s10, (KVM_ARCH_GUEST_S10)(a0)
	\insn	s11, (KVM_ARCH_GUEST_S11)(a0)
	\insn	t3, (KVM_ARCH_GUEST_T3)(a0)
	\insn	t4, (KVM_ARCH_GUEST_T4)(a0)
	\insn	t5, (KVM_ARCH_GUEST_T5)(a0)
	\insn	t6, (KVM_ARCH_GUEST_T6)(a0)
.endm

/* Put the guest's CSRs in place, and \trap_entry behind its next trap. */
.macro enter_csrs trap_entry
	REG_L	t0, (KVM_ARCH_GUEST_SSTATUS)(a0)
	REG_L	t1, (KVM_ARCH_GUEST_SEPC)(a0)
	la	t2, \trap_entry
	csrrw	t0, CSR_SSTATUS, t0
	csrw	CSR_SEPC, t1
	csrrw	t2, CSR_STVEC, t2
	csrrw	t3, CSR_SSCRATCH, a0
	REG_S	t0, (KVM_ARCH_HOST_SSTATUS)(a0)
	REG_S	t2, (KVM_ARCH_HOST_STVEC)(a0)
	REG_S	t3, (KVM_ARCH_HOST_SSCRATCH)(a0)
.endm

/*
 * The guest has trapped: the guest's a0 and the pointer to struct
 * kvm_vcpu_arch change places, all its registers are saved, and the host's are
 * put back.
 */
.macro leave_guest
	csrrw	a0, CSR_SSCRATCH, a0
	guest_gprs_but_a0 REG_S

	REG_L	t0, (KVM_ARCH_HOST_SSCRATCH)(a0)
	REG_L	t1, (KVM_ARCH_HOST_STVEC)(a0)
	REG_L	t2, (KVM_ARCH_HOST_SSTATUS)(a0)
	csrrw	t0, CSR_SSCRATCH, t0
	csrw	CSR_STVEC, t1
	csrr	t1, CSR_SEPC
	csrrw	t2, CSR_SSTATUS, t2
	REG_S	t0, (KVM_ARCH_GUEST_A0)(a0)
	REG_S	t1, (KVM_ARCH_GUEST_SEPC)(a0)
	REG_S	t2, (KVM_ARCH_GUEST_SSTATUS)(a0)

	host_gprs REG_L, a0
.endm

	.section .noinstr.text, "ax"
	.option push
	/* `la` of the return path must not depend on gp, which is the guest's. */
	.option norelax

/*
 * int __kvm_riscv_rust_switch_to(struct kvm_vcpu_arch *arch)
 *
 * Enters the guest with SRET. Returns 0 after the guest's next trap.
 */
SYM_FUNC_START(__kvm_riscv_rust_switch_to)
	host_gprs REG_S, a0
	enter_csrs .Ltrap
	guest_gprs_but_a0 REG_L
	REG_L	a0, (KVM_ARCH_GUEST_A0)(a0)
	sret

	.balign 4
.Ltrap:
	leave_guest
	li	a0, 0
	ret
SYM_FUNC_END(__kvm_riscv_rust_switch_to)

/*
 * long __kvm_riscv_rust_nacl_switch_to(struct kvm_vcpu_arch *arch)
 *
 * Has the SBI implementation synchronize the shared memory and do the SRET; the
 * guest's GPRs are in the SRET context of the shared memory. Returns 0 after
 * the guest's next trap, or the SBI error if the call returned, in which case
 * the guest was not entered and none of its registers has changed.
 */
SYM_FUNC_START(__kvm_riscv_rust_nacl_switch_to)
	host_gprs REG_S, a0
	enter_csrs .Lnacl_trap
	li	a7, SBI_EID_NACL
	li	a6, SBI_NACL_FID_SYNC_SRET
	ecall

	/*
	 * Here only if the call failed, however far it had got: nothing is taken
	 * from the registers but a0, with the error. SSCRATCH has the pointer.
	 */
	csrr	t3, CSR_SSCRATCH
	REG_L	t0, (KVM_ARCH_HOST_SSCRATCH)(t3)
	REG_L	t1, (KVM_ARCH_HOST_STVEC)(t3)
	REG_L	t2, (KVM_ARCH_HOST_SSTATUS)(t3)
	csrw	CSR_SSCRATCH, t0
	csrw	CSR_STVEC, t1
	csrw	CSR_SSTATUS, t2
	host_gprs REG_L, t3
	/* A success that has not entered the guest is none. */
	bnez	a0, 1f
	li	a0, SBI_ERR_FAILED
1:
	ret

	.balign 4
.Lnacl_trap:
	leave_guest
	li	a0, 0
	ret
SYM_FUNC_END(__kvm_riscv_rust_nacl_switch_to)
	.option pop
