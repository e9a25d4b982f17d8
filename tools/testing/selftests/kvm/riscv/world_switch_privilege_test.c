// SPDX-License-Identifier: GPL-2.0
/*
 * The mode of the guest, kernel or user, in a switch between host and guest.
 *
 * Which break each case notices:
 *
 *  privilege
 *	SSTATUS.SPP or HSTATUS not saved on exit or not restored on entry: the
 *	`mode` register is wrong, or the guest resumes in the wrong mode.
 *  fetch_privilege
 *	HSTATUS.SPVP of another trap in force when KVM fetches an instruction.
 *  software_check
 *	An exception of the guest taken for one that no guest can raise.
 *  user_wfi, user_counters, user_seed
 *	User mode gets what is its kernel's to give.
 */
#include "sbi_call.h"
#include "world_switch.h"

/*
 * User mode of the guest. Enters at `pc` with a0; returns SCAUSE of the trap
 * that ended it, in sstatus_out what SSTATUS was then.
 */
asm(".pushsection .text\n"
	".balign 4\n"
	"guest_user_mode:\n"
	"	addi	sp, sp, -128\n"
	"	sd	ra, 0(sp)\n"
	"	sd	gp, 8(sp)\n"
	"	sd	tp, 16(sp)\n"
	"	sd	s0, 24(sp)\n"
	"	sd	s1, 32(sp)\n"
	"	sd	a2, 40(sp)\n"
	"	la	t0, 1f\n"
	"	csrw	stvec, t0\n"
	"	csrw	sscratch, sp\n"
	"	csrw	sepc, a0\n"
	"	li	t0, " __stringify(SR_SPP) "\n"
	"	csrc	sstatus, t0\n"
	"	mv	a0, a1\n"
	"	sret\n"
	".balign 4\n"
	"1:	csrr	sp, sscratch\n"
	"	ld	ra, 0(sp)\n"
	"	ld	gp, 8(sp)\n"
	"	ld	tp, 16(sp)\n"
	"	ld	s0, 24(sp)\n"
	"	ld	s1, 32(sp)\n"
	"	ld	a2, 40(sp)\n"
	"	addi	sp, sp, 128\n"
	"	csrr	t0, sstatus\n"
	"	sd	t0, 0(a2)\n"
	"	csrr	a0, scause\n"
	"	ret\n"
	".popsection\n");
u64 guest_user_mode(u64 pc, u64 a0, u64 *sstatus_out);

/* hlv.b a1, (a0): for hypervisors, which this guest is none of. */
#define HLV_B	".insn r 0x73, 0x4, 0x30, a1, a0, x0"

/* cbo.zero (a0): QEMU does not tell KVM of it, so KVM fetches it. A device refuses it. */
#define CBO_ZERO	".insn i 0x0f, 0x2, x0, a0, 0x4"

/* What runs in user mode: copied to a page of its own. */
asm(".pushsection .rodata\n"
	".option push\n"
	".option norvc\n"
	"user_code:\n"
	"user_syscall:\n"
	"	sw	a0, 8(a0)\n"
	"	lw	a1, 0(a0)\n"
	"	ecall\n"
	"user_hlv:\n"
	"	" HLV_B "\n"
	"user_promoted:\n"
	"	sw	a0, 8(a0)\n"
	"	ebreak\n"
	"user_cbo_zero:\n"
	"	" CBO_ZERO "\n"
	"	ecall\n"
	"user_jump:\n"
	"	jalr	t2, a0\n"
	"user_seed:\n"
	"	csrrw	a1, 0x015, x0\n"
	"user_wfi:\n"
	"	wfi\n"
	"user_cycle:\n"
	"	csrr	a1, cycle\n"
	"	ecall\n"
	"user_instret:\n"
	"	csrr	a1, instret\n"
	"	ecall\n"
	"user_code_end:\n"
	".option pop\n"
	".popsection\n");
extern char user_code[], user_syscall[], user_hlv[], user_promoted[];
extern char user_cbo_zero[], user_jump[], user_seed[], user_wfi[];
extern char user_cycle[], user_instret[], user_code_end[];

static u64 guest_user_page;

#define USER_PC(label)	(guest_user_page + ((label) - user_code))

static void guest_privilege(void)
{
	u64 sstatus, cause;

	/* A store by the kernel, for comparison. */
	*(volatile u32 *)(MMIO_GVA + 8) = 0;

	cause = guest_user_mode(USER_PC(user_syscall), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_SYSCALL);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_syscall) + 8);
	GUEST_ASSERT_EQ(sstatus & SR_SPP, 0);

	/* KVM reflects what no guest may do, to the mode that did it. */
	cause = guest_user_mode(USER_PC(user_hlv), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_INST_ILLEGAL);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_hlv));
	GUEST_ASSERT_EQ(sstatus & SR_SPP, 0);

	csr_write(CSR_SCAUSE, 0);
	csr_set(CSR_SSTATUS, SR_SIE);
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	" HLV_B "\n"
		     "	.balign	4\n"
		     "1:	csrr	%0, sstatus\n"
		     "	csrci	sstatus, 2\n"
		     : "=r" (sstatus) : : "t0", "a1", "memory");
	GUEST_ASSERT_EQ(csr_read(CSR_SCAUSE), EXC_INST_ILLEGAL);
	GUEST_ASSERT_EQ(sstatus & (SR_SPP | SR_SPIE | SR_SIE), SR_SPP | SR_SPIE);

	/* User space of the host promotes it: a kernel can't run user pages. */
	cause = guest_user_mode(USER_PC(user_promoted), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_INST_PAGE_FAULT);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_promoted) + 4);
	GUEST_ASSERT_EQ(sstatus & SR_SPP, SR_SPP);

	GUEST_DONE();
}

/* libkvm maps for the kernel only. */
static void make_user_page(struct kvm_vm *vm, gva_t gva)
{
	*pte_of(vm, gva) |= PGTBL_PTE_USER_MASK;
}

static u64 mmio_exit_mode(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
		guest_is_done(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	return vcpu_get_reg(vcpu, RISCV_CORE_REG(mode));
}

/* The kernel may touch the device too, with SSTATUS.SUM, once it is the user's. */
static void prepare_user_mode(struct kvm_vm *vm)
{
	guest_user_page = vm_alloc_page(vm);
	memcpy(addr_gva2hva(vm, guest_user_page), user_code,
	       user_code_end - user_code);
	make_user_page(vm, guest_user_page);
	make_user_page(vm, MMIO_GVA);
	sync_global_to_guest(vm, guest_user_page);
}

TEST_F(world_switch, privilege)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	prepare_user_mode(self->vm);
	vcpu_arch_set_entry_point(vcpu, guest_privilege);
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sstatus), SR_SUM);

	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_S);
	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_U);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), USER_PC(user_syscall));
	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_U);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), USER_PC(user_syscall) + 4);

	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_U);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), USER_PC(user_promoted));
	vcpu_set_reg(vcpu, RISCV_CORE_REG(mode), KVM_RISCV_MODE_S);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(mode)), KVM_RISCV_MODE_S);

	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
}

#define SENVCFG_CBZE	(1UL << 7)

static void guest_fetch_privilege(void)
{
	register u64 a0 asm("a0");
	u64 cause, sstatus;

	csr_set(CSR_SENVCFG, SENVCFG_CBZE);
	*(volatile u32 *)(MMIO_GVA + 8) = 0;
	cause = guest_user_mode(USER_PC(user_cbo_zero), MMIO_GVA, &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_STORE_ACCESS);
	GUEST_ASSERT_EQ(csr_read(CSR_STVAL), MMIO_GVA);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_cbo_zero));
	GUEST_ASSERT_EQ(sstatus & SR_SPP, 0);

	csr_write(CSR_SCAUSE, 0);
	csr_write(CSR_STVAL, 0);
	a0 = MMIO_GVA;
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	" CBO_ZERO "\n"
		     "	.balign	4\n"
		     "1:	csrr	%0, sstatus\n"
		     : "=r" (sstatus) : "r" (a0) : "t0", "memory");
	GUEST_ASSERT_EQ(csr_read(CSR_SCAUSE), EXC_STORE_ACCESS);
	GUEST_ASSERT_EQ(csr_read(CSR_STVAL), MMIO_GVA);
	GUEST_ASSERT_EQ(sstatus & SR_SPP, SR_SPP);
	GUEST_DONE();
}

/*
 * KVM fetches an instruction with the privilege that HSTATUS.SPVP has, so it
 * must be that of the last trap: the kernel cannot execute a page of the user,
 * nor the user one of the kernel, and would get a page fault.
 */
TEST_F(world_switch, fetch_privilege)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	if (!__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_ZICBOZ))
		SKIP(return, "the hart has no Zicboz");
	if (!is_rust_backend())
		SKIP(return, "the C backend ends KVM_RUN with an error");
	prepare_user_mode(self->vm);
	vcpu_arch_set_entry_point(vcpu, guest_fetch_privilege);
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sstatus), SR_SUM);

	TEST_ASSERT_EQ(mmio_exit_mode(vcpu), KVM_RISCV_MODE_S);
	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
}

#define SENVCFG_LPE		(1UL << 2)
#define EXC_SOFTWARE_CHECK	18
#define LANDING_PAD_FAULT	2

static bool guest_has_landing_pads;

static void guest_software_check(void)
{
	u64 cause, sstatus;

	csr_set(CSR_SENVCFG, SENVCFG_LPE);
	guest_has_landing_pads = csr_read(CSR_SENVCFG) & SENVCFG_LPE;
	if (!guest_has_landing_pads)
		GUEST_DONE();

	/* An indirect jump to what is not a landing pad. */
	cause = guest_user_mode(USER_PC(user_jump), USER_PC(user_syscall), &sstatus);
	GUEST_ASSERT_EQ(cause, EXC_SOFTWARE_CHECK);
	GUEST_ASSERT_EQ(csr_read(CSR_STVAL), LANDING_PAD_FAULT);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), USER_PC(user_syscall));
	GUEST_ASSERT_EQ(sstatus & SR_SPP, 0);
	GUEST_DONE();
}

/*
 * The guest's kernel can give landing pads to its user mode, whatever KVM offers
 * (Zicfilp): the exceptions of that are the guest's.
 */
TEST_F(world_switch, software_check)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	if (!is_rust_backend())
		SKIP(return, "the C backend ends KVM_RUN with an error");
	prepare_user_mode(self->vm);
	run_guest(vcpu, guest_software_check);
	sync_global_from_guest(self->vm, guest_has_landing_pads);
	if (!guest_has_landing_pads)
		SKIP(return, "the hart has no Zicfilp");
}

static void expect_in_user_mode(u64 pc, u64 cause, u64 epc)
{
	u64 sstatus;

	GUEST_ASSERT_EQ(guest_user_mode(pc, 0, &sstatus), cause);
	GUEST_ASSERT_EQ(csr_read(CSR_SEPC), epc);
	GUEST_ASSERT_EQ(sstatus & SR_SPP, 0);
}

static void guest_user_seed(void)
{
	expect_in_user_mode(USER_PC(user_seed), EXC_INST_ILLEGAL, USER_PC(user_seed));
	GUEST_DONE();
}

/* To a guest, its firmware has given the entropy source to the kernel alone (mseccfg). */
TEST_F(world_switch, user_seed)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	if (!__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_ZKR))
		SKIP(return, "the hart has no Zkr");
	if (!is_rust_backend())
		SKIP(return, "the C backend asks user space, whoever reads it");
	prepare_user_mode(self->vm);
	run_guest(vcpu, guest_user_seed);
}

static void guest_user_wfi(void)
{
	expect_in_user_mode(USER_PC(user_wfi), EXC_INST_ILLEGAL, USER_PC(user_wfi));
	GUEST_DONE();
}

/* Whether user mode may wait for an interrupt is the kernel's to decide. */
TEST_F(world_switch, user_wfi)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	if (!is_rust_backend())
		SKIP(return, "the C backend lets user mode wait");
	prepare_user_mode(self->vm);
	run_guest(vcpu, guest_user_wfi);
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, wfi_exit_stat), 0);
}

#define COUNTER_CY	1UL
#define COUNTER_IR	4UL

/* With a PMU, a counter can be read once it has something to count. */
static void guest_configure_counters(void)
{
	GUEST_ASSERT_ERROR(0, CALL(SBI_EXT_PMU, SBI_EXT_PMU_COUNTER_CFG_MATCH, 0, COUNTER_CY, 0,
				   SBI_PMU_HW_CPU_CYCLES));
	GUEST_ASSERT_ERROR(0, CALL(SBI_EXT_PMU, SBI_EXT_PMU_COUNTER_CFG_MATCH, 0, COUNTER_IR, 0,
				   SBI_PMU_HW_INSTRUCTIONS));
}

static void guest_user_counters(u64 has_pmu)
{
	if (has_pmu)
		guest_configure_counters();
	csr_write(CSR_SCOUNTEREN, 0);
	expect_in_user_mode(USER_PC(user_cycle), EXC_INST_ILLEGAL, USER_PC(user_cycle));
	expect_in_user_mode(USER_PC(user_instret), EXC_INST_ILLEGAL, USER_PC(user_instret));
	csr_write(CSR_SCOUNTEREN, COUNTER_CY);
	expect_in_user_mode(USER_PC(user_cycle), EXC_SYSCALL, USER_PC(user_cycle) + 4);
	expect_in_user_mode(USER_PC(user_instret), EXC_INST_ILLEGAL, USER_PC(user_instret));
	csr_write(CSR_SCOUNTEREN, COUNTER_IR);
	expect_in_user_mode(USER_PC(user_cycle), EXC_INST_ILLEGAL, USER_PC(user_cycle));
	expect_in_user_mode(USER_PC(user_instret), EXC_SYSCALL, USER_PC(user_instret) + 4);
	GUEST_DONE();
}

/* Which counters user mode may read, the kernel says in scounteren. */
TEST_F(world_switch, user_counters)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	if (!is_rust_backend())
		SKIP(return, "the C backend does not look at scounteren");
	prepare_user_mode(self->vm);
	vcpu_args_set(vcpu, 1, (u64)__vcpu_has_sbi_ext(vcpu, KVM_RISCV_SBI_EXT_PMU));
	run_guest(vcpu, guest_user_counters);
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, csr_exit_kernel), 2);
}

TEST_HARNESS_MAIN
