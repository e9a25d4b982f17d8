// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation of the kernel, and every copy from and to user space, that
 * fails on behalf of this thread has to be answered: by an error of the system
 * call, or by doing without. And the next call, undisturbed, has to work.
 *
 * Each case does something under /proc/thread-self/fail-nth, which makes the
 * n-th of them fail, for n from 1 until there is no n-th any more. It needs a
 * kernel with fault injection; leaks and splats are for the kernel to notice.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

/* More than any of the operations here allocates or copies. */
#define MAX_FAULTS	2000

#define DATA_SLOT	10
#define DATA_GPA	0x100000000UL
#define DATA_PAGES	8

static int fail_nth_fd = -1;

static void write_setting(const char *what, const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", what, name);
	fd = open(path, O_WRONLY);
	TEST_ASSERT(fd >= 0 && write(fd, value, strlen(value)) > 0, "%s: %s", path,
		    strerror(errno));
	close(fd);
}

static void setup(void)
{
	static const char *const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	int i;

	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	__TEST_REQUIRE(fail_nth_fd >= 0, "the kernel has no fault injection");
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		/* No trace of each in the log: that would look like a splat. */
		write_setting(kinds[i], "verbose", "0");
		/* Those that may sleep are nearly all. */
		if (i < 2)
			write_setting(kinds[i], "ignore-gfp-wait", "N");
	}
	write_setting("fail_page_alloc", "ignore-gfp-highmem", "N");
	write_setting("fail_page_alloc", "min-order", "0");
}

static void fail_nth(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	/* What fails may be the copy of this very write. */
	while (write(fail_nth_fd, text, len) != len)
		TEST_ASSERT(!n && errno == EFAULT, "fail-nth: %s", strerror(errno));
}

/* Ends it. Returns whether the n-th did not come. */
static bool no_fault_left(void)
{
	char text[16] = "";
	ssize_t len = pread(fail_nth_fd, text, sizeof(text) - 1, 0);

	/* The n-th may have been the copy that this itself does. */
	TEST_ASSERT(len > 0 || errno == EFAULT, "fail-nth: %s", strerror(errno));
	fail_nth(0);
	return len < 0 || atoi(text) != 0;
}

static void expect_answer(const char *what, int n, long ret, int error)
{
	if (ret < 0)
		TEST_ASSERT(error == ENOMEM || error == EFAULT || error == EAGAIN,
			    "%s, fault %d: errno %d (%s)", what, n, error,
			    strerror(error));
}

/*
 * Does `op` with each fault, after `prepare` and ahead of `finish`, which are
 * not disturbed. `op` returns what a system call returns.
 */
#define FOR_EACH_FAULT(what, prepare, op, finish)				\
do {										\
	int __n, __faults = 0;							\
										\
	for (__n = 1; ; __n++) {						\
		long __ret;							\
		int __error;							\
		bool __done;							\
										\
		TEST_ASSERT(__n < MAX_FAULTS, what ": no end of faults");	\
		prepare;							\
		fail_nth(__n);							\
		__ret = (op);							\
		__error = errno;						\
		__done = no_fault_left();					\
		expect_answer(what, __n, __ret, __error);			\
		__faults += __ret < 0;						\
		finish;								\
		if (__done) {							\
			TEST_ASSERT(__ret >= 0, what ": failed by itself: %s",	\
				    strerror(__error));				\
			break;							\
		}								\
	}									\
	TEST_ASSERT(__faults > 0, what ": none of %d faults was noticed", __n - 1); \
	pr_info(what ": %d faults, %d errors\n", __n - 1, __faults);		\
} while (0)

static volatile u64 *guest_data = (void *)0x40000000UL;

static void guest_touch(void)
{
	int i;

	for (i = 0; i < DATA_PAGES; i++)
		guest_data[i * 512] += i;
	GUEST_SYNC(0);
	for (i = 0; i < DATA_PAGES; i++)
		GUEST_ASSERT_EQ(guest_data[i * 512], i);
	GUEST_DONE();
}

FIXTURE(fault_injection)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_SETUP(fault_injection)
{
	setup();
	self->vm = vm_create_with_one_vcpu(&self->vcpu, NULL);
}

FIXTURE_TEARDOWN(fault_injection)
{
	kvm_vm_free(self->vm);
	close(fail_nth_fd);
}

TEST_F(fault_injection, create_vm)
{
	int kvm = open_kvm_dev_path_or_exit();
	int vm = -1;

	FOR_EACH_FAULT("KVM_CREATE_VM", vm = -1, vm = ioctl(kvm, KVM_CREATE_VM, 0),
		       if (vm >= 0) close(vm));
	close(kvm);
}

TEST_F(fault_injection, create_vcpu)
{
	int kvm = open_kvm_dev_path_or_exit();
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int id = 0, vcpu;

	TEST_ASSERT(vm >= 0, "no VM");
	FOR_EACH_FAULT("KVM_CREATE_VCPU", vcpu = -1,
		       vcpu = ioctl(vm, KVM_CREATE_VCPU, id),
		       if (vcpu < 0) {
				/* Nothing of it may be left. */
				vcpu = ioctl(vm, KVM_CREATE_VCPU, id);
				TEST_ASSERT(vcpu >= 0, "vCPU %d: %s", id,
					    strerror(errno));
		       }
		       close(vcpu);
		       id++);
	close(vm);
	close(kvm);
}

static int set_slot(struct kvm_vm *vm, u32 flags, u64 size, void *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = DATA_SLOT + 1, .flags = flags,
		.guest_phys_addr = DATA_GPA + BIT(30), .memory_size = size,
		.userspace_addr = (u64)memory,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

TEST_F(fault_injection, memslot)
{
	const u64 size = 64 * getpagesize();
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(memory != MAP_FAILED, "no memory");
	FOR_EACH_FAULT("a new memslot", , set_slot(self->vm, 0, size, memory),
		       set_slot(self->vm, 0, 0, memory));
	set_slot(self->vm, 0, size, memory);
	FOR_EACH_FAULT("dirty logging", ,
		       set_slot(self->vm, KVM_MEM_LOG_DIRTY_PAGES, size, memory),
		       set_slot(self->vm, 0, size, memory));
	FOR_EACH_FAULT("a memslot that goes",
		       set_slot(self->vm, 0, size, memory),
		       set_slot(self->vm, 0, 0, memory), );
	munmap(memory, size);
}

/* A VM whose guest touches pages that neither it nor the host has touched. */
static struct kvm_vm *new_vm(struct kvm_vcpu **vcpu)
{
	struct kvm_vm *vm = vm_with_vcpus(1, guest_touch, vcpu);

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, DATA_GPA, DATA_SLOT,
				    DATA_PAGES, 0);
	virt_map(vm, (u64)guest_data, DATA_GPA, DATA_PAGES);
	return vm;
}

TEST_F(fault_injection, run)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int ret;

	FOR_EACH_FAULT("KVM_RUN", vm = new_vm(&vcpu),
		       ret = __vcpu_run(vcpu),
		       /* It goes on where it was. */
		       if (ret)
				vcpu_run(vcpu);
		       TEST_ASSERT_EQ(get_ucall(vcpu, NULL), UCALL_SYNC);
		       run_until_done(vcpu);
		       kvm_vm_free(vm));
}

TEST_F(fault_injection, one_reg)
{
	struct kvm_reg_list *list = calloc(1, sizeof(*list) + 1000 * sizeof(u64));
	struct kvm_vcpu *vcpu = self->vcpu;
	u64 value;

	FOR_EACH_FAULT("KVM_GET_REG_LIST", list->n = 1000,
		       ioctl(vcpu->fd, KVM_GET_REG_LIST, list), );
	FOR_EACH_FAULT("KVM_GET_ONE_REG", ,
		       __vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.a0), &value), );
	FOR_EACH_FAULT("KVM_SET_ONE_REG", ,
		       __vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.a0), 1), );
	free(list);
}

TEST_HARNESS_MAIN
