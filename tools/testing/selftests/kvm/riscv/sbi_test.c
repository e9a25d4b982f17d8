// SPDX-License-Identifier: GPL-2.0
/*
 * The SBI as a guest sees it: the calls that KVM finishes itself, those that it
 * hands to user space, and what it answers to nonsense.
 *
 * Where the SBI specification leaves a choice, or KVM has long answered in
 * another way than it says, the test accepts both and a comment says so.
 */
#include <asm/barrier.h>

#include "ask_guest.h"
#include "fenced_page.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

/* What the library's sbi.h has no name for. */
#define EXT_TIME		0x54494d45UL
#define EXT_IPI			0x735049UL
#define EXT_RFENCE		0x52464e43UL
#define EXT_HSM			0x48534dUL
#define EXT_SRST		0x53525354UL
#define EXT_SUSP		0x53555350UL
#define EXT_DBCN		0x4442434eUL
#define EXT_STA			0x535441UL
#define EXT_FWFT		0x46574654UL
#define EXT_MPXY		0x4d505859UL
#define EXT_FORWARD		((u64)SBI_EXT_EXPERIMENTAL_START)
#define EXT_VENDOR		0x09000000UL

#define BASE_GET_MVENDORID	4
#define BASE_GET_MARCHID	5
#define BASE_GET_MIMPID		6

#define RFENCE_FENCE_I		0
#define RFENCE_SFENCE_VMA	1
#define RFENCE_SFENCE_VMA_ASID	2
#define RFENCE_HFENCE_FIRST	3
#define RFENCE_HFENCE_LAST	6

#define HSM_START		0
#define HSM_STOP		1
#define HSM_STATUS		2
#define HSM_SUSPEND		3

#define HSM_STARTED		0
#define HSM_STOPPED		1
#define HSM_SUSPENDED		4

#define HSM_SUSPEND_RETENTIVE		0
#define HSM_SUSPEND_NON_RETENTIVE	0x80000000UL

#define SBI_KVM_IMPL_ID		3
#define SBI_KVM_SPEC_VERSION	(3UL << SBI_SPEC_VERSION_MAJOR_SHIFT)
#define SBI_LOWEST_ERROR	-14

#define ALL_HARTS		(-1UL)
#define NO_SUCH_HART		99
#define UNBACKED_GPA		0x7000000000UL

#define NR_VCPUS		3

/* As wide as the registers are: the library's sbi_ecall() takes ints. */
static struct sbiret call6(u64 ext, u64 fid, u64 arg0, u64 arg1, u64 arg2,
			   u64 arg3, u64 arg4, u64 arg5)
{
	register u64 a0 asm("a0") = arg0;
	register u64 a1 asm("a1") = arg1;
	register u64 a2 asm("a2") = arg2;
	register u64 a3 asm("a3") = arg3;
	register u64 a4 asm("a4") = arg4;
	register u64 a5 asm("a5") = arg5;
	register u64 a6 asm("a6") = fid;
	register u64 a7 asm("a7") = ext;

	asm volatile("ecall" : "+r" (a0), "+r" (a1)
		     : "r" (a2), "r" (a3), "r" (a4), "r" (a5), "r" (a6), "r" (a7)
		     : "memory");
	return (struct sbiret){ .error = a0, .value = a1 };
}

#define CALL(ext, fid, args...)	CALL_(ext, fid, ##args, 0, 0, 0, 0, 0, 0)
#define CALL_(ext, fid, a0, a1, a2, a3, a4, a5, ...)			\
	call6(ext, fid, a0, a1, a2, a3, a4, a5)

#define GUEST_ASSERT_ERROR(expected, call)				\
do {									\
	struct sbiret __ret = (call);					\
									\
	__GUEST_ASSERT(__ret.error == (expected),			\
		       "%s: error %ld, not %ld", #call, __ret.error,	\
		       (long)(expected));				\
} while (0)

FIXTURE(sbi)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[NR_VCPUS];
};

FIXTURE_SETUP(sbi)
{
	self->vm = vm_with_vcpus(NR_VCPUS, NULL, self->vcpu);
}

FIXTURE_TEARDOWN(sbi)
{
	kvm_vm_free(self->vm);
}

/* --- Base ---------------------------------------------------------------- */

static u64 machine_ids[3];

static void guest_base(void)
{
	struct sbiret ret;
	int i;

	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_GET_SPEC_VERSION);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT_EQ(ret.value, SBI_KVM_SPEC_VERSION);

	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_GET_IMP_ID);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT_EQ(ret.value, SBI_KVM_IMPL_ID);

	/* The kernel's version: some x.y.z with x > 0. */
	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_GET_IMP_VERSION);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT(ret.value >> 16);

	for (i = 0; i < 3; i++) {
		ret = CALL(SBI_EXT_BASE, BASE_GET_MVENDORID + i);
		GUEST_ASSERT_EQ(ret.error, 0);
		GUEST_ASSERT_EQ((u64)ret.value, machine_ids[i]);
	}

	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(SBI_EXT_BASE, BASE_GET_MIMPID + 1));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(SBI_EXT_BASE, -1UL));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(SBI_EXT_BASE, 1UL << 32));
	GUEST_DONE();
}

TEST_F(sbi, base)
{
	const u64 ids[] = {
		RISCV_CONFIG_REG(mvendorid), RISCV_CONFIG_REG(marchid),
		RISCV_CONFIG_REG(mimpid),
	};
	int i;

	for (i = 0; i < 3; i++) {
		machine_ids[i] = 0x1234567 * (i + 1);
		vcpu_set_reg(self->vcpu[0], ids[i], machine_ids[i]);
	}
	sync_global_to_guest(self->vm, machine_ids);
	run_guest(self->vcpu[0], guest_base);
}

/*
 * What each extension that ONE_REG can switch is called by a guest. PMU is not
 * here: on a host without a PMU driver, KVM leaves its register switched on
 * although a guest cannot probe it.
 */
static const struct {
	u64 reg;
	u64 id;
} extensions[] = {
	{ KVM_RISCV_SBI_EXT_TIME, EXT_TIME },
	{ KVM_RISCV_SBI_EXT_IPI, EXT_IPI },
	{ KVM_RISCV_SBI_EXT_RFENCE, EXT_RFENCE },
	{ KVM_RISCV_SBI_EXT_SRST, EXT_SRST },
	{ KVM_RISCV_SBI_EXT_HSM, EXT_HSM },
	{ KVM_RISCV_SBI_EXT_DBCN, EXT_DBCN },
	{ KVM_RISCV_SBI_EXT_STA, EXT_STA },
	{ KVM_RISCV_SBI_EXT_SUSP, EXT_SUSP },
	{ KVM_RISCV_SBI_EXT_FWFT, EXT_FWFT },
	{ KVM_RISCV_SBI_EXT_MPXY, EXT_MPXY },
};

static bool enabled[ARRAY_SIZE(extensions)];

static void guest_probe(void)
{
	struct sbiret ret;
	int i;

	ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, SBI_EXT_BASE);
	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT(ret.value);

	for (i = 0; i < ARRAY_SIZE(extensions); i++) {
		ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, extensions[i].id);
		GUEST_ASSERT_EQ(ret.error, 0);
		__GUEST_ASSERT(!!ret.value == enabled[i],
			       "extension 0x%lx: probe says %ld, ONE_REG %d",
			       extensions[i].id, ret.value, enabled[i]);
		if (!enabled[i])
			GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED,
					   CALL(extensions[i].id, 0));
	}
	GUEST_DONE();
}

static void read_enabled(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		enabled[i] = __vcpu_has_sbi_ext(vcpu, extensions[i].reg);
	sync_global_to_guest(vm, enabled);
}

TEST_F(sbi, probe_default)
{
	const u64 needed[] = {
		KVM_RISCV_SBI_EXT_TIME, KVM_RISCV_SBI_EXT_IPI,
		KVM_RISCV_SBI_EXT_RFENCE, KVM_RISCV_SBI_EXT_SRST,
		KVM_RISCV_SBI_EXT_HSM,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(needed); i++)
		TEST_ASSERT(__vcpu_has_sbi_ext(self->vcpu[0], needed[i]),
			    "extension %lu is not on by default", needed[i]);
	TEST_ASSERT(!__vcpu_has_sbi_ext(self->vcpu[0], KVM_RISCV_SBI_EXT_DBCN),
		    "DBCN is on by default, with no one to serve it");

	read_enabled(self->vm, self->vcpu[0]);
	run_guest(self->vcpu[0], guest_probe);
}

TEST_F(sbi, probe_disabled)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int i;

	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		if (__vcpu_has_sbi_ext(vcpu, extensions[i].reg))
			vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(extensions[i].reg), 0);
	read_enabled(self->vm, vcpu);
	for (i = 0; i < ARRAY_SIZE(extensions); i++)
		TEST_ASSERT(!enabled[i], "extension %lu can't be switched off",
			    extensions[i].reg);
	run_guest(vcpu, guest_probe);

	/* Too late now. */
	TEST_ASSERT(__vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_TIME), 1) &&
		    errno == EBUSY, "an extension was switched on after the first run");
}

static void guest_unknown(void)
{
	static const u64 unknown[] = {
		-1UL, 1UL << 63, 0x11, 0x0f, 0x7ffffffUL, 0x0a000000UL,
		0x4e41434cUL /* NACL: there is no nesting */,
		(1UL << 32) | SBI_EXT_BASE, (1UL << 32) | EXT_TIME, EXT_TIME - 1,
		EXT_TIME + 1,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct sbiret ret = call6(unknown[i], 0, -1UL, -1UL, -1UL, -1UL,
					  -1UL, -1UL);

		__GUEST_ASSERT(ret.error == SBI_ERR_NOT_SUPPORTED,
			       "extension 0x%lx: error %ld", unknown[i], ret.error);
		/* KVM keeps -1 for extensions that it was built without. */
		if (unknown[i] == -1UL)
			continue;
		ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, unknown[i]);
		GUEST_ASSERT_EQ(ret.error, 0);
		__GUEST_ASSERT(!ret.value, "extension 0x%lx: probe says %ld",
			       unknown[i], ret.value);
	}
	GUEST_DONE();
}

TEST_F(sbi, unknown_extension)
{
	run_guest(self->vcpu[0], guest_unknown);
}

static void guest_unknown_function(void)
{
	static const u64 ids[] = {
		SBI_EXT_BASE, EXT_TIME, EXT_IPI, EXT_RFENCE, EXT_HSM, EXT_SRST,
	};
	static const u64 functions[] = { 100, 0x7fffffff, 1UL << 32, 1UL << 63, -1UL };
	int i, j;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		for (j = 0; j < ARRAY_SIZE(functions); j++) {
			struct sbiret ret = CALL(ids[i], functions[j]);

			__GUEST_ASSERT(ret.error == SBI_ERR_NOT_SUPPORTED,
				       "extension 0x%lx, function 0x%lx: error %ld",
				       ids[i], functions[j], ret.error);
		}
	GUEST_DONE();
}

TEST_F(sbi, unknown_function)
{
	run_guest(self->vcpu[0], guest_unknown_function);
}

/*
 * Sleeps until `cond`. Interrupts are off in between: one that came after the
 * last look at `cond` ends the WFI, and is taken then.
 */
#define GUEST_WAIT_UNTIL(cond)						\
do {									\
	local_irq_disable();						\
	while (!(cond)) {						\
		asm volatile("wfi");					\
		local_irq_enable();					\
		local_irq_disable();					\
	}								\
	local_irq_enable();						\
} while (0)

/* --- Time ---------------------------------------------------------------- */

static u64 interrupts[NR_VCPUS];	/* taken by each hart */

static void guest_count_timer(struct pt_regs *regs)
{
	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_TIMER);
	/* The call is also what takes the interrupt away. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, -1UL));
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_TIE));
	WRITE_ONCE(interrupts[0], interrupts[0] + 1);
}

static void guest_time(void)
{
	static const u64 delays[] = { 0, 100, 10000, 50000 };
	int i;

	csr_write(CSR_SIE, IE_TIE);
	for (i = 0; i < 3 * ARRAY_SIZE(delays); i++) {
		u64 before = READ_ONCE(interrupts[0]);
		u64 when = csr_read(CSR_TIME) + delays[i % ARRAY_SIZE(delays)];

		local_irq_disable();
		GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, when));
		while (!(csr_read(CSR_SIP) & IE_TIE))
			asm volatile("wfi");
		GUEST_ASSERT(csr_read(CSR_TIME) >= when);
		local_irq_enable();
		while (READ_ONCE(interrupts[0]) == before)
			cpu_relax();
		GUEST_ASSERT_EQ(READ_ONCE(interrupts[0]), before + 1);
	}

	/* In the past, and long past. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, 0));
	while (READ_ONCE(interrupts[0]) == i)
		cpu_relax();

	/* Replaced before it expires: only the second counts. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, csr_read(CSR_TIME) + 100000000000UL));
	GUEST_ASSERT_ERROR(0, CALL(EXT_TIME, 0, csr_read(CSR_TIME) + 1000));
	GUEST_WAIT_UNTIL(READ_ONCE(interrupts[0]) != i + 1);
	GUEST_ASSERT_EQ(READ_ONCE(interrupts[0]), i + 2);
	GUEST_DONE();
}

TEST_F(sbi, time)
{
	vm_install_interrupt_handler(self->vm, guest_count_timer);
	run_guest(self->vcpu[0], guest_time);
}

/* --- IPI ----------------------------------------------------------------- */

static void guest_count_ipi(struct pt_regs *regs)
{
	u32 me = guest_get_vcpuid();

	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_SOFT);
	csr_clear(CSR_SIP, IE_SIE);
	WRITE_ONCE(interrupts[me], interrupts[me] + 1);
}

static void guest_wait_for_ipis(void)
{
	csr_write(CSR_SIE, IE_SIE);
	GUEST_WAIT_UNTIL(READ_ONCE(guest_stop));
	GUEST_DONE();
}

static void guest_expect_ipi(int hart, u64 count)
{
	while (READ_ONCE(interrupts[hart]) < count)
		cpu_relax();
	GUEST_ASSERT_EQ(READ_ONCE(interrupts[hart]), count);
}

static void guest_ipi(void)
{
	int i;

	/* To itself: pending, since disabled; then taken. */
	csr_write(CSR_SIE, 0);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 1, 0));
	GUEST_ASSERT(csr_read(CSR_SIP) & IE_SIE);
	local_irq_enable();
	csr_write(CSR_SIE, IE_SIE);
	guest_expect_ipi(0, 1);
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_SIE));

	/* To another, which waits for it, named by mask and by base. */
	for (i = 1; i <= 50; i++) {
		GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 2 >> (i & 1), i & 1));
		guest_expect_ipi(1, i);
	}

	/* To all, in the two ways to say so. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 3, 0));
	guest_expect_ipi(0, 2);
	guest_expect_ipi(1, 51);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 0, ALL_HARTS));
	guest_expect_ipi(0, 3);
	guest_expect_ipi(1, 52);

	/* To none. */
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 0, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 1UL << 50, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 1, NO_SUCH_HART));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 1UL << 63, 1));
	/* A base so high that base + bit wraps to a hart that exists. */
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, 0xc, -2UL));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_IPI, 0, -1UL, -3UL));
	guest_expect_ipi(0, 3);
	guest_expect_ipi(1, 52);

	WRITE_ONCE(guest_stop, 1);
	GUEST_ASSERT_ERROR(0, CALL(EXT_IPI, 0, 2, 0));
	GUEST_DONE();
}

TEST_F(sbi, ipi)
{
	struct vcpu_thread other;

	vm_install_interrupt_handler(self->vm, guest_count_ipi);
	vcpu_arch_set_entry_point(self->vcpu[1], guest_wait_for_ipis);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_ipi);
	vcpu_thread_join(&other);
}

/* --- Remote fences ------------------------------------------------------- */

static void guest_fence(void)
{
	static const struct {
		const char *what;
		u64 fid, mask, base, start, size, asid;
		bool at_gva;
	} fences[] = {
		{ "one page", RFENCE_SFENCE_VMA, 2, 0, 0, 4096, 0, true },
		{ "one page, base 1", RFENCE_SFENCE_VMA, 1, 1, 0, 4096, 0, true },
		{ "one byte", RFENCE_SFENCE_VMA, 2, 0, 8, 1, 0, true },
		{ "many pages", RFENCE_SFENCE_VMA, 2, 0, 0, 4096 * 5000UL, 0, true },
		{ "all: start and size 0", RFENCE_SFENCE_VMA, 2, 0, 0, 0 },
		{ "all: size -1", RFENCE_SFENCE_VMA, 2, 0, 0, -1UL, 0, true },
		{ "a range that wraps", RFENCE_SFENCE_VMA, 2, 0, 0, -4096UL, 0, true },
		{ "all harts", RFENCE_SFENCE_VMA, 0, ALL_HARTS, 0, 4096, 0, true },
		{ "all harts and pages", RFENCE_SFENCE_VMA, 0, ALL_HARTS, 0, 0 },
		{ "one page of an ASID", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, 4096, 0, true },
		{ "an ASID", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, 0, 0 },
		{ "an ASID, size -1", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, -1UL, 0, true },
		{ "an ASID, many pages", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, 4096 * 5000UL, 0, true },
	};
	int i, turn = 0, round;
	u64 value;

	for (round = 0; round < 5; round++)
		for (i = 0; i < ARRAY_SIZE(fences); i++) {
			turn ^= 1;
			WRITE_ONCE(*guest_pte, fence_ptes[turn]);
			GUEST_ASSERT_ERROR(0, call6(EXT_RFENCE, fences[i].fid,
						    fences[i].mask, fences[i].base,
						    fences[i].start +
						    (fences[i].at_gva ? fence_gva : 0),
						    fences[i].size, fences[i].asid, 0));
			value = guest_ask();
			__GUEST_ASSERT(value == fence_values[turn],
				       "fence of %s: the other hart reads 0x%lx, not 0x%lx",
				       fences[i].what, value, fence_values[turn]);
		}
	WRITE_ONCE(guest_stop, 1);
	GUEST_DONE();
}

/*
 * A fence is over when its call returns. QEMU empties a hart's TLB whenever the
 * hart leaves a guest, so this shows that the other hart has left it; the fences
 * themselves are compared by nacl_test.
 */
TEST_F(sbi, fence)
{
	struct vcpu_thread other;

	prepare_fence_page(self->vm);
	vcpu_arch_set_entry_point(self->vcpu[1], guest_watch);
	vcpu_args_set(self->vcpu[1], 1, fence_gva);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_fence);
	vcpu_thread_join(&other);
}

/* A function of two instructions that another hart rewrites: li a0, N; ret. */
static u32 *guest_code_page;

/*
 * Calls it only when asked: code that one hart runs while another writes it
 * stays stale for good under QEMU, which gives fence.i nothing to do.
 */
static void guest_caller(void)
{
	u64 (*function)(void) = (void *)guest_code_page;

	while (!READ_ONCE(guest_stop))
		if (guest_is_asked())
			guest_answer(function());
	GUEST_DONE();
}

static void guest_fence_i(void)
{
	u64 n;

	for (n = 1; n < 40; n++) {
		WRITE_ONCE(guest_code_page[0], LI_A0(n));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, RFENCE_FENCE_I,
					   n & 1 ? 2 : 0, n & 1 ? 0 : ALL_HARTS));
		GUEST_ASSERT_EQ(guest_ask(), n);
	}
	WRITE_ONCE(guest_stop, 1);
	GUEST_DONE();
}

TEST_F(sbi, fence_i)
{
	struct vcpu_thread other;
	u32 *code;

	guest_code_page = (u32 *)vm_alloc_page(self->vm);
	code = addr_gva2hva(self->vm, (gva_t)guest_code_page);
	code[0] = LI_A0(0);
	code[1] = RET;
	sync_global_to_guest(self->vm, guest_code_page);

	vcpu_arch_set_entry_point(self->vcpu[1], guest_caller);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_fence_i);
	vcpu_thread_join(&other);
}

/*
 * KVM has always ignored harts of a fence's mask that do not exist, where the
 * specification wants SBI_ERR_INVALID_PARAM: both will do.
 */
static void guest_bad_harts(u64 fid, u64 mask, u64 base)
{
	struct sbiret ret = CALL(EXT_RFENCE, fid, mask, base, 0x1000, 0x1000, 0);

	__GUEST_ASSERT(!ret.error || ret.error == SBI_ERR_INVALID_PARAM,
		       "fence %lu of harts 0x%lx + 0x%lx: error %ld", fid, mask,
		       base, ret.error);
}

static void guest_hostile_fence(void)
{
	u64 fid, i;

	for (fid = RFENCE_FENCE_I; fid <= RFENCE_SFENCE_VMA_ASID; fid++) {
		guest_bad_harts(fid, 0, 0);
		guest_bad_harts(fid, -1UL, 0);
		guest_bad_harts(fid, 1UL << 63, 0);
		guest_bad_harts(fid, 1, NO_SUCH_HART);
		guest_bad_harts(fid, -1UL, -2UL);
		guest_bad_harts(fid, -1UL, 1UL << 63);
	}
	for (fid = RFENCE_HFENCE_FIRST; fid <= RFENCE_HFENCE_LAST; fid++)
		GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED,
				   CALL(EXT_RFENCE, fid, 1, 0, 0, 0x1000, 0));

	/* Odd ranges, odd ASIDs. */
	for (fid = RFENCE_SFENCE_VMA; fid <= RFENCE_SFENCE_VMA_ASID; fid++) {
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 1, 1, -1UL));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, -1UL, 1, -1UL));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, -1UL, -2UL, 1UL << 40));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 1, -2UL, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 0, -2UL, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 0x1000, 0, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 1UL << 62, 0x200000, 0));
	}

	/* More than any queue of a hart that does not run can hold. */
	for (i = 0; i < 1000; i++)
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, RFENCE_SFENCE_VMA, 4, 0,
					   i << 12, 4096));
	GUEST_DONE();
}

static void guest_just_done(void)
{
	GUEST_DONE();
}

TEST_F(sbi, hostile_fence)
{
	run_guest(self->vcpu[0], guest_hostile_fence);
	/* The hart that all those fences were for. */
	run_guest(self->vcpu[2], guest_just_done);
}

/* --- HSM ----------------------------------------------------------------- */

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
	 * No hart has an id above 32 bits, but KVM may look at the low 32 only:
	 * then this is hart 0.
	 */
	status = guest_hart_status(1UL << 32);
	GUEST_ASSERT(status == SBI_ERR_INVALID_PARAM || status == HSM_STARTED);
	error = CALL(EXT_HSM, HSM_START, 1UL << 32, start_pc_gpa, 0).error;
	GUEST_ASSERT(error == SBI_ERR_INVALID_PARAM ||
		     error == SBI_ERR_ALREADY_AVAILABLE);

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

	/* With an interrupt pending, a retentive suspend is over at once. */
	csr_write(CSR_SIE, IE_SIE);
	csr_set(CSR_SIP, IE_SIE);
	GUEST_ASSERT_ERROR(0, CALL(EXT_HSM, HSM_SUSPEND, HSM_SUSPEND_RETENTIVE));
	csr_clear(CSR_SIP, IE_SIE);
	GUEST_DONE();
}

static void set_mp_state(struct kvm_vcpu *vcpu, u32 state)
{
	struct kvm_mp_state mp_state = { .mp_state = state };

	vcpu_mp_state_set(vcpu, &mp_state);
}

static u32 mp_state_of(struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state mp_state;

	vcpu_mp_state_get(vcpu, &mp_state);
	return mp_state.mp_state;
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
	usleep(50000);
	for (i = 0; i < 2; i++) {
		vcpu_thread_stop(&lost[i]);
		TEST_ASSERT_EQ(mp_state_of(self->vcpu[1 + i]), KVM_MP_STATE_RUNNABLE);
		TEST_ASSERT(vcpu_get_stat(self->vcpu[1 + i], exits) > 0,
			    "hart %d did not start", 1 + i);
	}
}

/* --- What user space answers --------------------------------------------- */

static u64 forward_ext;

static void guest_forward(void)
{
	struct sbiret ret;

	ret = call6(forward_ext, 2, 10, 11, 12, 13, 14, -15UL);
	GUEST_ASSERT_EQ(ret.error, SBI_ERR_DENIED);
	GUEST_ASSERT_EQ(ret.value, 0x123456789abcdefL);

	/* User space that does not care has KVM say what it must. */
	ret = CALL(forward_ext, 3);
	GUEST_ASSERT_EQ(ret.error, SBI_ERR_NOT_SUPPORTED);
	GUEST_ASSERT_EQ(ret.value, 0);
	GUEST_DONE();
}

static void expect_forward(struct kvm_vm *vm, struct kvm_vcpu *vcpu, u64 ext)
{
	struct kvm_run *run = vcpu->run;
	int i;

	forward_ext = ext;
	sync_global_to_guest(vm, forward_ext);
	vcpu_arch_set_entry_point(vcpu, guest_forward);

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, ext);
	TEST_ASSERT_EQ(run->riscv_sbi.function_id, 2);
	for (i = 0; i < 5; i++)
		TEST_ASSERT_EQ(run->riscv_sbi.args[i], 10 + i);
	TEST_ASSERT_EQ(run->riscv_sbi.args[5], -15UL);
	run->riscv_sbi.ret[0] = SBI_ERR_DENIED;
	run->riscv_sbi.ret[1] = 0x123456789abcdefL;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.function_id, 3);

	run_until_done(vcpu);
	TEST_ASSERT_EQ(vcpu_get_stat(vcpu, ecall_exit_stat), 3);
}

TEST_F(sbi, experimental)
{
	expect_forward(self->vm, self->vcpu[0], EXT_FORWARD);
}

TEST_F(sbi, vendor)
{
	expect_forward(self->vm, self->vcpu[0], EXT_VENDOR);
}

TEST_F(sbi, debug_console)
{
	u64 reg = RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_DBCN);

	TEST_ASSERT(__vcpu_set_reg(self->vcpu[0], reg, 2) && errno == EINVAL,
		    "an extension was set to 2");
	vcpu_set_reg(self->vcpu[0], reg, 1);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu[0], reg), 1);
	expect_forward(self->vm, self->vcpu[0], EXT_DBCN);
}

static void guest_probe_forwarded(void)
{
	struct sbiret ret = CALL(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT, EXT_FORWARD + 1);

	GUEST_ASSERT_EQ(ret.error, 0);
	GUEST_ASSERT_EQ(ret.value, 77);
	GUEST_DONE();
}

/* Whether such an extension exists, only user space knows. */
TEST_F(sbi, probe_forwarded)
{
	struct kvm_run *run = self->vcpu[0]->run;

	vcpu_arch_set_entry_point(self->vcpu[0], guest_probe_forwarded);
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpu[0], KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, SBI_EXT_BASE);
	TEST_ASSERT_EQ(run->riscv_sbi.function_id, SBI_EXT_BASE_PROBE_EXT);
	TEST_ASSERT_EQ(run->riscv_sbi.args[0], EXT_FORWARD + 1);
	run->riscv_sbi.ret[0] = 0;
	run->riscv_sbi.ret[1] = 77;
	run_until_done(self->vcpu[0]);
}

/* --- System reset and suspend -------------------------------------------- */

static void guest_reset(u64 type, u64 reason)
{
	struct sbiret ret = CALL(EXT_SRST, 0, type, reason);

	/*
	 * Only what does not exist comes back. KVM says "not supported",
	 * the specification "invalid parameter": both will do.
	 */
	GUEST_ASSERT(ret.error == SBI_ERR_NOT_SUPPORTED ||
		     ret.error == SBI_ERR_INVALID_PARAM);
	GUEST_DONE();
}

static void expect_system_event(FIXTURE_DATA(sbi) *self, u64 type, u64 reason, u32 event)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		set_mp_state(self->vcpu[i], KVM_MP_STATE_RUNNABLE);
	vcpu_arch_set_entry_point(vcpu, guest_reset);
	vcpu_args_set(vcpu, 2, type, reason);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_SYSTEM_EVENT);
	TEST_ASSERT_EQ(vcpu->run->system_event.type, event);
	TEST_ASSERT_EQ(vcpu->run->system_event.ndata, 1);
	TEST_ASSERT_EQ(vcpu->run->system_event.data[0], (u32)reason);
	for (i = 0; i < NR_VCPUS; i++)
		TEST_ASSERT_EQ(mp_state_of(self->vcpu[i]), KVM_MP_STATE_STOPPED);
}

TEST_F(sbi, system_reset)
{
	expect_system_event(self, 0, 0, KVM_SYSTEM_EVENT_SHUTDOWN);
	expect_system_event(self, 0, 1, KVM_SYSTEM_EVENT_SHUTDOWN);
	expect_system_event(self, 1, 0, KVM_SYSTEM_EVENT_RESET);
	expect_system_event(self, 2, 1, KVM_SYSTEM_EVENT_RESET);
	/* Both arguments are 32 bits wide. */
	expect_system_event(self, 1UL << 32, -1UL, KVM_SYSTEM_EVENT_SHUTDOWN);
}

static void expect_no_reset(FIXTURE_DATA(sbi) *self, u64 type, u64 reason)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 sp = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.sp));

	vcpu_args_set(vcpu, 2, type, reason);
	run_guest(vcpu, guest_reset);
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), sp);
}

TEST_F(sbi, system_reset_bad_type)
{
	const u64 types[] = { 3, 0x7fffffff, 0x80000000, 0xf0000000, 0xffffffff };
	int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		expect_no_reset(self, types[i], 0);
}

TEST_F(sbi, system_reset_bad_reason)
{
	const u64 reasons[] = { 2, 0x7fffffff, 0xdfffffff };
	int i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		expect_no_reset(self, 0, reasons[i]);
}

static void guest_suspend(void)
{
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, CALL(EXT_SUSP, 0, 1, start_pc_gpa, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_ADDRESS, CALL(EXT_SUSP, 0, 0, UNBACKED_GPA, 0));
	GUEST_ASSERT_ERROR(SBI_ERR_DENIED, CALL(EXT_SUSP, 0, 0, start_pc_gpa, 0));
	GUEST_SYNC(0);
	CALL(EXT_SUSP, 0, 0, start_pc_gpa, start_state_gpa);
	GUEST_FAIL("a suspend came back");
}

TEST_F(sbi, system_suspend)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_run *run = vcpu->run;
	gva_t page = vm_alloc_page(self->vm);
	int i;

	if (__vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_SUSP), 1))
		SKIP(return, "KVM has no SUSP extension");

	start_pc_gpa = addr_gva2gpa(self->vm, page);
	start_state_gpa = 0x1234;
	sync_global_to_guest(self->vm, start_pc_gpa);
	sync_global_to_guest(self->vm, start_state_gpa);
	vcpu_arch_set_entry_point(vcpu, guest_suspend);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "not reached");

	for (i = 1; i < NR_VCPUS; i++)
		set_mp_state(self->vcpu[i], KVM_MP_STATE_STOPPED);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, EXT_SUSP);
	TEST_ASSERT_EQ(run->riscv_sbi.args[1], start_pc_gpa);
}

/* --- Nonsense ------------------------------------------------------------ */

static u64 guest_random_state;

static u64 guest_random(void)
{
	guest_random_state ^= guest_random_state << 13;
	guest_random_state ^= guest_random_state >> 7;
	guest_random_state ^= guest_random_state << 17;
	return guest_random_state;
}

static const u64 hostile[] = {
	0, 1, 2, 3, 7, 63, 64, 4095, 4096, -1UL, -2UL, -4096UL, 1UL << 31,
	1UL << 32, 1UL << 55, 1UL << 56, 1UL << 62, 1UL << 63, ~(1UL << 63),
	UNBACKED_GPA, UNBACKED_GPA + 1, EXT_TIME,
};

static u64 guest_hostile_value(void)
{
	return hostile[guest_random() % ARRAY_SIZE(hostile)];
}

static void guest_fuzz(int rounds)
{
	static const u64 ids[] = {
		SBI_EXT_BASE, EXT_TIME, EXT_IPI, EXT_RFENCE, EXT_HSM, EXT_SRST,
		EXT_DBCN, EXT_SUSP, EXT_STA, EXT_FWFT, EXT_MPXY, SBI_EXT_PMU,
	};

	csr_write(CSR_SIE, 0);
	while (rounds--) {
		u64 ext = ids[guest_random() % ARRAY_SIZE(ids)];
		u64 fid = guest_random() % 10;
		u64 args[6];
		struct sbiret ret;
		int i;

		if (!(guest_random() % 8))
			fid = guest_hostile_value();
		for (i = 0; i < ARRAY_SIZE(args); i++)
			args[i] = guest_hostile_value();
		/* What works as asked: the guest would stop or sleep. */
		if (ext == EXT_HSM && (fid == HSM_STOP || fid == HSM_SUSPEND))
			continue;
		if (ext == EXT_SRST && fid == 0 && (u32)args[0] <= 2)
			continue;

		ret = call6(ext, fid, args[0], args[1], args[2], args[3],
			    args[4], args[5]);
		__GUEST_ASSERT(ret.error <= 0 && ret.error >= SBI_LOWEST_ERROR,
			       "extension 0x%lx, function 0x%lx (0x%lx, 0x%lx, 0x%lx, 0x%lx): error %ld",
			       ext, fid, args[0], args[1], args[2], args[3], ret.error);
	}
	GUEST_DONE();
}

TEST_F(sbi, hostile_arguments)
{
	guest_random_state = (u64)kvm_random_seed << 32 | 0x9e3779b9;
	sync_global_to_guest(self->vm, guest_random_state);
	vcpu_args_set(self->vcpu[0], 1, 5000);
	run_guest(self->vcpu[0], guest_fuzz);
}

TEST_HARNESS_MAIN
