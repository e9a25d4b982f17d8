// SPDX-License-Identifier: GPL-2.0
/*
 * Harts that a guest starts, stops and suspends by the SBI.
 */
#include <asm/barrier.h>

#include "sbi_guest.h"

#define HSM_STARTED		0
#define HSM_STOPPED		1
#define HSM_SUSPENDED		4

#define HSM_SUSPEND_RETENTIVE		0
#define HSM_SUSPEND_NON_RETENTIVE	0x80000000UL

/* What a hart finds when it starts: it stores that where a1 points, and stops. */
struct start_state {
	u64 started;		/* set last */
	u64 a0, a1, satp, sie_bit;
	u64 stop;
};

asm(".pushsection .rodata\n"
	".option push\n"
	".option norvc\n"
	"hsm_entry:\n"
	"	csrr	t0, satp\n"
	"	csrr	t1, sstatus\n"
	"	andi	t1, t1, " __stringify(SR_SIE) "\n"
	"	sd	a0, 8(a1)\n"
	"	sd	a1, 16(a1)\n"
	"	sd	t0, 24(a1)\n"
	"	sd	t1, 32(a1)\n"
	"	fence	rw, rw\n"
	"	li	t0, 1\n"
	"	sd	t0, 0(a1)\n"
	"1:	ld	t0, 40(a1)\n"
	"	beqz	t0, 1b\n"
	"	li	a7, 0x48534d\n"
	"	li	a6, 1\n"
	"	ecall\n"
	"	ebreak\n"
	"hsm_entry_end:\n"
	".option pop\n"
	".popsection\n");
extern char hsm_entry[], hsm_entry_end[];

static struct start_state *guest_start_state;
static u64 start_state_gpa, start_pc_gpa;

static long guest_hart_status(u64 hart)
{
	struct sbiret ret = CALL(EXT_HSM, HSM_STATUS, hart);

	return ret.error ? ret.error : ret.value;
}

static void guest_hsm(void)
{
	struct start_state *s = guest_start_state;
	long status, error;
	int round;

	/*
	 * No hart has an id above 32 bits, but the C backend looks at the low 32
	 * only: then this is hart 0.
	 */
	status = guest_hart_status(1UL << 32);
	if (guest_is_under_rust || status != HSM_STARTED)
		GUEST_ASSERT_EQ(status, SBI_ERR_INVALID_PARAM);
	error = CALL(EXT_HSM, HSM_START, 1UL << 32, start_pc_gpa, 0).error;
	if (guest_is_under_rust || error != SBI_ERR_ALREADY_AVAILABLE)
		GUEST_ASSERT_EQ(error, SBI_ERR_INVALID_PARAM);

	GUEST_ASSERT_EQ(guest_hart_status(0), HSM_STARTED);
	GUEST_ASSERT_EQ(guest_hart_status(NO_SUCH_HART), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_hart_status(-1UL), SBI_ERR_INVALID_PARAM);

	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM,
			   CALL(EXT_HSM, HSM_START, NO_SUCH_HART, start_pc_gpa, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_ALREADY_AVAILABLE,
			   CALL(EXT_HSM, HSM_START, 0, start_pc_gpa, 0));

	for (round = 0; round < 5; round++) {
		GUEST_ASSERT_EQ(guest_hart_status(1), HSM_STOPPED);
		memset(s, 0, sizeof(*s));
		/* The hart that is started finds it cleared. */
		smp_mb();
		GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_START, 1, start_pc_gpa,
					   start_state_gpa));
		GUEST_ASSERT_ERROR(SBI_ERR_ALREADY_AVAILABLE,
				   CALL(EXT_HSM, HSM_START, 1, start_pc_gpa, 0));
		while (!READ_ONCE(s->started))
			cpu_relax();
		/* Pairs with the fence of hsm_entry. */
		smp_mb();
		GUEST_ASSERT_EQ(s->a0, 1);
		GUEST_ASSERT_EQ(s->a1, start_state_gpa);
		GUEST_ASSERT_EQ(s->satp, 0);
		GUEST_ASSERT_EQ(s->sie_bit, 0);
		GUEST_ASSERT_EQ(guest_hart_status(1), HSM_STARTED);
		WRITE_ONCE(s->stop, 1);
		while (guest_hart_status(1) != HSM_STOPPED)
			cpu_relax();
	}

	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED,
			   CALL(EXT_HSM, HSM_SUSPEND, HSM_SUSPEND_NON_RETENTIVE));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_HSM, HSM_SUSPEND, 1));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM,
			   CALL(EXT_HSM, HSM_SUSPEND, HSM_SUSPEND_NON_RETENTIVE + 1));
	/* Those of a platform. */
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_HSM, HSM_SUSPEND, 0x10000000));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_HSM, HSM_SUSPEND, 0x90000000));

	/* With an interrupt pending, a retentive suspend ends at once. */
	csr_write(CSR_SIE, IE_SIE);
	csr_set(CSR_SIP, IE_SIE);
	GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_SUSPEND, HSM_SUSPEND_RETENTIVE));
	csr_clear(CSR_SIP, IE_SIE);
	GUEST_DONE();
}

TEST_F(sbi, hsm)
{
	struct vcpu_thread other;
	gva_t code = vm_alloc_page(self->vm);
	gva_t state = vm_alloc_page(self->vm);

	memcpy(addr_gva2hva(self->vm, code), hsm_entry, hsm_entry_end - hsm_entry);
	start_pc_gpa = addr_gva2gpa(self->vm, code);
	start_state_gpa = addr_gva2gpa(self->vm, state);
	guest_start_state = (void *)state;
	sync_global_to_guest(self->vm, start_pc_gpa);
	sync_global_to_guest(self->vm, start_state_gpa);
	sync_global_to_guest(self->vm, guest_start_state);
	tell_guest_backend(self->vm);

	set_mp_state(self->vcpu[1], KVM_MP_STATE_STOPPED);
	TEST_ASSERT_EQ(mp_state_of(self->vcpu[1]), KVM_MP_STATE_STOPPED);
	vcpu_thread_start(&other, self->vcpu[1]);

	run_guest(self->vcpu[0], guest_hsm);

	/* It sleeps, stopped, in KVM_RUN: a signal gets it out. */
	vcpu_thread_stop(&other);
	TEST_ASSERT_EQ(mp_state_of(self->vcpu[1]), KVM_MP_STATE_STOPPED);
}

static void guest_start_nowhere(void)
{
	GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_START, 1, UNBACKED_GPA, -1UL));
	GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_START, 2, -1UL, -1UL));
	GUEST_DONE();
}

/* Harts that start where nothing is trap for ever, but can be stopped. */
TEST_F(sbi, hsm_start_nowhere)
{
	struct vcpu_thread lost[2];
	int i;

	for (i = 0; i < 2; i++) {
		set_mp_state(self->vcpu[1 + i], KVM_MP_STATE_STOPPED);
		vcpu_thread_start(&lost[i], self->vcpu[1 + i]);
	}
	run_guest(self->vcpu[0], guest_start_nowhere);
	for (i = 0; i < 2; i++)
		/* The fault of its first fetch, and ticks, which may come first. */
		TEST_ASSERT(vcpu_exits_reach(self->vcpu[1 + i], 4), "hart %d did not start",
			    1 + i);
	for (i = 0; i < 2; i++) {
		struct kvm_vcpu *vcpu = self->vcpu[1 + i];

		vcpu_thread_stop(&lost[i]);
		TEST_ASSERT_EQ(mp_state_of(vcpu), KVM_MP_STATE_RUNNABLE);
		/* It has trapped, and has got no further than to what is at stvec, 0. */
		TEST_ASSERT(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(scause)),
			    "hart %d has not trapped", 1 + i);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.a0)), 1 + i);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.a1)), -1UL);
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(satp)), 0);
	}
}

TEST_HARNESS_MAIN
