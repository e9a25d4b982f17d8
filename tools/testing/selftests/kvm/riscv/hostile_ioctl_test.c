// SPDX-License-Identifier: GPL-2.0
/*
 * ioctls with arguments that no sane VMM would pass, in states that none would
 * be in. Each must end in success or in an errno: the one that KVM's ABI fixes,
 * where it does. Afterwards the VM still works, or can still be freed. What is
 * also tested, by whoever runs this, is that the kernel has nothing to say.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

#define PAGE		4096UL
#define MMIO_GPA	0x10000000UL
#define MMIO_GVA	0x40000000UL
#define FREE_GPA	0x80000000UL
#define FREE_SLOT	20

/* The kernel's half of the address space, and a hole in ours. */
#define KERNEL_ADDRESS	(-8192UL)

/* Without the library's check that the argument is of the right type. */
#define vcpu_raw(vcpu, request, arg)	ioctl((vcpu)->fd, request, (unsigned long)(arg))
#define vm_raw(vm, request, arg)	ioctl((vm)->fd, request, (unsigned long)(arg))

/* An ioctl that must fail, and how. */
#define EXPECT_ERRNO(expected, call)					\
do {									\
	int __ret = (call);						\
	int __errno = errno;						\
									\
	TEST_ASSERT(__ret == -1, "%s returned %d", #call, __ret);	\
	TEST_ASSERT(__errno == (expected), "%s: errno %d (%s), not %d",	\
		    #call, __errno, strerror(__errno), (expected));	\
} while (0)

/*
 * A guest that does nothing but exit, in all ways that user space completes, and
 * that needs no register to have any value.
 */
asm(".pushsection .text\n"
    ".option push\n"
    ".option norvc\n"
    ".balign 4\n"
    "guest_exits:\n"
    ".rept 4\n"
    "	li	t0, 0x40000000\n"
    "	lw	t1, 0(t0)\n"
    "	li	t0, 0x40000000\n"
    "	sd	t1, 8(t0)\n"
    "	li	a7, 0x08000000\n"
    "	ecall\n"
    "	li	a7, 0x10\n"
    "	ecall\n"
    ".endr\n"
    "	j	guest_exits\n"
    ".option pop\n"
    ".popsection\n");
extern char guest_exits[];

static void guest_done(void)
{
	GUEST_DONE();
}

FIXTURE(hostile)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 sp;
};

/* A vCPU of a VM of its own: what it has been through stays with it. */
static struct kvm_vcpu *another_vcpu(struct kvm_vm **vm)
{
	struct kvm_vcpu *vcpu;

	*vm = vm_create_with_one_vcpu(&vcpu, guest_exits);
	virt_pg_map(*vm, MMIO_GVA, MMIO_GPA);
	return vcpu;
}

FIXTURE_SETUP(hostile)
{
	self->vcpu = another_vcpu(&self->vm);
	self->sp = vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.sp));
}

FIXTURE_TEARDOWN(hostile)
{
	kvm_vm_free(self->vm);
}

/*
 * The vCPU still runs a guest to its end, once it has completed, or refused to
 * complete, what it was left with.
 */
static void check_alive(FIXTURE_DATA(hostile) *self)
{
	self->vcpu->run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(self->vcpu), "an immediate exit came back with success");
	self->vcpu->run->immediate_exit = 0;
	self->vcpu->run->exit_reason = 0;
	vcpu_set_reg(self->vcpu, RISCV_CORE_REG(mode), KVM_RISCV_MODE_S);
	vcpu_set_reg(self->vcpu, RISCV_CORE_REG(regs.sp), self->sp);
	vcpu_arch_set_entry_point(self->vcpu, guest_done);
	run_until_done(self->vcpu);
}

/* --- ONE_REG -------------------------------------------------------------- */

static bool is_one_reg_errno(int error)
{
	return error == ENOENT || error == EINVAL || error == EFAULT ||
	       error == EBUSY || error == EOPNOTSUPP;
}

/*
 * Vector registers are the largest; the largest size that an id can name is
 * 32 KiB. What lies behind the register must stay as it is.
 */
static u8 reg_buffer[(1 << 15) + 64];

static void check_get(struct kvm_vcpu *vcpu, u64 id)
{
	size_t size = KVM_REG_SIZE(id), i;

	memset(reg_buffer, 0xa5, size + 64);
	if (__vcpu_get_reg(vcpu, id, reg_buffer)) {
		TEST_ASSERT(is_one_reg_errno(errno), "KVM_GET_ONE_REG of 0x%lx: errno %d",
			    id, errno);
		size = 0;
	}
	for (i = size; i < size + 64; i++)
		TEST_ASSERT(reg_buffer[i] == 0xa5,
			    "KVM_GET_ONE_REG of 0x%lx wrote more than %lu bytes", id, size);
}

static void check_set(struct kvm_vcpu *vcpu, u64 id)
{
	struct kvm_one_reg reg = { .id = id, .addr = (u64)reg_buffer };

	memset(reg_buffer, kvm_random_bool(&kvm_rng) ? 0xff : 0, KVM_REG_SIZE(id));
	if (vcpu_raw(vcpu, KVM_SET_ONE_REG, &reg))
		TEST_ASSERT(is_one_reg_errno(errno), "KVM_SET_ONE_REG of 0x%lx: errno %d",
			    id, errno);
}

static void for_each_id(void (*check)(struct kvm_vcpu *, u64), struct kvm_vcpu *vcpu)
{
	static const u64 subtypes[] = { 0, 1, 2, 3, 4, 0x7f, 0x80, 0xff };
	static const u64 far_indexes[] = { 0xff, 0x7fff, 0xffff };
	u64 type, size, i, index;

	for (type = 0; type <= 0x0c; type++)
		for (size = 0; size < 16; size++)
			for (i = 0; i < ARRAY_SIZE(subtypes); i++) {
				u64 id = KVM_REG_RISCV | size << KVM_REG_SIZE_SHIFT |
					 type << KVM_REG_RISCV_TYPE_SHIFT |
					 subtypes[i] << KVM_REG_RISCV_SUBTYPE_SHIFT;
				/* The registers have 4, 8 or (vector) more bytes. */
				u64 last = size >= 2 && size <= 5 ? 90 : 3;

				for (index = 0; index < last; index++)
					check(vcpu, id | index);
				for (index = 0; index < ARRAY_SIZE(far_indexes); index++)
					check(vcpu, id | far_indexes[index]);
			}
	for (i = 0; i < 2000; i++)
		check(vcpu, kvm_random_u64(&kvm_rng));
	for (i = 0; i < 2000; i++)
		check(vcpu, KVM_REG_RISCV | (kvm_random_u64(&kvm_rng) & 0x00f000000fff00ffUL));
}

TEST_F(hostile, get_one_reg)
{
	for_each_id(check_get, self->vcpu);
	check_alive(self);
	/* Some are no longer what they were before the first run. */
	for_each_id(check_get, self->vcpu);
	check_alive(self);
}

TEST_F(hostile, set_one_reg)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu = another_vcpu(&vm);

	for_each_id(check_set, vcpu);
	/* Whatever that has made of it: it runs, or says that it can't. */
	vcpu->run->immediate_exit = 1;
	EXPECT_ERRNO(EINTR, __vcpu_run(vcpu));
	vcpu->run->immediate_exit = 0;
	kvm_vm_free(vm);

	check_alive(self);
	for_each_id(check_set, self->vcpu);
	self->vcpu->run->immediate_exit = 1;
	EXPECT_ERRNO(EINTR, __vcpu_run(self->vcpu));
}

TEST_F(hostile, one_reg_errnos)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	const u64 core = RISCV_CORE_REG(regs.a0);
	const u64 csr = RISCV_GENERAL_CSR_REG(sscratch);
	const u64 known[] = {
		core, csr, RISCV_CONFIG_REG(isa), RISCV_TIMER_REG(time),
		RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_I),
		RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_TIME),
	};
	const u64 unknown[] = {
		core | 33, core | 0xff, csr | 100, RISCV_CONFIG_REG(isa) | 0xff,
		RISCV_TIMER_REG(time) | 0xff,
		/* A subtype, a type that there is not. */
		csr | 0xffUL << KVM_REG_RISCV_SUBTYPE_SHIFT,
		RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_MAX), RISCV_ISA_EXT_REG(0xffff),
		RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_MAX), RISCV_SBI_EXT_REG(0xffff),
		KVM_REG_RISCV | KVM_REG_SIZE_U64, KVM_REG_RISCV | KVM_REG_SIZE_U64 | 0xff000000,
	};
	u64 value;
	int i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		u64 no_size = known[i] & ~KVM_REG_SIZE_MASK;

		TEST_ASSERT(!__vcpu_get_reg(vcpu, known[i], &value), "0x%lx: errno %d",
			    known[i], errno);
		EXPECT_ERRNO(EINVAL, __vcpu_get_reg(vcpu, no_size | KVM_REG_SIZE_U32, &value));
		EXPECT_ERRNO(EINVAL, __vcpu_get_reg(vcpu, no_size | KVM_REG_SIZE_U128, &value));
		EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, no_size | KVM_REG_SIZE_U8, 0));
		EXPECT_ERRNO(EFAULT, __vcpu_get_reg(vcpu, known[i], NULL));
		EXPECT_ERRNO(EFAULT, __vcpu_get_reg(vcpu, known[i], (void *)KERNEL_ADDRESS));
		EXPECT_ERRNO(EFAULT, __vcpu_get_reg(vcpu, known[i], (void *)-1UL));
	}
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		EXPECT_ERRNO(ENOENT, __vcpu_get_reg(vcpu, unknown[i], &value));
		EXPECT_ERRNO(ENOENT, __vcpu_set_reg(vcpu, unknown[i], 0));
	}

	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_GET_ONE_REG, NULL));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_SET_ONE_REG, KERNEL_ADDRESS));

	/* What cannot be changed, or not to that. */
	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, RISCV_TIMER_REG(frequency), 1));
	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, RISCV_CONFIG_REG(isa), 1UL << 26));
	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, RISCV_CONFIG_REG(satp_mode), 77));
	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_I), 0));
	check_alive(self);
	EXPECT_ERRNO(EBUSY, __vcpu_set_reg(vcpu, RISCV_CONFIG_REG(isa), 0));
	EXPECT_ERRNO(EBUSY, __vcpu_set_reg(vcpu, RISCV_CONFIG_REG(mvendorid), 0x5a5a));
	EXPECT_ERRNO(EBUSY, __vcpu_set_reg(vcpu, RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_M), 0));
}

TEST_F(hostile, reg_list)
{
	struct kvm_reg_list probe = { .n = 0 };
	struct kvm_vcpu *vcpu = self->vcpu;
	struct kvm_reg_list *list;
	size_t bytes;
	void *pages;
	u64 n, i;

	EXPECT_ERRNO(E2BIG, vcpu_raw(vcpu, KVM_GET_REG_LIST, &probe));
	n = probe.n;
	TEST_ASSERT(n >= 33 && n < 10000, "%lu registers", n);

	/* The list ends where our memory does. */
	bytes = (sizeof(*list) + n * sizeof(u64) + PAGE - 1) & ~(PAGE - 1);
	pages = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(pages != MAP_FAILED, "mmap: %s", strerror(errno));
	TEST_ASSERT(!munmap(pages + bytes, PAGE), "munmap: %s", strerror(errno));

	list = pages + bytes - sizeof(*list) - n * sizeof(u64);
	list->n = n - 1;
	EXPECT_ERRNO(E2BIG, vcpu_raw(vcpu, KVM_GET_REG_LIST, list));
	TEST_ASSERT_EQ(list->n, n);
	TEST_ASSERT(!vcpu_raw(vcpu, KVM_GET_REG_LIST, list), "errno %d", errno);
	TEST_ASSERT_EQ(list->n, n);
	for (i = 0; i < n; i++) {
		TEST_ASSERT((list->reg[i] & KVM_REG_ARCH_MASK) == KVM_REG_RISCV,
			    "register %lu of the list: 0x%llx", i, list->reg[i]);
		TEST_ASSERT(!__vcpu_get_reg(vcpu, list->reg[i], reg_buffer),
			    "register 0x%llx of the list: errno %d", list->reg[i], errno);
	}

	/* One too few. */
	list = pages + bytes - sizeof(*list) - (n - 1) * sizeof(u64);
	list->n = n;
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_GET_REG_LIST, list));

	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_GET_REG_LIST, pages + bytes));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_GET_REG_LIST, NULL));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_GET_REG_LIST, KERNEL_ADDRESS));
	munmap(pages, bytes);
}

/* --- The other vCPU ioctls ------------------------------------------------- */

TEST_F(hostile, mp_state)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	struct kvm_mp_state state;
	u32 value;

	for (value = 0; value < 64; value++) {
		state.mp_state = value;
		switch (value) {
		case KVM_MP_STATE_RUNNABLE:
		case KVM_MP_STATE_STOPPED:
			vcpu_mp_state_set(vcpu, &state);
			state.mp_state = ~0;
			vcpu_mp_state_get(vcpu, &state);
			TEST_ASSERT_EQ(state.mp_state, value);
			break;
		default:
			EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_SET_MP_STATE, &state));
		}
	}
	state.mp_state = -1;
	EXPECT_ERRNO(EINVAL, vcpu_raw(vcpu, KVM_SET_MP_STATE, &state));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_SET_MP_STATE, NULL));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_GET_MP_STATE, NULL));

	state.mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu_mp_state_set(vcpu, &state);
	check_alive(self);
}

/* A reset by user space is an option, and undoes what the guest has done. */
TEST_F(hostile, mp_state_reset)
{
	struct kvm_mp_state reset = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu *vcpu = self->vcpu;

	if (__vm_enable_cap(self->vm, KVM_CAP_RISCV_MP_STATE_RESET, 0))
		SKIP(return, "KVM has no KVM_CAP_RISCV_MP_STATE_RESET");
	check_alive(self);
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.a0), 0x1234);
	vcpu_mp_state_set(vcpu, &reset);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.a0)), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(satp)), 0);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(mode)), KVM_RISCV_MODE_S);
}

/* Where nothing is. */
#define NOWHERE			0xdead000UL
#define SBI_EXT_HSM		0x48534dUL
#define SBI_HSM_HART_START	0

static void guest_start_other(void)
{
	GUEST_ASSERT_EQ(sbi_ecall(SBI_EXT_HSM, SBI_HSM_HART_START, 1, NOWHERE, 0, 0, 0, 0).error,
			0);
	GUEST_DONE();
}

/* What is undone, too, is that the guest has started a vCPU that has not run yet. */
TEST_F(hostile, mp_state_reset_of_started)
{
	struct kvm_mp_state stopped = { .mp_state = KVM_MP_STATE_STOPPED };
	struct kvm_mp_state reset = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	/* What a vCPU needs to run code of a selftest, but for where that is. */
	const u64 kept[] = {
		RISCV_CORE_REG(regs.gp),
		RISCV_CORE_REG(regs.sp),
		RISCV_GENERAL_CSR_REG(satp),
		RISCV_GENERAL_CSR_REG(stvec),
		RISCV_GENERAL_CSR_REG(sscratch),
	};
	u64 values[ARRAY_SIZE(kept)];
	struct kvm_vcpu *vcpu[2];
	struct kvm_vm *vm;
	int i;

	if (!is_rust_backend())
		SKIP(return, "the C backend starts a vCPU that was reset since");
	vm = vm_with_vcpus(2, NULL, vcpu);
	if (__vm_enable_cap(vm, KVM_CAP_RISCV_MP_STATE_RESET, 0))
		SKIP(return, "KVM has no KVM_CAP_RISCV_MP_STATE_RESET");
	vcpu_mp_state_set(vcpu[1], &stopped);
	vcpu_arch_set_entry_point(vcpu[0], guest_start_other);
	run_until_done(vcpu[0]);

	for (i = 0; i < ARRAY_SIZE(kept); i++)
		values[i] = vcpu_get_reg(vcpu[1], kept[i]);
	vcpu_mp_state_set(vcpu[1], &reset);
	for (i = 0; i < ARRAY_SIZE(kept); i++)
		vcpu_set_reg(vcpu[1], kept[i], values[i]);
	vcpu_arch_set_entry_point(vcpu[1], guest_done);
	vcpu_mp_state_set(vcpu[1], &runnable);
	run_until_done(vcpu[1]);
	kvm_vm_free(vm);
}

static void guest_see_external_interrupt(void)
{
	while (!(csr_read(CSR_SIP) & IE_EIE))
		;
	GUEST_SYNC(0);
	while (csr_read(CSR_SIP) & IE_EIE)
		;
	GUEST_DONE();
}

static void interrupt(struct kvm_vcpu *vcpu, u32 irq)
{
	struct kvm_interrupt how = { .irq = irq };

	TEST_ASSERT(!vcpu_raw(vcpu, KVM_INTERRUPT, &how), "KVM_INTERRUPT: errno %d", errno);
}

TEST_F(hostile, interrupt)
{
	static const u32 others[] = { 0, 1, 2, 9, 10, 0x7fffffff, -3 };
	struct kvm_vcpu *vcpu = self->vcpu;
	struct vcpu_thread thread;
	int i;

	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_INTERRUPT, NULL));
	EXPECT_ERRNO(EFAULT, vcpu_raw(vcpu, KVM_INTERRUPT, KERNEL_ADDRESS));

	/* Any other value was always taken for KVM_INTERRUPT_UNSET. */
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		struct kvm_interrupt how = { .irq = others[i] };

		if (vcpu_raw(vcpu, KVM_INTERRUPT, &how))
			TEST_ASSERT_EQ(errno, EINVAL);
	}

	/* Set before the run, cleared at an exit. */
	vcpu_arch_set_entry_point(vcpu, guest_see_external_interrupt);
	interrupt(vcpu, KVM_INTERRUPT_SET);
	interrupt(vcpu, KVM_INTERRUPT_SET);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "not reached");
	interrupt(vcpu, KVM_INTERRUPT_UNSET);
	run_until_done(vcpu);

	/* Set and cleared while it runs: this one does not wait for KVM_RUN. */
	vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.sp), self->sp);
	vcpu_arch_set_entry_point(vcpu, guest_see_external_interrupt);
	vcpu_thread_start(&thread, vcpu);
	usleep(20000);
	interrupt(vcpu, KVM_INTERRUPT_SET);
	usleep(20000);
	interrupt(vcpu, KVM_INTERRUPT_UNSET);
	vcpu_thread_join(&thread);
}

TEST_F(hostile, guest_debug)
{
	struct kvm_guest_debug debug = {};
	int bit;

	EXPECT_ERRNO(EFAULT, vcpu_raw(self->vcpu, KVM_SET_GUEST_DEBUG, NULL));
	for (bit = 0; bit < 32; bit++) {
		debug.control = 1U << bit;
		if (vcpu_raw(self->vcpu, KVM_SET_GUEST_DEBUG, &debug))
			TEST_ASSERT_EQ(errno, EINVAL);
		debug.control |= KVM_GUESTDBG_ENABLE;
		if (vcpu_raw(self->vcpu, KVM_SET_GUEST_DEBUG, &debug))
			TEST_ASSERT_EQ(errno, EINVAL);
	}
	memset(&debug, 0, sizeof(debug));
	vcpu_guest_debug_set(self->vcpu, &debug);
	check_alive(self);
}

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
	u64 cap;

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
	EXPECT_ERRNO(EFAULT, __vm_set_user_memory_region(bare, 0, 0, 1UL << 41, PAGE,
							 reg_buffer - (u64)reg_buffer % PAGE));
	vm_enable_cap(bare, KVM_CAP_VM_GPA_BITS, most);
	TEST_ASSERT_EQ(vm_check_cap(bare, KVM_CAP_VM_GPA_BITS), most);
	EXPECT_ERRNO(EBUSY, __vm_enable_cap(self->vm, KVM_CAP_VM_GPA_BITS, 41));
	kvm_vm_free(bare);
	check_alive(self);
}

/* --- KVM_RUN --------------------------------------------------------------- */

TEST_F(hostile, immediate_exit)
{
	struct kvm_run *run = self->vcpu->run;
	u64 pc = vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc));
	int i;

	run->immediate_exit = 1;
	for (i = 0; i < 100; i++)
		EXPECT_ERRNO(EINTR, __vcpu_run(self->vcpu));
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc)), pc);
	run->immediate_exit = 255;
	EXPECT_ERRNO(EINTR, __vcpu_run(self->vcpu));
	EXPECT_ERRNO(EINVAL, vcpu_raw(self->vcpu, KVM_RUN, 1));

	/* Completion is done once, however often user space asks for it. */
	run->immediate_exit = 0;
	vcpu_run(self->vcpu);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_MMIO);
	pc = vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc));
	run->immediate_exit = 1;
	for (i = 0; i < 3; i++) {
		EXPECT_ERRNO(EINTR, __vcpu_run(self->vcpu));
		TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc)), pc + 4);
	}
	check_alive(self);
}

/* User space writes what it likes into the page that it shares with KVM. */
static void scribble(struct kvm_run *run)
{
	static const u32 reasons[] = {
		KVM_EXIT_UNKNOWN, KVM_EXIT_MMIO, KVM_EXIT_RISCV_SBI,
		KVM_EXIT_RISCV_CSR, KVM_EXIT_DEBUG, KVM_EXIT_SYSTEM_EVENT,
		KVM_EXIT_INTERNAL_ERROR, 1000, -1,
	};
	u8 *bytes = (u8 *)run;
	size_t i, from = offsetof(struct kvm_run, padding1);

	switch (kvm_random_u32(&kvm_rng) % 4) {
	case 0:
		run->mmio.len = kvm_random_u32(&kvm_rng);
		run->mmio.is_write = kvm_random_u32(&kvm_rng);
		break;
	case 1:
		for (i = from; i < 256; i++)
			bytes[i] = kvm_random_u32(&kvm_rng);
		break;
	case 2:
		memset(bytes + from, 0xff, sizeof(*run) - from);
		break;
	}
	if (kvm_random_bool(&kvm_rng))
		run->exit_reason = reasons[kvm_random_u32(&kvm_rng) % ARRAY_SIZE(reasons)];
}

TEST_F(hostile, kvm_run)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	int i, failed = 0;

	for (i = 0; i < 3000; i++) {
		scribble(vcpu->run);
		vcpu->run->immediate_exit = kvm_random_u32(&kvm_rng) % 8 == 0;
		if (!__vcpu_run(vcpu))
			continue;
		TEST_ASSERT(errno == EINTR || errno == EOPNOTSUPP || errno == EIO ||
			    errno == EINVAL, "KVM_RUN: errno %d", errno);
		failed++;
		vcpu_arch_set_entry_point(vcpu, guest_exits);
	}
	TEST_ASSERT(failed < 2000, "%d of 3000 runs failed", failed);
	check_alive(self);
}

/* Before the first exit there is nothing to complete. */
TEST_F(hostile, kvm_run_first)
{
	static const u32 reasons[] = {
		KVM_EXIT_MMIO, KVM_EXIT_RISCV_SBI, KVM_EXIT_RISCV_CSR, -1,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct kvm_vm *vm;
		struct kvm_vcpu *vcpu = another_vcpu(&vm);

		memset(vcpu->run, 0xff, sizeof(*vcpu->run));
		vcpu->run->exit_reason = reasons[i];
		vcpu->run->immediate_exit = 1;
		TEST_ASSERT(__vcpu_run(vcpu) == -1, "an immediate exit came back with success");
		kvm_vm_free(vm);
	}
}

/* A vCPU that has no way to go on can still be stopped. */
static void expect_endless(struct kvm_vcpu *vcpu, const char *what)
{
	struct vcpu_thread thread;

	vcpu_thread_start(&thread, vcpu);
	usleep(30000);
	vcpu_thread_stop(&thread);
	TEST_ASSERT(!thread.done, "%s: the guest is done", what);
	TEST_ASSERT(vcpu_get_stat(vcpu, exits) > 0, "%s: the guest did not run", what);
}

TEST_F(hostile, guest_state)
{
	static const struct {
		const char *what;
		u64 pc, satp;
		bool set_satp;
	} states[] = {
		{ "pc outside of memory", 0x7000000000, 0, true },
		{ "pc -1", -1UL, 0, true },
		{ "pc not canonical", 1UL << 62, 0, false },
		{ "page tables outside of memory", 0x1000, 8UL << 60 | 0x7000000, true },
		{ "page tables beyond all addresses", 0x1000, 8UL << 60 | ((1UL << 44) - 1), true },
		{ "an unknown mode of satp", 0x1000, 15UL << 60, true },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		struct kvm_vm *vm;
		struct kvm_vcpu *vcpu = another_vcpu(&vm);

		if (states[i].set_satp)
			vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(satp), states[i].satp);
		vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(stvec), states[i].pc & ~3UL);
		vcpu_set_reg(vcpu, RISCV_CORE_REG(regs.pc), states[i].pc);
		expect_endless(vcpu, states[i].what);
		kvm_vm_free(vm);
	}
}

/* --- Memory regions -------------------------------------------------------- */

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

/* --- Life and death -------------------------------------------------------- */

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
