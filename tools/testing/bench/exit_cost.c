// SPDX-License-Identifier: GPL-2.0
/*
 * What one guest exit costs, in ticks of the host's time CSR.
 *
 * Runs on the host, one vCPU, without a library: the guest is a few loops of
 * bare assembly. Each case is such a loop, assembled twice: once with the
 * instruction that exits, once with a nop in its place. The difference of the
 * two times is the cost of the exits alone; the loop, the final exit to user
 * space and the reads of the clock cancel out.
 *
 * Each loop is run several times and the shortest time wins, since the host's
 * timer interrupt can only make a run longer. On a host that is emulated with
 * counted instructions, ticks are instructions divided by a constant, and the
 * result repeats exactly.
 *
 * Output, one line a case: exit_cost NAME TICKS EXITS TITLE
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

/*
 * 1000 exits of the dearest kind stay below the distance of two timer
 * interrupts (4 ms, 4 million counted instructions), so that some of the runs
 * see none.
 */
#define EXITS		1000
#define RUNS		25

#define PAGE_BYTES	4096UL
#define CODE_BYTES	PAGE_BYTES
#define STR_(x)		#x
#define STR(x)		STR_(x)

/* Guest physical layout; plain numbers, the assembler reads them too. */
#define CODE_GPA	0x80000000
#define DATA_GPA	0x80200000
#define MMIO_GPA	0x10000000

/* An SBI extension that KVM forwards to user space. */
#define SBI_EXPERIMENTAL 0x08000000

enum { CODE_SLOT, DATA_SLOT };

/*
 * The guest starts by asking user space what to do: it gets the address of a
 * loop in a0 and the number of rounds in a1.
 */
asm(".pushsection guest_code, \"a\"\n"
    ".option push\n"
    ".option norvc\n"
    ".option norelax\n"
    ".balign 4\n"
    "guest_start:\n"
    "	li	a7, " STR(SBI_EXPERIMENTAL) "\n"
    "	ecall\n"
    "	mv	s0, a1\n"
    "	jr	a0\n"
    ".option pop\n"
    ".popsection\n");

#define GUEST_LOOP(label, init, before, insn, after)			\
	asm(".pushsection guest_code, \"a\"\n"			\
	    ".option push\n"						\
	    ".option norvc\n"						\
	    ".option norelax\n"						\
	    #label ":\n"						\
	    init "\n"							\
	    "1:\n"							\
	    before "\n"							\
	    insn "\n"							\
	    after "\n"							\
	    "	addi	s0, s0, -1\n"					\
	    "	bnez	s0, 1b\n"					\
	    "	j	guest_start\n"					\
	    ".option pop\n"						\
	    ".popsection\n");						\
	extern const char label[]

/*
 * All cases: CASE(name, title, prepare, init, before, insn, after). A round of
 * the loop is `before`, `insn`, `after`; `init` is done once, ahead of it.
 * `prepare`, if any, is what the host does before each run, not timed.
 */
#define CASES(CASE)							\
	/* Base extension, get_spec_version: there is no cheaper call. */ \
	CASE(sbi_call, "SBI call finished in the kernel", NULL,		\
	     "li a7, 0x10; li a6, 0", "", "ecall", "")			\
	/* Time extension: set to a time that never comes. */		\
	CASE(set_timer, "set_timer", NULL,				\
	     "li a7, 0x54494d45; li a6, 0", "li a0, -1", "ecall", "")	\
	/* IPI extension, hart 0; the guest clears what it has got. */	\
	CASE(self_ipi, "IPI to itself", NULL,				\
	     "li a7, 0x735049; li a6, 0", "li a0, 1; li a1, 0",		\
	     "ecall", "csrci sip, 2")					\
	/* A store where no memory is: user space is the device. */	\
	CASE(mmio_store, "MMIO store to user space", NULL,		\
	     "li s1, " STR(MMIO_GPA), "", "sw zero, 0(s1)", "")		\
	/* The first touch of a page that the host has ready. */	\
	CASE(fault_4k, "4K G-stage fault", unmap_data,			\
	     "li s1, " STR(DATA_GPA) "; li s2, 4096", "",		\
	     "ld t0, 0(s1)", "add s1, s1, s2")

#define CASE_LOOPS(name, title, prepare, init, before, insn, after)	\
	GUEST_LOOP(name##_loop, init, before, insn, after);		\
	GUEST_LOOP(name##_base, init, before, "nop", after);
CASES(CASE_LOOPS)

extern const char guest_start[];
/* The linker names the ends of a section whose name is an identifier. */
extern const char __start_guest_code[], __stop_guest_code[];

static int vm, vcpu;
static struct kvm_run *run;
static void *data;

static int must_ioctl(int fd, unsigned long request, void *arg,
		      const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", what);
	return ret;
}

static void *host_pages(size_t bytes)
{
	/* Populated: the fault that is measured is the G-stage's alone. */
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap of %zu bytes of guest memory", bytes);
	/* Fails where the kernel has no huge pages to avoid. */
	if (madvise(p, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		err(1, "madvise(MADV_NOHUGEPAGE)");
	memset(p, 0x5a, bytes);
	return p;
}

static void set_slot(unsigned int slot, uint64_t gpa, void *hva, size_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	must_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region,
		   "KVM_SET_USER_MEMORY_REGION");
}

static uint64_t gpa_of(const char *label)
{
	return CODE_GPA + (label - __start_guest_code);
}

static uint64_t read_time(void)
{
	uint64_t t;

	asm volatile("rdtime %0" : "=r"(t) :: "memory");
	return t;
}

static int is_done(void)
{
	return run->exit_reason == KVM_EXIT_RISCV_SBI &&
	       run->riscv_sbi.extension_id == SBI_EXPERIMENTAL;
}

/* From one question of the guest to the next. Returns the time it took. */
static uint64_t run_loop(const char *label)
{
	uint64_t start;

	run->riscv_sbi.ret[0] = gpa_of(label);
	run->riscv_sbi.ret[1] = EXITS;

	start = read_time();
	do {
		if (ioctl(vcpu, KVM_RUN, NULL))
			err(1, "KVM_RUN");
	} while (run->exit_reason == KVM_EXIT_MMIO);
	start = read_time() - start;

	if (!is_done())
		errx(1, "the guest left with exit reason %u", run->exit_reason);
	return start;
}

/* Delete and create the slot: its pages are no longer in the G-stage table. */
static void unmap_data(void)
{
	set_slot(DATA_SLOT, DATA_GPA, data, 0);
	set_slot(DATA_SLOT, DATA_GPA, data, EXITS * PAGE_BYTES);
}

static uint64_t shortest(const char *label, void (*prepare)(void))
{
	uint64_t best = UINT64_MAX;
	int i;

	for (i = 0; i < RUNS; i++) {
		uint64_t t;

		if (prepare)
			prepare();
		t = run_loop(label);
		if (t < best)
			best = t;
	}
	return best;
}

static const struct exit_case {
	const char *name;
	const char *title;
	void (*prepare)(void);
	const char *loop;
	const char *base;
} cases[] = {
#define CASE_ENTRY(name, title, prepare, init, before, insn, after)	\
	{ #name, title, prepare, name##_loop, name##_base },
	CASES(CASE_ENTRY)
};

static void create_guest(void)
{
	struct kvm_one_reg pc;
	uint64_t entry = gpa_of(guest_start);
	void *code;
	size_t code_bytes = __stop_guest_code - __start_guest_code;
	int kvm, run_bytes;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		err(1, "/dev/kvm: is kvm.ko loaded, and does the hart have the H extension?");
	vm = must_ioctl(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");

	code = host_pages(CODE_BYTES);
	if (code_bytes > CODE_BYTES)
		errx(1, "the guest's loops take %zu bytes, CODE_BYTES is %lu",
		     code_bytes, CODE_BYTES);
	memcpy(code, __start_guest_code, code_bytes);
	set_slot(CODE_SLOT, CODE_GPA, code, CODE_BYTES);

	data = host_pages(EXITS * PAGE_BYTES);
	set_slot(DATA_SLOT, DATA_GPA, data, EXITS * PAGE_BYTES);

	vcpu = must_ioctl(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	run_bytes = must_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL,
			       "KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap of kvm_run");

	pc.id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE |
		KVM_REG_RISCV_CORE_REG(regs.pc);
	pc.addr = (uintptr_t)&entry;
	must_ioctl(vcpu, KVM_SET_ONE_REG, &pc, "KVM_SET_ONE_REG of pc");

	if (ioctl(vcpu, KVM_RUN, NULL))
		err(1, "first KVM_RUN");
	if (!is_done())
		errx(1, "the guest did not start: exit reason %u",
		     run->exit_reason);
}

int main(void)
{
	size_t i;

	create_guest();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct exit_case *c = &cases[i];
		uint64_t loop = shortest(c->loop, c->prepare);
		uint64_t base = shortest(c->base, NULL);

		printf("exit_cost %s %llu %d %s\n", c->name,
		       (unsigned long long)(loop - base), EXITS, c->title);
		fflush(stdout);
	}
	return 0;
}
