// SPDX-License-Identifier: GPL-2.0
/*
 * The extensions of SBI v0.1, which a kernel may have been built without: then
 * there is no register for them, and all calls are refused.
 */
#include <sched.h>

#include "ask_guest.h"
#include "fenced_page.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

enum {
	SET_TIMER, CONSOLE_PUTCHAR, CONSOLE_GETCHAR, CLEAR_IPI, SEND_IPI,
	REMOTE_FENCE_I, REMOTE_SFENCE_VMA, REMOTE_SFENCE_VMA_ASID, SHUTDOWN,
};

#define NR_VCPUS	3
#define ALL		(BIT(NR_VCPUS) - 1)

/* They return a0 and leave the rest alone. */
static long legacy(u64 ext, u64 arg0, u64 arg1, u64 arg2, u64 arg3)
{
	register u64 a0 asm("a0") = arg0;
	register u64 a1 asm("a1") = arg1;
	register u64 a2 asm("a2") = arg2;
	register u64 a3 asm("a3") = arg3;
	register u64 a7 asm("a7") = ext;

	asm volatile("ecall" : "+r" (a0), "+r" (a1) : "r" (a2), "r" (a3), "r" (a7)
		     : "memory");
	if (a0 != (u64)SBI_ERR_NOT_SUPPORTED)
		__GUEST_ASSERT(a1 == arg1, "call %lu: a1 was 0x%lx and is 0x%lx",
			       ext, arg1, a1);
	return a0;
}

FIXTURE(legacy)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[NR_VCPUS];
};

static u64 v01_is_there;

/* The register that has it on does not say that the host's kernel serves it. */
static void guest_probe(void)
{
	v01_is_there = sbi_ecall(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT,
				 SET_TIMER, 0, 0, 0, 0, 0).value;
	GUEST_DONE();
}

static bool has_v01(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_with_vcpus(1, NULL, &vcpu);

	run_guest(vcpu, guest_probe);
	sync_global_from_guest(vm, v01_is_there);
	kvm_vm_free(vm);
	return v01_is_there;
}

FIXTURE_SETUP(legacy)
{
	self->vm = vm_with_vcpus(NR_VCPUS, NULL, self->vcpu);
}

FIXTURE_TEARDOWN(legacy)
{
	kvm_vm_free(self->vm);
}

#define REQUIRE_V01()							\
do {									\
	if (!has_v01())							\
		SKIP(return, "the host's kernel has no SBI v0.1");	\
} while (0)

static void run_until_sync(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_SYNC);
}

static void guest_none(void)
{
	u64 ext;

	for (ext = SET_TIMER; ext <= SHUTDOWN; ext++)
		GUEST_ASSERT_EQ(legacy(ext, 0, 0, 0, 0), SBI_ERR_NOT_SUPPORTED);
	GUEST_DONE();
}

TEST_F(legacy, disabled)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_V01), 0);
	run_guest(vcpu, guest_none);
}

static void guest_timer(void)
{
	u64 when = csr_read(CSR_TIME) + 10000;

	csr_write(CSR_SIE, IE_TIE);
	GUEST_ASSERT_EQ(legacy(SET_TIMER, when, 0x51, 0, 0), 0);
	while (!(csr_read(CSR_SIP) & IE_TIE))
		asm volatile("wfi");
	GUEST_ASSERT(csr_read(CSR_TIME) >= when);
	GUEST_ASSERT_EQ(legacy(SET_TIMER, -1UL, 0, 0, 0), 0);
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_TIE));
	GUEST_DONE();
}

TEST_F(legacy, timer)
{
	REQUIRE_V01();
	run_guest(self->vcpu[0], guest_timer);
}

static void guest_console(void)
{
	legacy(CONSOLE_PUTCHAR, 'K', 0, 0, 0);
	GUEST_ASSERT_EQ(legacy(CONSOLE_GETCHAR, 0, 0, 0, 0), 'V');
	GUEST_ASSERT_EQ(legacy(CONSOLE_GETCHAR, 0, 0, 0, 0), -1);
	GUEST_DONE();
}

static void expect_console(struct kvm_vcpu *vcpu, u64 ext, u64 arg, long answer)
{
	struct kvm_run *run = vcpu->run;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	TEST_ASSERT_EQ(run->riscv_sbi.extension_id, ext);
	TEST_ASSERT_EQ(run->riscv_sbi.args[0], arg);
	run->riscv_sbi.ret[0] = answer;
}

TEST_F(legacy, console)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	REQUIRE_V01();
	vcpu_arch_set_entry_point(vcpu, guest_console);
	expect_console(vcpu, CONSOLE_PUTCHAR, 'K', 0);
	expect_console(vcpu, CONSOLE_GETCHAR, 0, 'V');
	expect_console(vcpu, CONSOLE_GETCHAR, 0, -1);
	run_until_done(vcpu);
}

static u64 interrupts[NR_VCPUS];

static void guest_count_ipi(struct pt_regs *regs)
{
	u32 me = guest_get_vcpuid();

	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_SOFT);
	csr_clear(CSR_SIP, IE_SIE);
	WRITE_ONCE(interrupts[me], interrupts[me] + 1);
}

static void guest_wait_for_ipis(void)
{
	local_irq_enable();
	csr_write(CSR_SIE, IE_SIE);
	while (!READ_ONCE(guest_stop))
		cpu_relax();
	GUEST_DONE();
}

static void expect_ipis(u64 first, u64 second, u64 third)
{
	const u64 counts[] = { first, second, third };
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		while (READ_ONCE(interrupts[i]) < counts[i])
			cpu_relax();
		GUEST_ASSERT_EQ(READ_ONCE(interrupts[i]), counts[i]);
	}
}

static void guest_ipi(void)
{
	long pending;
	u64 mask;

	csr_write(CSR_SIE, 0);
	mask = ALL;
	GUEST_ASSERT_EQ(legacy(SEND_IPI, (u64)&mask, 0x99, 0, 0), 0);
	GUEST_ASSERT(csr_read(CSR_SIP) & IE_SIE);
	/* Taken back. The C backend does not tell that there was one. */
	pending = legacy(CLEAR_IPI, 0, 0, 0, 0);
	if (guest_is_under_rust || pending)
		GUEST_ASSERT_EQ(pending, 1);
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_SIE));
	GUEST_ASSERT_EQ(legacy(CLEAR_IPI, 0, 0, 0, 0), 0);

	local_irq_enable();
	csr_write(CSR_SIE, IE_SIE);
	expect_ipis(0, 1, 1);
	mask = BIT(2);
	GUEST_ASSERT_EQ(legacy(SEND_IPI, (u64)&mask, 0, 0, 0), 0);
	expect_ipis(0, 1, 2);
	mask = BIT(0) | BIT(50);
	legacy(SEND_IPI, (u64)&mask, 0, 0, 0);
	expect_ipis(1, 1, 2);
	/* No vector names all. */
	GUEST_ASSERT_EQ(legacy(SEND_IPI, 0, 0, 0, 0), 0);
	expect_ipis(2, 2, 3);

	GUEST_ASSERT_EQ(legacy(REMOTE_FENCE_I, (u64)&mask, 1, 2, 3), 0);
	GUEST_ASSERT_EQ(legacy(REMOTE_FENCE_I, 0, 1, 2, 3), 0);
	WRITE_ONCE(guest_stop, 1);
	GUEST_DONE();
}

TEST_F(legacy, ipi)
{
	struct vcpu_thread other[NR_VCPUS];
	int i;

	REQUIRE_V01();
	tell_guest_backend(self->vm);
	vm_install_interrupt_handler(self->vm, guest_count_ipi);
	for (i = 1; i < NR_VCPUS; i++) {
		vcpu_arch_set_entry_point(self->vcpu[i], guest_wait_for_ipis);
		vcpu_thread_start(&other[i], self->vcpu[i]);
	}
	run_guest(self->vcpu[0], guest_ipi);
	for (i = 1; i < NR_VCPUS; i++)
		vcpu_thread_join(&other[i]);
}

static u64 *harts;	/* a page of its own, which the host fills */

static void guest_fresh_vector(void)
{
	csr_write(CSR_SIE, 0);
	GUEST_ASSERT_EQ(legacy(SEND_IPI, (u64)harts, 0, 0, 0), 0);
	GUEST_ASSERT(csr_read(CSR_SIP) & IE_SIE);
	GUEST_ASSERT_EQ(*harts, BIT(0));
	GUEST_DONE();
}

/* The vector is where the guest has not been yet: KVM has to fault it in. */
TEST_F(legacy, fresh_vector)
{
	REQUIRE_V01();
	if (!is_rust_backend())
		SKIP(return, "the C backend raises a guest-page fault in a guest, which has none");
	harts = (u64 *)vm_alloc_page(self->vm);
	*(u64 *)addr_gva2hva(self->vm, (u64)harts) = BIT(0);
	sync_global_to_guest(self->vm, harts);
	run_guest(self->vcpu[0], guest_fresh_vector);
}

/* So many that a vector of them has a second word. */
#define MANY_VCPUS	66

static void guest_sleep(void)
{
	csr_write(CSR_SIE, IE_SIE);
	asm volatile("wfi");
	GUEST_SYNC(0);
	GUEST_DONE();
}

static void guest_send_two_words(void)
{
	GUEST_SYNC(*harts);
	GUEST_ASSERT_EQ(legacy(SEND_IPI, (u64)harts, 0, 0, 0), 0);
	GUEST_DONE();
}

static void guest_look_at_harts(void)
{
	GUEST_SYNC(*harts);
	GUEST_DONE();
}

/* Runs the second vCPU of the first VM until it is woken, then the other VM. */
static void *intruder_thread(void *vcpus)
{
	const struct sched_param highest = { .sched_priority = 50 };
	struct kvm_vcpu **vcpu = vcpus;

	pin_self_to_cpu(0);
	TEST_ASSERT(!sched_setscheduler(0, SCHED_FIFO, &highest), "SCHED_FIFO: %s",
		    strerror(errno));
	run_until_sync(vcpu[0]);
	run_until_sync(vcpu[1]);
	return NULL;
}

/*
 * Between two reads of the guest's memory on its behalf, the thread loses its
 * CPU to one that runs another VM, where the same address is other memory.
 */
TEST_F(legacy, another_vm_in_between)
{
	struct kvm_vcpu *vcpu[2][MANY_VCPUS], *intruder[2];
	const u64 words[2][2] = { { BIT(1), BIT(1) }, { BIT(1), BIT(0) } };
	struct kvm_vm *vm[2];
	pthread_t thread;
	u64 *page;
	int i;

	REQUIRE_V01();
	if (!is_rust_backend())
		SKIP(return, "the C backend reads no more than one word of a vector of harts");
	for (i = 0; i < 2; i++) {
		vm[i] = vm_create_with_vcpus(MANY_VCPUS, NULL, vcpu[i]);
		page = (u64 *)vm_alloc_page(vm[i]);
		TEST_ASSERT(!i || page == harts, "the VMs differ");
		harts = page;
		page = addr_gva2hva(vm[i], (u64)harts);
		page[0] = words[i][0];
		page[1] = words[i][1];
		sync_global_to_guest(vm[i], harts);
	}
	vcpu_arch_set_entry_point(vcpu[0][0], guest_send_two_words);
	vcpu_arch_set_entry_point(vcpu[0][1], guest_sleep);
	vcpu_arch_set_entry_point(vcpu[1][0], guest_look_at_harts);
	pin_self_to_cpu(0);
	run_until_sync(vcpu[0][0]);

	intruder[0] = vcpu[0][1];
	intruder[1] = vcpu[1][0];
	thread = thread_start(intruder_thread, intruder);
	/* Its thread goes first on this CPU, unless it sleeps. */
	while (!vcpu_get_stat(vcpu[0][1], wfi_exit_stat))
		sched_yield();

	run_until_done(vcpu[0][0]);
	pthread_join(thread, NULL);
	TEST_ASSERT(vcpu_get_reg(vcpu[0][65], RISCV_GENERAL_CSR_REG(sip)) & IE_SIE,
		    "hart 65 has not been interrupted");
	TEST_ASSERT(!(vcpu_get_reg(vcpu[0][64], RISCV_GENERAL_CSR_REG(sip)) & IE_SIE),
		    "hart 64 has been, as the memory of the other VM has it");
	for (i = 0; i < 2; i++)
		kvm_vm_free(vm[i]);
}

static void guest_fence(void)
{
	const u64 second = BIT(1);
	int i;

	for (i = 0; i < 100; i++) {
		u64 vector = i & 2 ? 0 : (u64)&second;
		u64 start = i & 4 ? 0 : fence_gva, size = i & 4 ? 0 : 4096;
		u64 now = i & 1;

		WRITE_ONCE(*guest_pte, fence_ptes[now]);
		GUEST_ASSERT_EQ(legacy(i & 8 ? REMOTE_SFENCE_VMA : REMOTE_SFENCE_VMA_ASID,
				       vector, start, size, 0), 0);
		GUEST_ASSERT_EQ(guest_ask(), fence_values[now]);
	}
	WRITE_ONCE(guest_stop, 1);
	GUEST_DONE();
}

/*
 * What the other hart reads after the call is what the new mapping has. On QEMU it
 * is enough that the hart has left the guest: see `fence` of sbi_rfence_test.
 */
TEST_F(legacy, sfence)
{
	struct vcpu_thread other;

	REQUIRE_V01();
	prepare_fence_page(self->vm);
	vcpu_arch_set_entry_point(self->vcpu[1], guest_watch);
	vcpu_args_set(self->vcpu[1], 1, fence_gva);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_fence);
	vcpu_thread_join(&other);
}

#define NOWHERE_GVA	0x60000000UL
#define DEVICE_GVA	0x70000000UL
#define DEVICE_GPA	0x10000000UL

static u64 expected_cause, expected_stval;
static u64 faults;

static void guest_expect_fault(struct pt_regs *regs)
{
	GUEST_ASSERT_EQ(regs->cause, expected_cause);
	GUEST_ASSERT_EQ(regs->badaddr, expected_stval);
	/* The call has not happened: the ECALL itself faults. */
	GUEST_ASSERT_EQ(*(u32 *)regs->epc, 0x73);
	regs->epc += 4;
	faults++;
}

static void guest_bad_vectors(void)
{
	static const u64 calls[] = {
		SEND_IPI, REMOTE_FENCE_I, REMOTE_SFENCE_VMA, REMOTE_SFENCE_VMA_ASID,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		/* What the guest has not mapped. */
		expected_cause = EXC_LOAD_PAGE_FAULT;
		expected_stval = NOWHERE_GVA + 8 * i;
		legacy(calls[i], expected_stval, 0, 0, 0);
		GUEST_ASSERT_EQ(faults, 2 * i + 1);
		/* What is no memory. */
		expected_cause = EXC_LOAD_ACCESS;
		expected_stval = DEVICE_GVA + 8 * i;
		legacy(calls[i], expected_stval, 0, 0, 0);
		GUEST_ASSERT_EQ(faults, 2 * i + 2);
	}
	GUEST_DONE();
}

TEST_F(legacy, bad_vectors)
{
	REQUIRE_V01();
	if (!is_rust_backend())
		SKIP(return, "the C backend raises a guest-page fault in a guest, which has none");
	virt_map(self->vm, DEVICE_GVA, DEVICE_GPA, 1);
	vm_install_exception_handler(self->vm, EXC_LOAD_PAGE_FAULT, guest_expect_fault);
	vm_install_exception_handler(self->vm, EXC_LOAD_ACCESS, guest_expect_fault);
	run_guest(self->vcpu[0], guest_bad_vectors);
}

static void guest_shutdown(void)
{
	legacy(SHUTDOWN, 0, 0, 0, 0);
	GUEST_ASSERT(false);
}

TEST_F(legacy, shutdown)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_mp_state state;
	int i;

	REQUIRE_V01();
	vcpu_arch_set_entry_point(vcpu, guest_shutdown);
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_SYSTEM_EVENT);
	TEST_ASSERT_EQ(vcpu->run->system_event.type, KVM_SYSTEM_EVENT_SHUTDOWN);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_ioctl(self->vcpu[i], KVM_GET_MP_STATE, &state);
		TEST_ASSERT_EQ(state.mp_state, KVM_MP_STATE_STOPPED);
	}
}

TEST_HARNESS_MAIN
