// SPDX-License-Identifier: GPL-2.0
/*
 * VMs and vCPUs that are created, closed, used by another process or killed, in
 * every order and while they run.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "hostile.h"

TEST_F(hostile, vcpu_ids)
{
	u64 most = kvm_check_cap(KVM_CAP_MAX_VCPU_ID);
	struct kvm_vm *vm = vm_create_barebones();
	int fd, vcpus[3], i;

	if (!most)
		most = kvm_check_cap(KVM_CAP_MAX_VCPUS);

	EXPECT_ERRNO(EEXIST, vm_raw(self->vm, KVM_CREATE_VCPU, 0));
	EXPECT_ERRNO(EINVAL, vm_raw(self->vm, KVM_CREATE_VCPU, most));
	EXPECT_ERRNO(EINVAL, vm_raw(self->vm, KVM_CREATE_VCPU, -1UL));
	EXPECT_ERRNO(EINVAL, vm_raw(self->vm, KVM_CREATE_VCPU, 1UL << 32));

	/* In any order, with holes. */
	for (i = 0; i < 3; i++) {
		static const u64 ids[] = { 5, 0, 3 };

		vcpus[i] = vm_raw(vm, KVM_CREATE_VCPU, ids[i]);
		TEST_ASSERT(vcpus[i] >= 0, "vCPU %lu: errno %d", ids[i], errno);
		EXPECT_ERRNO(EEXIST, vm_raw(vm, KVM_CREATE_VCPU, ids[i]));
	}
	fd = vm_raw(vm, KVM_CREATE_VCPU, most - 1);
	TEST_ASSERT(fd >= 0, "vCPU %lu: errno %d", most - 1, errno);
	close(fd);
	for (i = 0; i < 3; i++)
		close(vcpus[i]);
	/* A closed vCPU is not gone. */
	EXPECT_ERRNO(EEXIST, vm_raw(vm, KVM_CREATE_VCPU, 5));
	kvm_vm_free(vm);
}

static int raw_ioctl(int fd, unsigned long request, unsigned long argument)
{
	int ret = ioctl(fd, request, argument);

	TEST_ASSERT(ret >= 0, "ioctl 0x%lx: %s", request, strerror(errno));
	return ret;
}

/*
 * The four things that hold a VM, let go of in the given order. As long as the
 * vCPU is there, it can be asked for its registers.
 */
static void close_in_order(const int *order)
{
	int kvm = open_kvm_dev_path_or_exit();
	int vm = raw_ioctl(kvm, KVM_CREATE_VM, 0);
	int vcpu = raw_ioctl(vm, KVM_CREATE_VCPU, 0);
	int stats = raw_ioctl(vcpu, KVM_GET_STATS_FD, 0);
	size_t size = raw_ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	struct kvm_one_reg reg = { .id = RISCV_CORE_REG(regs.a0) };
	u64 value = 0x1234, byte;
	bool open[5] = { true, true, true, true, true };
	int i;

	TEST_ASSERT(run != MAP_FAILED, "mmap: %s", strerror(errno));
	reg.addr = (u64)&value;
	raw_ioctl(vcpu, KVM_SET_ONE_REG, (u64)&reg);
	run->immediate_exit = 1;

	for (i = 0; i < 5; i++) {
		switch (order[i]) {
		case 0:
			close(kvm);
			break;
		case 1:
			close(vm);
			break;
		case 2:
			close(vcpu);
			break;
		case 3:
			munmap(run, size);
			break;
		case 4:
			close(stats);
			break;
		}
		open[order[i]] = false;
		if (open[2]) {
			value = 0;
			raw_ioctl(vcpu, KVM_GET_ONE_REG, (u64)&reg);
			TEST_ASSERT_EQ(value, 0x1234);
			if (open[3])
				EXPECT_ERRNO(EINTR, ioctl(vcpu, KVM_RUN, 0));
		}
		if (open[3])
			TEST_ASSERT_EQ(READ_ONCE(run->immediate_exit), 1);
		if (open[4])
			TEST_ASSERT(pread(stats, &byte, 8, 0) == 8, "read of the stats: %s",
				    strerror(errno));
	}
}

static void permute(int *order, int from)
{
	int i;

	if (from == 5) {
		close_in_order(order);
		return;
	}
	for (i = from; i < 5; i++) {
		int first = order[i];

		order[i] = order[from];
		order[from] = first;
		permute(order, from + 1);
		order[from] = order[i];
		order[i] = first;
	}
}

TEST_F(hostile, close_in_every_order)
{
	int order[5] = { 0, 1, 2, 3, 4 };

	permute(order, 0);
	check_alive(self);
}

static void guest_spin(void)
{
	for (;;)
		barrier();
}

/* What does not wait for the end of KVM_RUN, while the vCPU is in the guest. */
TEST_F(hostile, while_running)
{
	struct vcpu_thread thread;
	void *memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i, fd;

	vcpu_arch_set_entry_point(self->vcpu, guest_spin);
	vcpu_thread_start(&thread, self->vcpu);
	usleep(10000);
	for (i = 0; i < 100; i++) {
		vm_set_user_memory_region(self->vm, FREE_SLOT, 0, FREE_GPA, 16 * PAGE, memory);
		interrupt(self->vcpu, i & 1 ? KVM_INTERRUPT_SET : KVM_INTERRUPT_UNSET);
		if (i < 20) {
			fd = vm_raw(self->vm, KVM_CREATE_VCPU, 1UL + i);
			TEST_ASSERT(fd >= 0, "vCPU %d: errno %d", 1 + i, errno);
			close(fd);
		}
		vm_set_user_memory_region(self->vm, FREE_SLOT, 0, FREE_GPA, 0, NULL);
	}
	vcpu_thread_stop(&thread);
	interrupt(self->vcpu, KVM_INTERRUPT_UNSET);
	check_alive(self);
}

/* The process dies in the middle of everything. */
TEST_F(hostile, killed_while_running)
{
	int i, status;

	for (i = 0; i < 10; i++) {
		pid_t child = fork();

		TEST_ASSERT(child >= 0, "fork: %s", strerror(errno));
		if (!child) {
			struct kvm_vm *vm;
			struct kvm_vcpu *vcpu = another_vcpu(&vm);

			vcpu_arch_set_entry_point(vcpu, guest_spin);
			__vcpu_run(vcpu);
			_exit(1);
		}
		usleep(20000 + 3000 * i);
		kill(child, SIGKILL);
		TEST_ASSERT(waitpid(child, &status, 0) == child && WIFSIGNALED(status),
			    "the child did not run: status 0x%x", status);
	}
	check_alive(self);
}

#define DISCARDED_GVA		0x60000000UL
#define DISCARDED_PAGES		64

static void guest_touch(void)
{
	u64 page;

	for (page = 0; page < DISCARDED_PAGES; page++)
		WRITE_ONCE(*(u64 *)(DISCARDED_GVA + page * PAGE), page);
	GUEST_DONE();
}

struct discarder {
	void *memory;
	bool stop;
	u64 times;
};

static void *discard_until_told(void *arg)
{
	struct discarder *d = arg;
	const size_t size = DISCARDED_PAGES * PAGE;

	while (!READ_ONCE(d->stop)) {
		void *memory = mmap(d->memory, size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		TEST_ASSERT(memory == d->memory, "mmap: %s", strerror(errno));
		memset(memory, 0x5a, size);
		WRITE_ONCE(d->times, d->times + 1);
	}
	return NULL;
}

/* A VM is destroyed while its memory is being taken away, which both unmap from it. */
TEST_F(hostile, closed_while_unmapped)
{
	struct discarder d = {};
	pthread_t thread;
	int round;

	d.memory = mmap(NULL, DISCARDED_PAGES * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(d.memory != MAP_FAILED, "mmap: %s", strerror(errno));
	for (round = 0; round < 50; round++) {
		struct kvm_vm *vm;
		struct kvm_vcpu *vcpu = another_vcpu(&vm);
		u64 times, page;

		vm_set_user_memory_region(vm, FREE_SLOT, 0, FREE_GPA, DISCARDED_PAGES * PAGE,
					  d.memory);
		virt_map(vm, DISCARDED_GVA, FREE_GPA, DISCARDED_PAGES);
		vcpu_arch_set_entry_point(vcpu, guest_touch);
		run_until_done(vcpu);
		for (page = 0; page < DISCARDED_PAGES; page++)
			TEST_ASSERT_EQ(*(u64 *)(d.memory + page * PAGE), page);

		d.stop = false;
		times = d.times;
		thread = thread_start(discard_until_told, &d);
		/* From before the first time to well after it. */
		while (round % 5 && READ_ONCE(d.times) < times + round % 5)
			;
		kvm_vm_free(vm);
		WRITE_ONCE(d.stop, true);
		pthread_join(thread, NULL);
	}
	munmap(d.memory, DISCARDED_PAGES * PAGE);
	check_alive(self);
}

/* A VM belongs to the address space that made it. */
TEST_F(hostile, another_process)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };
	int status;
	pid_t child = fork();

	TEST_ASSERT(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		EXPECT_ERRNO(EIO, __vcpu_run(self->vcpu));
		EXPECT_ERRNO(EIO, ioctl(self->vm->fd, KVM_ENABLE_CAP, &cap));
		EXPECT_ERRNO(EIO, ioctl(self->vm->fd, KVM_CREATE_VCPU, 7));
		_exit(0);
	}
	TEST_ASSERT(waitpid(child, &status, 0) == child && !status,
		    "in the fork: status 0x%x", status);
	check_alive(self);
}

TEST_HARNESS_MAIN
