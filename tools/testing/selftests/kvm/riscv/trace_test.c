// SPDX-License-Identifier: GPL-2.0
/*
 * The trace events of KVM, with the values of their fields.
 *
 * Which break each case notices:
 *
 *  exits
 *	An event that is not traced, or has the value of another field. An exit
 *	that is handled so early that nobody traces it.
 *  interrupts
 *	A change of the level of an interrupt that is not traced.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mount.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "sbi_call.h"
#include "ucall_common.h"

#define TRACING		"/sys/kernel/tracing"
#define MMIO_GVA	0x60000000UL
#define MMIO_GPA	0x123456000UL

#define VCPU_ID		3
#define NR_CALLS	40

/* Two accesses to a device, each an instruction of 4 bytes. */
asm(".pushsection .text\n"
	".option push\n"
	".option norvc\n"
	".balign 4\n"
	"trace_load:\n"
	"	lw	a1, 0(a0)\n"
	"trace_store:\n"
	"	sh	a1, 6(a0)\n"
	"	ret\n"
	".option pop\n"
	".popsection\n");
void trace_load(u64 device);
extern char trace_store[];

/* The same as a hart reports them in HTINST, and as they are in memory. */
#define LOAD_HTINST	0x2583UL
#define LOAD_INSN	0x52583UL
#define STORE_HTINST	0xb01023UL
#define STORE_INSN	0xb51323UL

/* The events as a trace shows them. */
#define EXIT								\
	"kvm_exit: SEPC:0x%lx, SCAUSE:0x%x, STVAL:0x%lx, HTVAL:0x%lx, HTINST:0x%lx\n"
#define VCPU_EXIT	"kvm_vcpu_exit: VCPU: %d, "			\
	"SEPC: 0x%lx, SCAUSE: 0x%x, STVAL: 0x%lx, HTVAL: 0x%lx, HTINST: 0x%lx\n"
#define MMIO_EMULATE	"kvm_mmio_emulate: VCPU: %d, "			\
	"%s MMIO at 0x%lx, len %d, insn 0x%lx, sepc 0x%lx\n"

/* It is none of the program's own memory, which guests have a copy of. */
#define TRACE_SIZE	(1UL << 20)
static char *trace;

static void trace_on(void)
{
	write_file(TRACING "/trace", "");
	write_file(TRACING "/events/kvm/enable", "1");
}

/* Ends the trace, and takes a copy of it. */
static void trace_off(void)
{
	size_t got = 0;
	ssize_t n;
	int fd;

	write_file(TRACING "/events/kvm/enable", "0");
	fd = open(TRACING "/trace", O_RDONLY);
	trace = malloc(TRACE_SIZE);
	TEST_ASSERT(fd >= 0 && trace, "the trace: %s", strerror(errno));
	while ((n = read(fd, trace + got, TRACE_SIZE - 1 - got)) > 0)
		got += n;
	close(fd);
	TEST_ASSERT(got > 0 && got < TRACE_SIZE - 1, "%lu bytes of trace", got);
	trace[got] = '\0';
}

static int count(const char *text)
{
	const char *at;
	int n = 0;

	for (at = trace; (at = strstr(at, text)); at += strlen(text))
		n++;
	return n;
}

/* How often the trace has that text. */
static int __printf(1, 2) traced(const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return count(text);
}

FIXTURE(trace)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_SETUP(trace)
{
	TEST_ASSERT(!mount("tracefs", TRACING, "tracefs", 0, NULL) || errno == EBUSY,
		    "tracefs: %s", strerror(errno));
	self->vm = vm_create(1);
	self->vcpu = vm_vcpu_add(self->vm, VCPU_ID, NULL);
	vm_init_vector_tables(self->vm);
	vcpu_init_vector_tables(self->vcpu);
	virt_pg_map(self->vm, MMIO_GVA, MMIO_GPA);
	/* One buffer has it all, in order. */
	pin_self_to_cpu(0);
}

FIXTURE_TEARDOWN(trace)
{
	free(trace);
	kvm_vm_free(self->vm);
}

static void guest_exits(void)
{
	int i;

	for (i = 0; i < NR_CALLS; i++)
		CALL(SBI_EXT_BASE, 0);
	trace_load(MMIO_GVA);
	GUEST_DONE();
}

static void expect_mmio(struct kvm_vcpu *vcpu, gpa_t gpa, bool write)
{
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(vcpu->run->mmio.phys_addr, gpa);
	TEST_ASSERT_EQ(vcpu->run->mmio.is_write, write);
}

static void check_access(const char *what, u64 pc, int scause, u64 offset, int len,
			 u64 htinst, u64 insn)
{
	const u64 gva = MMIO_GVA + offset, gpa = MMIO_GPA + offset;
	int emulated;

	TEST_ASSERT(traced(EXIT, pc, scause, gva, gpa >> 2, htinst) == 1, "kvm_exit of the %s",
		    what);
	TEST_ASSERT(traced(VCPU_EXIT, VCPU_ID, pc, scause, gva, gpa >> 2, htinst) == 1,
		    "kvm_vcpu_exit of the %s", what);
	/* KVM may have the instruction from HTINST or from memory. */
	emulated = traced(MMIO_EMULATE, VCPU_ID, what, gpa, len, htinst, pc);
	emulated += traced(MMIO_EMULATE, VCPU_ID, what, gpa, len, insn, pc);
	TEST_ASSERT(emulated == 1, "%d times kvm_mmio_emulate of the %s", emulated, what);
	/* The guest goes on behind it. */
	TEST_ASSERT(traced("kvm_entry: PC: 0x%016lx\n", pc + 4) >= 1, "no kvm_entry behind the %s",
		    what);
}

TEST_F(trace, exits)
{
	const u64 load = (u64)trace_load, store = (u64)trace_store;
	struct kvm_vcpu *vcpu = self->vcpu;

	vcpu_arch_set_entry_point(vcpu, guest_exits);
	trace_on();
	expect_mmio(vcpu, MMIO_GPA, false);
	expect_mmio(vcpu, MMIO_GPA + 6, true);
	run_until_done(vcpu);
	trace_off();

	check_access("Load", load, EXC_LOAD_GUEST_PAGE_FAULT, 0, 4, LOAD_HTINST, LOAD_INSN);
	check_access("Store", store, EXC_STORE_GUEST_PAGE_FAULT, 6, 2, STORE_HTINST, STORE_INSN);
	TEST_ASSERT(traced("kvm_entry: PC: 0x%016lx\n", (u64)guest_exits) >= 1,
		    "no kvm_entry at the start");

	/* Each call, and the one by which the guest says that it is done. */
	TEST_ASSERT_EQ(traced(", SCAUSE: 0x%x, STVAL: 0x0, HTVAL: 0x0,", EXC_SUPERVISOR_SYSCALL),
		       NR_CALLS + 1);
	TEST_ASSERT_EQ(traced(", SCAUSE:0x%x, STVAL:0x0, HTVAL:0x0,", EXC_SUPERVISOR_SYSCALL),
		       NR_CALLS + 1);
	TEST_ASSERT_EQ(count("kvm_entry: "), count("kvm_exit: "));
}

TEST_F(trace, interrupts)
{
	struct kvm_interrupt on = { .irq = KVM_INTERRUPT_SET };
	struct kvm_interrupt off = { .irq = KVM_INTERRUPT_UNSET };

	trace_on();
	vcpu_ioctl(self->vcpu, KVM_INTERRUPT, &on);
	vcpu_ioctl(self->vcpu, KVM_INTERRUPT, &off);
	vcpu_ioctl(self->vcpu, KVM_INTERRUPT, &on);
	trace_off();
	/* The external interrupt of VS-level. */
	TEST_ASSERT_EQ(traced("kvm_vcpu_irq: VCPU: %d, IRQ: 10, level: 1\n", VCPU_ID), 2);
	TEST_ASSERT_EQ(traced("kvm_vcpu_irq: VCPU: %d, IRQ: 10, level: 0\n", VCPU_ID), 1);
	TEST_ASSERT_EQ(count("kvm_vcpu_irq: "), 3);
}

TEST_HARNESS_MAIN
