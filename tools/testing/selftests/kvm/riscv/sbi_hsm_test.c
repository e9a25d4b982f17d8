// SPDX-License-Identifier: GPL-2.0
/*
 * Harts that a guest starts, stops and suspends by the SBI.
 */
#include <asm/barrier.h>

#include "reset_state.h"
#include "sbi_guest.h"

#define HSM_STARTED		0
#define HSM_STOPPED		1
#define HSM_SUSPENDED		4

#define HSM_SUSPEND_RETENTIVE		0
#define HSM_SUSPEND_NON_RETENTIVE	0x80000000UL

/*
 * What a hart finds when it starts. It stores that where a1 points, waits until
 * it is told to stop, and leaves as much as it can to its next life.
 */
struct start_state {
	u64 x[32];
	u64 started;		/* set last */
	u64 satp, sstatus, sie, sip, stvec, sscratch, sepc, scause, stval, scounteren, senvcfg;
	u64 trap;		/* the SCAUSE of a trap, which there must not be */
	u64 stop;
	u64 fcsr;
	u64 f[32];
	u64 vstart, vl, vcsr;
	u64 v[32];		/* the first 64 bits of each */
	u64 units;		/* which of the hart's units there are to look at */
};

#define FLOATS		1
#define VECTORS		2

#define START_STARTED	256
#define START_CSRS	264
#define START_TRAP	352
#define START_STOP	360
#define START_FCSR	368
#define START_F		376
#define START_VCSRS	632
#define START_V		656
#define START_UNITS	912

#define IF_UNIT(unit, label)						\
	"	ld	t0, " __stringify(START_UNITS) "(a1)\n"		\
	"	andi	t0, t0, " __stringify(unit) "\n"		\
	"	beqz	t0, " label "\n"

/* One behind the other, from `place` on. */
#define STORE_CSRS(names)						\
	".irp	csr, " names "\n"					\
	"	store_csr \\csr, %place\n"				\
	".set	place, place + 8\n"					\
	".endr\n"

/* Each with number `n`. */
#define ALL_32(what)							\
	".set	n, 0\n"							\
	".rept	32\n"							\
	"	" what "	%n\n"					\
	".set	n, n + 1\n"						\
	".endr\n"

asm(".pushsection .rodata\n"
	".option push\n"
	".option norvc\n"
	".option arch, +v\n"
	".balign 4\n"
	"hsm_entry:\n"
	".altmacro\n"
	".macro	store n\n"
	"	sd	x\\n, 8 * \\n(a1)\n"
	".endm\n"
	".macro	store_csr csr, place\n"
	"	csrr	t0, \\csr\n"
	"	sd	t0, \\place(a1)\n"
	".endm\n"
	".macro	store_float n\n"
	"	fsd	f\\n, " __stringify(START_F) " + 8 * \\n(a1)\n"
	".endm\n"
	".macro	store_vector n\n"
	"	vmv.x.s	t0, v\\n\n"
	"	sd	t0, " __stringify(START_V) " + 8 * \\n(a1)\n"
	".endm\n"
	".macro	spoil n\n"
	"	li	x\\n, 0x1000 + \\n\n"
	".endm\n"
	".macro	spoil_float n\n"
	"	fmv.d.x	f\\n, t0\n"
	".endm\n"
	".macro	spoil_vector n\n"
	"	vmv.v.x	v\\n, t0\n"
	".endm\n"
	".set	n, 1\n"
	".rept	31\n"
	"	store	%n\n"
	".set	n, n + 1\n"
	".endr\n"
	".set	place, " __stringify(START_CSRS) "\n"
	STORE_CSRS("satp, sstatus, sie, sip, stvec, sscratch")
	STORE_CSRS("sepc, scause, stval, scounteren, senvcfg")
	/* A trap ends here, where t0 points. */
	"	jal	t0, 1f\n"
	"	csrr	t0, scause\n"
	"	sd	t0, " __stringify(START_TRAP) "(a1)\n"
	"	fence	rw, rw\n"
	"	li	t0, 1\n"
	"	sd	t0, " __stringify(START_STARTED) "(a1)\n"
	"	j	.\n"
	"1:	csrw	stvec, t0\n"
	IF_UNIT(FLOATS, "1f")
	"	li	t0, " __stringify(SR_FS_INITIAL) "\n"
	"	csrs	sstatus, t0\n"
	"	store_csr fcsr, " __stringify(START_FCSR) "\n"
	ALL_32("store_float")
	"1:\n"
	IF_UNIT(VECTORS, "1f")
	"	li	t0, " __stringify(SR_VS_INITIAL) "\n"
	"	csrs	sstatus, t0\n"
	".set	place, " __stringify(START_VCSRS) "\n"
	STORE_CSRS("vstart, vl, vcsr")
	"	vsetivli x0, 1, e64, m1, ta, ma\n"
	ALL_32("store_vector")
	"1:\n"
	"	fence	rw, rw\n"
	"	li	t0, 1\n"
	"	sd	t0, " __stringify(START_STARTED) "(a1)\n"
	"1:	ld	t0, " __stringify(START_STOP) "(a1)\n"
	"	beqz	t0, 1b\n"
	/*
	 * FCSR and VCSR come first, because QEMU (10.0) takes a write of them for a
	 * change of VSSTATUS alone.
	 */
	IF_UNIT(FLOATS, "1f")
	"	li	t0, 0x1f\n"
	"	fscsr	t0\n"
	ALL_32("spoil_float")
	"1:\n"
	IF_UNIT(VECTORS, "1f")
	"	csrwi	vcsr, 7\n"
	"	vsetvli	t0, x0, e64, m1, ta, ma\n"
	ALL_32("spoil_vector")
	"1:\n"
	/* The timer has expired, an IPI is pending, and both are enabled. */
	"	li	a7, 0x54494d45\n"
	"	li	a6, 0\n"
	"	li	a0, 0\n"
	"	ecall\n"
	"	csrsi	sip, 2\n"
	"	li	t0, 0x22\n"
	"	csrs	sie, t0\n"
	"	li	t0, 0x1000\n"
	".irp	csr, stvec, sscratch, sepc, stval\n"
	"	csrw	\\csr, t0\n"
	".endr\n"
	"	csrwi	scause, 5\n"
	"	csrwi	scounteren, 7\n"
	"	csrwi	senvcfg, 1\n"
	"	li	t0, " __stringify(SR_SPIE | SR_SPP | SR_SUM) "\n"
	"	csrs	sstatus, t0\n"
	".set	n, 1\n"
	".rept	31\n"
	"	spoil	%n\n"
	".set	n, n + 1\n"
	".endr\n"
	".purgem	store\n"
	".purgem	store_csr\n"
	".purgem	store_float\n"
	".purgem	store_vector\n"
	".purgem	spoil\n"
	".purgem	spoil_float\n"
	".purgem	spoil_vector\n"
	".noaltmacro\n"
	"	li	a7, 0x48534d\n"
	"	li	a6, 1\n"
	"	ecall\n"
	"	ebreak\n"
	"hsm_entry_end:\n"
	".option pop\n"
	".popsection\n");
extern char hsm_entry[], hsm_entry_end[];
static_assert(offsetof(struct start_state, started) == START_STARTED &&
	      offsetof(struct start_state, satp) == START_CSRS &&
	      offsetof(struct start_state, trap) == START_TRAP &&
	      offsetof(struct start_state, stop) == START_STOP &&
	      offsetof(struct start_state, fcsr) == START_FCSR &&
	      offsetof(struct start_state, f) == START_F &&
	      offsetof(struct start_state, vstart) == START_VCSRS &&
	      offsetof(struct start_state, v) == START_V &&
	      offsetof(struct start_state, units) == START_UNITS);

/* Before a start: all but which units there are. */
static void clear_start_state(struct start_state *s)
{
	memset(s, 0, offsetof(struct start_state, units));
}

static struct start_state *guest_start_state;
static u64 start_state_gpa, start_pc_gpa;

static long guest_hart_status(u64 hart)
{
	struct sbiret ret = CALL(EXT_HSM, HSM_STATUS, hart);

	return ret.error ? ret.error : ret.value;
}

/* A hart finds no more than its number and the argument of the call that has started it. */
static void guest_check_start(const struct start_state *s)
{
	int n;

	GUEST_ASSERT_EQ(s->trap, 0);
	for (n = 1; n < 32; n++)
		GUEST_ASSERT_EQ(s->x[n], n == 10 ? 1 : n == 11 ? start_state_gpa : 0);
	GUEST_ASSERT_EQ(s->satp, 0);
	GUEST_ASSERT_EQ(s->sstatus & (SR_SIE | SPOILT_SSTATUS), 0);
	GUEST_ASSERT_EQ(s->sie, 0);
	GUEST_ASSERT_EQ(s->sip, 0);
	GUEST_ASSERT_EQ(s->stvec, 0);
	GUEST_ASSERT_EQ(s->sscratch, 0);
	GUEST_ASSERT_EQ(s->sepc, 0);
	GUEST_ASSERT_EQ(s->scause, 0);
	GUEST_ASSERT_EQ(s->stval, 0);
	GUEST_ASSERT_EQ(s->scounteren, 0);
	GUEST_ASSERT_EQ(s->senvcfg, 0);
	GUEST_ASSERT_EQ(s->fcsr, 0);
	GUEST_ASSERT_EQ(s->vstart, 0);
	GUEST_ASSERT_EQ(s->vl, 0);
	GUEST_ASSERT_EQ(s->vcsr, 0);
	for (n = 0; n < 32; n++) {
		GUEST_ASSERT_EQ(s->f[n], 0);
		GUEST_ASSERT_EQ(s->v[n], 0);
	}
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
		clear_start_state(s);
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
		guest_check_start(s);
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

/* Gives the guest the code above, and room for one `start_state`, which is returned. */
static struct start_state *prepare_start(FIXTURE_DATA(sbi) *self)
{
	struct kvm_vm *vm = self->vm;
	gva_t code = vm_alloc_page(vm);
	gva_t state = vm_alloc_page(vm);
	struct start_state *s = addr_gva2hva(vm, state);

	memcpy(addr_gva2hva(vm, code), hsm_entry, hsm_entry_end - hsm_entry);
	if (__vcpu_has_isa_ext(self->vcpu[1], KVM_RISCV_ISA_EXT_D))
		s->units |= FLOATS;
	if (__vcpu_has_isa_ext(self->vcpu[1], KVM_RISCV_ISA_EXT_V))
		s->units |= VECTORS;
	start_pc_gpa = addr_gva2gpa(vm, code);
	start_state_gpa = addr_gva2gpa(vm, state);
	guest_start_state = (void *)state;
	sync_global_to_guest(vm, start_pc_gpa);
	sync_global_to_guest(vm, start_state_gpa);
	sync_global_to_guest(vm, guest_start_state);
	return s;
}

TEST_F(sbi, hsm)
{
	struct vcpu_thread other;

	tell_guest_backend(self->vm);
	prepare_start(self);
	set_mp_state(self->vcpu[1], KVM_MP_STATE_STOPPED);
	TEST_ASSERT_EQ(mp_state_of(self->vcpu[1]), KVM_MP_STATE_STOPPED);
	vcpu_thread_start(&other, self->vcpu[1]);

	run_guest(self->vcpu[0], guest_hsm);

	/* It sleeps, stopped, in KVM_RUN: a signal gets it out. */
	vcpu_thread_stop(&other);
	TEST_ASSERT_EQ(mp_state_of(self->vcpu[1]), KVM_MP_STATE_STOPPED);
}

static u64 suspends;

static void guest_suspend(void)
{
	csr_write(CSR_SIE, IE_SIE);
	while (!(csr_read(CSR_SIP) & IE_SIE)) {
		WRITE_ONCE(suspends, suspends + 1);
		GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_SUSPEND, HSM_SUSPEND_RETENTIVE));
	}
	GUEST_DONE();
}

static void guest_watch_suspend(void)
{
	while (!READ_ONCE(suspends))
		cpu_relax();
	while (guest_hart_status(1) != HSM_SUSPENDED)
		GUEST_ASSERT_EQ(guest_hart_status(1) == HSM_STOPPED, false);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 1UL << 1, 0));
	while (guest_hart_status(1) == HSM_SUSPENDED)
		cpu_relax();
	GUEST_DONE();
}

/* Another hart sees that a hart is suspended, until an interrupt comes. */
TEST_F(sbi, suspended)
{
	struct vcpu_thread other;

	vcpu_arch_set_entry_point(self->vcpu[1], guest_suspend);
	set_mp_state(self->vcpu[1], KVM_MP_STATE_RUNNABLE);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_watch_suspend);
	vcpu_thread_join(&other);
}

static void guest_start_one(void)
{
	GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_START, 1, start_pc_gpa, start_state_gpa));
	GUEST_DONE();
}

/* Runs a vCPU, the hart of which has been started, until the hart has stopped again. */
static void run_started(struct kvm_vcpu *vcpu, struct start_state *s)
{
	struct vcpu_thread thread;
	int tries;

	WRITE_ONCE(s->stop, 1);
	vcpu_thread_start(&thread, vcpu);
	for (tries = 0; tries < 10000 && !READ_ONCE(s->started); tries++)
		usleep(1000);
	vcpu_thread_stop(&thread);
	TEST_ASSERT(READ_ONCE(s->started), "the hart did not get to its entry point");
	TEST_ASSERT(!s->trap, "the hart has trapped, with scause %lu", s->trap);
}

/* A vCPU that is stopped, with something in all of its registers. */
static void stop_spoilt(struct kvm_vcpu *vcpu)
{
	set_mp_state(vcpu, KVM_MP_STATE_STOPPED);
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.pc), 0x2000);
	spoil_state(vcpu);
}

/*
 * A hart is started from the moment that another hart asks for it. Its vCPU may
 * not be in KVM_RUN then: user space still finds the hart at its entry point.
 */
TEST_F(sbi, registers_of_started_hart)
{
	struct kvm_vcpu *vcpu = self->vcpu[1];
	struct start_state *s = prepare_start(self);
	int n;

	if (!is_rust_backend())
		SKIP(return, "the C backend shows the registers from before the start");
	stop_spoilt(vcpu);
	run_guest(self->vcpu[0], guest_start_one);
	TEST_ASSERT_EQ(mp_state_of(vcpu), KVM_MP_STATE_RUNNABLE);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), start_pc_gpa);
	for (n = 1; n < 32; n++)
		TEST_ASSERT_EQ(vcpu_get_reg(vcpu, core_reg(n)),
			       n == 10 ? 1 : n == 11 ? start_state_gpa : 0);
	check_reset_state(vcpu);
	run_started(vcpu, s);
	TEST_ASSERT_EQ(s->x[10], 1);
	TEST_ASSERT_EQ(s->x[11], start_state_gpa);
}

/* What user space writes after the start, the hart finds. */
TEST_F(sbi, registers_set_after_start)
{
	struct kvm_vcpu *vcpu = self->vcpu[1];
	struct start_state *s = prepare_start(self);

	if (!is_rust_backend())
		SKIP(return, "the C backend overwrites what was set after the start");
	stop_spoilt(vcpu);
	run_guest(self->vcpu[0], guest_start_one);
	vcpu_set_reg(vcpu, core_reg(9), 0x1234);
	run_started(vcpu, s);
	TEST_ASSERT_EQ(s->x[9], 0x1234);
	TEST_ASSERT_EQ(s->x[8], 0);
	TEST_ASSERT_EQ(s->x[11], start_state_gpa);
}

/* A started hart that is saved before it has run begins where it is restored. */
TEST_F(sbi, move_started_hart)
{
	struct start_state *s = prepare_start(self);
	struct kvm_reg_list *list;
	u64 i;

	if (!is_rust_backend())
		SKIP(return, "the C backend loses the start of a hart that has not run");
	stop_spoilt(self->vcpu[1]);
	run_guest(self->vcpu[0], guest_start_one);

	list = vcpu_get_reg_list(self->vcpu[1]);
	for (i = 0; i < list->n; i++) {
		static u8 value[1 << 15];
		struct kvm_one_reg reg = { .id = list->reg[i], .addr = (u64)value };

		vcpu_ioctl(self->vcpu[1], KVM_GET_ONE_REG, &reg);
		vcpu_ioctl(self->vcpu[2], KVM_SET_ONE_REG, &reg);
	}
	free(list);
	set_mp_state(self->vcpu[2], mp_state_of(self->vcpu[1]));
	run_started(self->vcpu[2], s);
	TEST_ASSERT_EQ(s->x[10], 1);
	TEST_ASSERT_EQ(s->x[11], start_state_gpa);
	TEST_ASSERT_EQ(s->x[12], 0);
}

static void guest_start_and_send_ipi(void)
{
	/* The hart is stopped: nobody takes this one, and the start drops it. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 2, 0));
	GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_START, 1, start_pc_gpa, start_state_gpa));
	GUEST_SYNC(0);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 2, 0));
	GUEST_DONE();
}

static void set_external_interrupt(struct kvm_vcpu *vcpu, u32 level)
{
	struct kvm_interrupt irq = { .irq = level };

	vcpu_ioctl(vcpu, KVM_INTERRUPT, &irq);
}

/* A hart starts without interrupts; those that are raised from then on are its own. */
TEST_F(sbi, interrupts_of_started_hart)
{
	struct kvm_vcpu *vcpu = self->vcpu[1];
	struct start_state *s = prepare_start(self);
	int round;

	if (!is_rust_backend())
		SKIP(return, "the C backend forgets what is raised between start and run");
	for (round = 0; round < 4; round++) {
		bool look = round & 1, external = round & 2;

		clear_start_state(s);
		stop_spoilt(vcpu);
		vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sip), IE_SIE | IE_EIE);
		set_external_interrupt(vcpu, KVM_INTERRUPT_SET);
		vcpu_arch_set_entry_point(self->vcpu[0], guest_start_and_send_ipi);
		vcpu_run(self->vcpu[0]);
		TEST_ASSERT(!guest_is_done(self->vcpu[0]), "not reached");
		if (look)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sip)), 0);
		if (external)
			set_external_interrupt(vcpu, KVM_INTERRUPT_SET);
		run_until_done(self->vcpu[0]);
		if (look)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sip)),
				       IE_SIE | (external ? IE_EIE : 0));
		run_started(vcpu, s);
		TEST_ASSERT_EQ(s->sip, IE_SIE | (external ? IE_EIE : 0));
	}
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
