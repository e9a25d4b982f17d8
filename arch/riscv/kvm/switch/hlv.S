/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reads of guest memory with the guest's own translation and privilege, by the
 * hypervisor load instructions. The read may trap, so STVEC leads to a fix-up
 * for as long as it lasts. The caller has disabled interrupts and has put the
 * guest's HSTATUS in place (HSTATUS.SPVP is the privilege of the access).
 *
 * The functions return the value read. If the read trapped, they return 0 and
 * fill in struct kvm_cpu_trap; otherwise they leave that alone, so the caller
 * sets `scause` to zero first and looks at it afterwards (zero is instruction
 * address misaligned, which no load can raise).
 */

#include <linux/linkage.h>
#include <asm/alternative-macros.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/csr.h>
#include <asm/errata_list_vendors.h>
#include <asm/vendorid_list.h>

	.text
	/* The trap vector has to be aligned, which a module loader cannot do. */
	.option norelax

	/* Harts with an erratum want hypervisor loads fenced. */
.macro erratum_fence
	ALTERNATIVE("nop", "fence rw, rw", SIFIVE_VENDOR_ID, \
		    ERRATA_SIFIVE_MAL_9092, CONFIG_ERRATA_SIFIVE_MAL_9092)
.endm

	/* HLVX.HU \rd, (\rs1) */
.macro hlvx_hu rd, rs1
	erratum_fence
	.insn	r 0x73, 4, 0x32, \rd, \rs1, x3
	erratum_fence
.endm

	/* HLVX.WU \rd, (\rs1) */
.macro hlvx_wu rd, rs1
	erratum_fence
	.insn	r 0x73, 4, 0x34, \rd, \rs1, x3
	erratum_fence
.endm

	/* HLV.D \rd, (\rs1) */
.macro hlv_d rd, rs1
	erratum_fence
	.insn	r 0x73, 4, 0x36, \rd, \rs1, x0
	erratum_fence
.endm

/*
 * unsigned long __kvm_riscv_rust_fetch(unsigned long gva, struct kvm_cpu_trap *trap)
 *
 * Reads the instruction at gva, 16 or 32 bits of it as its length demands, with
 * execute permission in place of read permission. The two halves of a 32-bit
 * instruction may lie on two pages; the second is read only if there is one.
 * Where they cannot, one load reads both: each is a trap where the hypervisor
 * itself is a guest.
 */
SYM_FUNC_START(__kvm_riscv_rust_fetch)
	/* t0: the host's STVEC. */
	la	t0, guest_read_trap
	csrrw	t0, CSR_STVEC, t0
	andi	t2, a0, 3
	bnez	t2, 1f

	hlvx_wu	t1, a0
	andi	t2, t1, 3
	xori	t2, t2, 3
	beqz	t2, 2f
	slli	t1, t1, 48
	srli	t1, t1, 48
	j	2f
1:
	hlvx_hu	t1, a0
	andi	t2, t1, 3
	xori	t2, t2, 3
	bnez	t2, 2f
	addi	a0, a0, 2
	hlvx_hu	t2, a0
	slli	t2, t2, 16
	or	t1, t1, t2
2:
	csrw	CSR_STVEC, t0
	mv	a0, t1
	ret
SYM_FUNC_END(__kvm_riscv_rust_fetch)

/*
 * unsigned long __kvm_riscv_rust_read(unsigned long gva, struct kvm_cpu_trap *trap)
 *
 * Reads eight bytes at gva.
 */
SYM_FUNC_START(__kvm_riscv_rust_read)
	la	t0, guest_read_trap
	csrrw	t0, CSR_STVEC, t0
	hlv_d	t1, a0
	csrw	CSR_STVEC, t0
	mv	a0, t1
	ret
SYM_FUNC_END(__kvm_riscv_rust_read)

	/*
	 * A read trapped: keep what the hardware tells about it, and return to
	 * the caller of the function, which is neither the instruction that
	 * trapped nor the one behind it. SSTATUS.SPP and SPIE make SRET come
	 * back to HS-mode with interrupts as they were, that is disabled, and
	 * the trap has set HSTATUS.SPV to 0, as V was.
	 */
	.balign 4
SYM_CODE_START_LOCAL(guest_read_trap)
	csrr	t1, CSR_SCAUSE
	REG_S	t1, (KVM_ARCH_TRAP_SCAUSE)(a1)
	csrr	t1, CSR_SEPC
	REG_S	t1, (KVM_ARCH_TRAP_SEPC)(a1)
	csrr	t1, CSR_STVAL
	REG_S	t1, (KVM_ARCH_TRAP_STVAL)(a1)
	csrr	t1, CSR_HTVAL
	REG_S	t1, (KVM_ARCH_TRAP_HTVAL)(a1)
	csrr	t1, CSR_HTINST
	REG_S	t1, (KVM_ARCH_TRAP_HTINST)(a1)
	csrw	CSR_STVEC, t0
	csrw	CSR_SEPC, ra
	li	a0, 0
	sret
SYM_CODE_END(guest_read_trap)
