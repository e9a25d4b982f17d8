/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Running a vCPU to its end, in this thread or in one of its own; and what else
 * more than one of the tests needs to know of a guest.
 */
#ifndef SELFTEST_KVM_RISCV_RUN_GUEST_H
#define SELFTEST_KVM_RISCV_RUN_GUEST_H

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/klog.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

/*
 * In seconds. An emulated host is slow, and slower still under a debug kernel;
 * what hangs is ended by whoever runs the program.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

#define SYSLOG_ACTION_READ_ALL	3

/*
 * Which backend is in kvm.ko, by its first line in the kernel's log. A case that
 * asks is one that the C backend (as of Linux 7.3) fails, or does not survive:
 * it says so and is skipped there.
 */
static inline bool is_rust_backend(void)
{
	static char log[1 << 18];
	int len = klogctl(SYSLOG_ACTION_READ_ALL, log, sizeof(log) - 1);

	log[len > 0 ? len : 0] = '\0';
	return strstr(log, "[rust]: hypervisor extension");
}

/* For guests: whether KVM has to do what only the Rust backend promises. */
static bool guest_is_under_rust;

static inline void tell_guest_backend(struct kvm_vm *vm)
{
	guest_is_under_rust = is_rust_backend();
	sync_global_to_guest(vm, guest_is_under_rust);
}

/*
 * Takes the PMU away from a vCPU, so that its guest reads cycle and instret as 0. Returns
 * false if that cannot be.
 */
static inline bool counters_read_zero(struct kvm_vcpu *vcpu)
{
	if (!__vcpu_has_sbi_ext(vcpu, KVM_RISCV_SBI_EXT_PMU))
		return true;
	if (!is_rust_backend())
		return false;
	vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_PMU), 0);
	return true;
}

/* A VM whose guests tell of traps that they do not expect. */
static inline struct kvm_vm *vm_with_vcpus(u32 nr_vcpus, void *guest,
					   struct kvm_vcpu *vcpus[])
{
	struct kvm_vm *vm = vm_create_with_vcpus(nr_vcpus, guest, vcpus);
	u32 i;

	vm_init_vector_tables(vm);
	for (i = 0; i < nr_vcpus; i++)
		vcpu_init_vector_tables(vcpus[i]);
	return vm;
}

/*
 * After an exit that can only be a ucall: whether the guest is done. Fails the
 * test if the guest failed, or left by any other way.
 */
static inline bool guest_is_done(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_DONE:
		return true;
	case UCALL_SYNC:
		return false;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	case UCALL_UNHANDLED:
		TEST_FAIL("the guest took an unexpected trap: %s %lu, pc 0x%lx",
			  uc.args[0] ? "interrupt" : "exception", uc.args[1],
			  vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)));
	default:
		TEST_FAIL("exit reason %u (%s)", vcpu->run->exit_reason,
			  exit_reason_str(vcpu->run->exit_reason));
	}
}

static inline void run_until_done(struct kvm_vcpu *vcpu)
{
	do
		vcpu_run(vcpu);
	while (!guest_is_done(vcpu));
}

/* From the start of `guest` to its end. */
static inline void run_guest(struct kvm_vcpu *vcpu, void *guest)
{
	vcpu_arch_set_entry_point(vcpu, guest);
	run_until_done(vcpu);
}

/* Writes to a file of the kernel's. */
static inline void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_TRUNC);

	TEST_ASSERT(fd >= 0, "%s: %s", name, strerror(errno));
	TEST_ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", name,
		    strerror(errno));
	close(fd);
}

/* The number that `format` finds in a line of a file of the kernel's; 0 without one. */
static inline u64 read_number(const char *name, const char *format)
{
	FILE *file = fopen(name, "r");
	char line[128];
	u64 number = 0;

	TEST_ASSERT(file, "%s: %s", name, strerror(errno));
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, format, &number) == 1)
			break;
	fclose(file);
	return number;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/*
 * Makes huge pages of what is mapped already, whatever it is now, and fails if it cannot.
 * Without that, the kernel takes a huge page where it finds one free, and small ones
 * where it does not.
 */
static inline void make_huge(void *memory, size_t size)
{
	int tries;

	for (tries = 0; madvise(memory, size, MADV_COLLAPSE); tries++) {
		TEST_ASSERT(tries < 20 && (errno == ENOMEM || errno == EAGAIN || errno == EBUSY),
			    "the host has no huge page for %p: MADV_COLLAPSE: %s, %d times",
			    memory, strerror(errno), tries + 1);
		/* What is free may be in pieces, or a small page in use for a moment. */
		write_file("/proc/sys/vm/drop_caches", "1");
		write_file("/proc/sys/vm/compact_memory", "1");
		usleep(50000);
	}
}

/* pthread_create() returns its error, and leaves errno alone. */
static inline pthread_t thread_start(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, run, arg);

	TEST_ASSERT(!error, "pthread_create: %s", strerror(error));
	return thread;
}

/* Takes CPU time from others until it is told to stop. */
static inline void *hog(void *stop)
{
	while (!READ_ONCE(*(bool *)stop))
		;
	return NULL;
}

/* A vCPU that runs beside the test, until it is done or told to stop. */
struct vcpu_thread {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	bool stop;
	bool done;
};

static inline void vcpu_thread_kicked(int signo)
{
}

static inline void *vcpu_thread_main(void *arg)
{
	struct vcpu_thread *t = arg;

	while (!READ_ONCE(t->stop) && !t->done) {
		if (!__vcpu_run(t->vcpu))
			t->done = guest_is_done(t->vcpu);
		else
			TEST_ASSERT(errno == EINTR, "KVM_RUN: %s", strerror(errno));
	}
	return NULL;
}

static inline void vcpu_thread_start(struct vcpu_thread *t, struct kvm_vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = vcpu_thread_kicked };

	t->vcpu = vcpu;
	t->stop = false;
	t->done = false;
	sigaction(SIGUSR1, &action, NULL);
	t->thread = thread_start(vcpu_thread_main, t);
}

/* Waits for the guest to be done. */
static inline void vcpu_thread_join(struct vcpu_thread *t)
{
	pthread_join(t->thread, NULL);
	TEST_ASSERT(t->done, "the vCPU's thread ended before its guest");
}

/* Makes it stop where it is. That takes a signal: the guest may never exit. */
static inline void vcpu_thread_stop(struct vcpu_thread *t)
{
	WRITE_ONCE(t->stop, true);
	WRITE_ONCE(t->vcpu->run->immediate_exit, 1);
	pthread_kill(t->thread, SIGUSR1);
	pthread_join(t->thread, NULL);
	WRITE_ONCE(t->vcpu->run->immediate_exit, 0);
}

/*
 * Whether the guest of a vCPU that runs elsewhere exits that often. On a busy
 * machine it takes a while until its thread gets a CPU.
 */
static inline bool vcpu_exits_reach(struct kvm_vcpu *vcpu, u64 exits)
{
	int tries;

	for (tries = 0; tries < 10000; tries++) {
		if (vcpu_get_stat(vcpu, exits) >= exits)
			return true;
		usleep(1000);
	}
	return false;
}

static inline bool vcpu_has_exited(struct kvm_vcpu *vcpu)
{
	return vcpu_exits_reach(vcpu, 1);
}

/* The id of x1 to x31, by number. */
static inline u64 core_reg(int i)
{
	return __kvm_reg_id(KVM_REG_RISCV_CORE, 0, i, KVM_REG_SIZE_ULONG);
}

/*
 * What a vCPU needs to run code of a selftest, but for where that is: registers that a
 * reset clears, and that the library sets up once.
 */
#define NR_KEPT		5

static inline u64 kept_reg(int i)
{
	const u64 regs[NR_KEPT] = {
		RISCV_CORE_REG(regs.gp),
		RISCV_CORE_REG(regs.sp),
		RISCV_GENERAL_CSR_REG(satp),
		RISCV_GENERAL_CSR_REG(stvec),
		RISCV_GENERAL_CSR_REG(sscratch),
	};

	return regs[i];
}

/* Reads them ahead of a reset. */
static inline void keep_regs(struct kvm_vcpu *vcpu, u64 values[NR_KEPT])
{
	int i;

	for (i = 0; i < NR_KEPT; i++)
		values[i] = vcpu_get_reg(vcpu, kept_reg(i));
}

/* Sets them after it. */
static inline void restore_regs(struct kvm_vcpu *vcpu, const u64 values[NR_KEPT])
{
	int i;

	for (i = 0; i < NR_KEPT; i++)
		vcpu_set_reg(vcpu, kept_reg(i), values[i]);
}

/* The entry of the guest's own page tables that maps `gva`. */
static inline u64 *pte_of(struct kvm_vm *vm, gva_t gva)
{
	gpa_t table = vm->mmu.pgd;
	u64 *pte;
	int level;

	for (level = vm->mmu.pgtable_levels - 1; ; level--) {
		pte = addr_gpa2hva(vm, table);
		pte += (gva >> (PGTBL_PAGE_SIZE_SHIFT + 9 * level)) & 511;
		if (!level)
			return pte;
		table = (*pte & PGTBL_PTE_ADDR_MASK) >> PGTBL_PTE_ADDR_SHIFT
			<< PGTBL_PAGE_SIZE_SHIFT;
	}
}

/* Where the guest itself finds the entry that maps `gva`: in a page of its own. */
static inline u64 *map_pte(struct kvm_vm *vm, gva_t gva)
{
	const gva_t table = 0x50000000;
	gpa_t pte = addr_hva2gpa(vm, pte_of(vm, gva));

	virt_pg_map(vm, table, pte & ~4095UL);
	return (u64 *)(table + (pte & 4095));
}

/* Instructions that a test writes into its guest's memory: li a0, n; ret. */
#define LI_A0(n)	(0x00000513 | (n) << 20)
#define RET		0x00008067

#endif /* SELFTEST_KVM_RISCV_RUN_GUEST_H */
