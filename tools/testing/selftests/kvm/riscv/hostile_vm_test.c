// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of a VM: capabilities, memory regions, the dirty log, and those that
 * RISC-V has no use for.
 */
#include <limits.h>
#include <sys/mman.h>

#include "hostile.h"

/* What RISC-V has no use for, and what no architecture knows. */
TEST_F(hostile, unsupported)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	struct kvm_vm *vm = self->vm;
	struct kvm_translation translation = {};
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MP_STATE };
	struct kvm_irq_level level = { .irq = 1, .level = 1 };
	struct kvm_msi msi = {};
	struct kvm_create_device device = { .type = 0xffff };
	u64 zeros[512] = {};

	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_GET_REGS, zeros));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_SET_REGS, zeros));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_GET_SREGS, zeros));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_SET_SREGS, zeros));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_GET_FPU, zeros));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_SET_FPU, zeros));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_TRANSLATE, &translation));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_ENABLE_CAP, &cap));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, _IO(KVMIO, 0xf7), 0));
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, _IO('x', 1), 0));

	EXPECT_ERRNO(ENXIO, vm_raw(vm, KVM_IRQ_LINE, &level));
	TEST_ASSERT(vm_raw(vm, KVM_SIGNAL_MSI, &msi) == -1, "an MSI without an irqchip");
	EXPECT_ERRNO(ENODEV, vm_raw(vm, KVM_CREATE_DEVICE, &device));
	EXPECT_ERRNO(EINVAL, vm_raw(vm, _IO(KVMIO, 0xf7), 0));
	EXPECT_ERRNO(EFAULT, vm_raw(vm, KVM_ENABLE_CAP, NULL));
	check_alive(self);
}

TEST_F(hostile, check_extension)
{
	static const u64 odd[] = { 1UL << 31, 1UL << 32, 1UL << 63, -1UL };
	/* What a VMM may count on. */
	static const u32 there[] = {
		KVM_CAP_USER_MEMORY, KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_ONE_REG,
		KVM_CAP_READONLY_MEM, KVM_CAP_MP_STATE, KVM_CAP_IMMEDIATE_EXIT,
		KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_IOEVENTFD,
	};
	u64 cap;

	for (cap = 0; cap < ARRAY_SIZE(there); cap++)
		TEST_ASSERT(vm_check_cap(self->vm, there[cap]) == 1, "capability %u: %d",
			    there[cap], vm_check_cap(self->vm, there[cap]));

	TEST_ASSERT_EQ(vm_check_cap(self->vm, KVM_CAP_NR_VCPUS), sysconf(_SC_NPROCESSORS_ONLN));
	TEST_ASSERT_EQ(vm_check_cap(self->vm, KVM_CAP_MAX_VCPUS), 1024);
	TEST_ASSERT_EQ(vm_check_cap(self->vm, KVM_CAP_NR_MEMSLOTS), SHRT_MAX);

	for (cap = 0; cap < 1000; cap++) {
		TEST_ASSERT(ioctl(self->vm->kvm_fd, KVM_CHECK_EXTENSION, (void *)cap) >= 0,
			    "capability %lu: errno %d", cap, errno);
		TEST_ASSERT(vm_raw(self->vm, KVM_CHECK_EXTENSION, cap) >= 0,
			    "capability %lu of a VM: errno %d", cap, errno);
	}
	for (cap = 0; cap < ARRAY_SIZE(odd); cap++)
		TEST_ASSERT_EQ(vm_raw(self->vm, KVM_CHECK_EXTENSION, odd[cap]), 0);
}

TEST_F(hostile, enable_cap)
{
	static u8 page[PAGE] __aligned(PAGE);
	struct kvm_enable_cap cap = {};
	struct kvm_vm *bare = vm_create_barebones();
	unsigned int most = kvm_check_cap(KVM_CAP_VM_GPA_BITS);
	u32 number;

	for (number = 0; number < 400; number++) {
		cap.cap = number;
		cap.flags = 1;
		TEST_ASSERT(vm_raw(bare, KVM_ENABLE_CAP, &cap),
			    "capability %u was enabled with an unknown flag", number);
	}
	cap.flags = 0;
	cap.cap = 0x7fffffff;
	EXPECT_ERRNO(EINVAL, vm_raw(bare, KVM_ENABLE_CAP, &cap));

	/* The width of guest addresses: only what the hart can, only early. */
	vm_enable_cap(bare, KVM_CAP_VM_GPA_BITS, 41);
	TEST_ASSERT_EQ(vm_check_cap(bare, KVM_CAP_VM_GPA_BITS), 41);
	EXPECT_ERRNO(EINVAL, __vm_enable_cap(bare, KVM_CAP_VM_GPA_BITS, 60));
	EXPECT_ERRNO(EINVAL, __vm_enable_cap(bare, KVM_CAP_VM_GPA_BITS, -1UL));
	EXPECT_ERRNO(EFAULT, __vm_set_user_memory_region(bare, 0, 0, 1UL << 41, PAGE, page));
	vm_enable_cap(bare, KVM_CAP_VM_GPA_BITS, most);
	TEST_ASSERT_EQ(vm_check_cap(bare, KVM_CAP_VM_GPA_BITS), most);
	EXPECT_ERRNO(EBUSY, __vm_enable_cap(self->vm, KVM_CAP_VM_GPA_BITS, 41));
	kvm_vm_free(bare);
	check_alive(self);
}

TEST_F(hostile, memory_region)
{
	struct kvm_vm *vm = self->vm;
	u64 top = 1UL << vm_check_cap(vm, KVM_CAP_VM_GPA_BITS);
	u32 slots = vm_check_cap(vm, KVM_CAP_NR_MEMSLOTS);
	void *memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int flag;

#define SET(slot, flags, gpa, size, hva) \
	__vm_set_user_memory_region(vm, slot, flags, gpa, size, (void *)(hva))

	/* Not aligned, or nothing. */
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA + 1, PAGE, memory));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, PAGE + 1, memory));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, PAGE, memory + 1));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, PAGE / 2, memory));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, 0, memory));

	/* Not ours. */
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, PAGE, KERNEL_ADDRESS));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, 1UL << 62, memory));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, -PAGE, 2 * PAGE, memory));

	/* Beyond what a guest of this VM can address. */
	EXPECT_ERRNO(EFAULT, SET(FREE_SLOT, 0, top, PAGE, memory));
	EXPECT_ERRNO(EFAULT, SET(FREE_SLOT, 0, top - PAGE, 2 * PAGE, memory));
	EXPECT_ERRNO(EFAULT, SET(FREE_SLOT, 0, 1UL << 62, PAGE, memory));
	TEST_ASSERT(!SET(FREE_SLOT, 0, top - PAGE, PAGE, memory),
		    "the last page of the address space: errno %d", errno);
	/* Moving it there is no better. */
	EXPECT_ERRNO(EFAULT, SET(FREE_SLOT, 0, top, PAGE, memory));
	TEST_ASSERT(!SET(FREE_SLOT, 0, top - PAGE, 0, 0), "delete: errno %d", errno);

	/* Slots that there are not, flags that there are not. */
	EXPECT_ERRNO(EINVAL, SET(slots + 8, 0, FREE_GPA, PAGE, memory));
	EXPECT_ERRNO(EINVAL, SET(1U << 16, 0, FREE_GPA, PAGE, memory));
	EXPECT_ERRNO(EINVAL, SET(-1U, 0, FREE_GPA, PAGE, memory));
	for (flag = 2; flag < 32; flag++)
		EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 1U << flag, FREE_GPA, PAGE, memory));

	/* Read-only memory of ours can only be a read-only slot. */
	EXPECT_ERRNO(EPERM, SET(FREE_SLOT, 0, FREE_GPA, PAGE, constant));
	TEST_ASSERT(!SET(FREE_SLOT, KVM_MEM_READONLY, FREE_GPA, PAGE, constant),
		    "a read-only slot: errno %d", errno);
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, PAGE, constant));
	TEST_ASSERT(!SET(FREE_SLOT, 0, FREE_GPA, 0, 0), "delete: errno %d", errno);

	/* Overlaps, and changes that are none. */
	TEST_ASSERT(!SET(FREE_SLOT, 0, FREE_GPA, 2 * PAGE, memory), "errno %d", errno);
	EXPECT_ERRNO(EEXIST, SET(FREE_SLOT + 1, 0, FREE_GPA, PAGE, memory + 2 * PAGE));
	EXPECT_ERRNO(EEXIST, SET(FREE_SLOT + 1, 0, FREE_GPA + PAGE, PAGE, memory + 2 * PAGE));
	EXPECT_ERRNO(EEXIST, SET(FREE_SLOT + 1, 0, FREE_GPA - PAGE, 4 * PAGE, memory));
	EXPECT_ERRNO(EEXIST, SET(FREE_SLOT, 0, 0, 2 * PAGE, memory));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, PAGE, memory));
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, 2 * PAGE, memory + PAGE));
	TEST_ASSERT(!SET(FREE_SLOT, 0, FREE_GPA, 2 * PAGE, memory), "errno %d", errno);
	TEST_ASSERT(!SET(FREE_SLOT, 0, FREE_GPA, 0, 0), "delete: errno %d", errno);
	EXPECT_ERRNO(EINVAL, SET(FREE_SLOT, 0, FREE_GPA, 0, 0));
	EXPECT_ERRNO(EFAULT, vm_raw(vm, KVM_SET_USER_MEMORY_REGION, NULL));
#undef SET
	check_alive(self);
}

TEST_F(hostile, dirty_log)
{
	u64 bitmap[4] = {};
	struct kvm_dirty_log log = { .slot = FREE_SLOT, .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = { .slot = FREE_SLOT, .dirty_bitmap = bitmap };

	EXPECT_ERRNO(ENOENT, vm_raw(self->vm, KVM_GET_DIRTY_LOG, &log));
	EXPECT_ERRNO(ENOENT, vm_raw(self->vm, KVM_CLEAR_DIRTY_LOG, &clear));
	log.slot = -1;
	EXPECT_ERRNO(EINVAL, vm_raw(self->vm, KVM_GET_DIRTY_LOG, &log));

	/* 100 pages, without a log; then with one that goes elsewhere. */
	vm_userspace_mem_region_add(self->vm, DEFAULT_VM_MEM_SRC, FREE_GPA, FREE_SLOT, 100, 0);
	log.slot = FREE_SLOT;
	EXPECT_ERRNO(ENOENT, vm_raw(self->vm, KVM_GET_DIRTY_LOG, &log));
	vm_mem_region_set_flags(self->vm, FREE_SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	log.dirty_bitmap = NULL;
	EXPECT_ERRNO(EFAULT, vm_raw(self->vm, KVM_GET_DIRTY_LOG, &log));
	log.dirty_bitmap = (void *)KERNEL_ADDRESS;
	EXPECT_ERRNO(EFAULT, vm_raw(self->vm, KVM_GET_DIRTY_LOG, &log));

	vm_enable_cap(self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	clear.num_pages = 64;
	clear.first_page = 1;
	EXPECT_ERRNO(EINVAL, vm_raw(self->vm, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.first_page = 1UL << 40;
	EXPECT_ERRNO(EINVAL, vm_raw(self->vm, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.first_page = 64;
	EXPECT_ERRNO(EINVAL, vm_raw(self->vm, KVM_CLEAR_DIRTY_LOG, &clear));
	clear.num_pages = 36;
	memset(bitmap, 0xff, sizeof(bitmap));
	TEST_ASSERT(!vm_raw(self->vm, KVM_CLEAR_DIRTY_LOG, &clear), "errno %d", errno);
	clear.dirty_bitmap = NULL;
	EXPECT_ERRNO(EFAULT, vm_raw(self->vm, KVM_CLEAR_DIRTY_LOG, &clear));
	check_alive(self);
}

TEST_HARNESS_MAIN
