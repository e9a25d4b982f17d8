// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_ONE_REG, KVM_SET_ONE_REG and KVM_GET_REG_LIST: ids that there are not,
 * sizes that are wrong, values that cannot be.
 */
#include <sys/mman.h>

#include "hostile.h"

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

/* What KVM must not offer, whatever the hart has. */
TEST_F(hostile, isa_not_offered)
{
	const u64 h = RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_H);
	bool zicbom;

	/* There is no nested virtualization. */
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, h), 0);
	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(self->vcpu, h, 1));

	if (!is_rust_backend())
		SKIP(return, "the C backend offers Svpbmt without Zicbom");
	zicbom = __vcpu_has_isa_ext(self->vcpu, KVM_RISCV_ISA_EXT_ZICBOM);
	TEST_ASSERT(zicbom || !__vcpu_has_isa_ext(self->vcpu, KVM_RISCV_ISA_EXT_SVPBMT),
		    "Svpbmt is offered without Zicbom");
}

/* The register has a bit for each letter but Z; what is above them is not ignored. */
TEST_F(hostile, isa_beyond_letters)
{
	u64 isa = vcpu_get_reg(self->vcpu, RISCV_CONFIG_REG(isa));
	int bit;

	if (!is_rust_backend())
		SKIP(return, "the C backend ignores bits above 31");
	for (bit = 25; bit < 64; bit++)
		EXPECT_ERRNO(EINVAL, __vcpu_set_reg(self->vcpu, RISCV_CONFIG_REG(isa),
						    isa | 1UL << bit));
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_CONFIG_REG(isa)), isa);
}

/* The state of an extension that there is not, whatever its number. */
TEST_F(hostile, no_sbi_state)
{
	static const u64 subtypes[] = { 0, 1, 2, 0xff }, numbers[] = { 0, 1, 2, 14, 15, 0xffff };
	u64 value, id;
	int i, j;

	/* Nor have these any more. */
	vcpu_set_reg(self->vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_STA), 0);
	vcpu_set_reg(self->vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_FWFT), 0);
	for (i = 0; i < ARRAY_SIZE(subtypes); i++)
		for (j = 0; j < ARRAY_SIZE(numbers); j++) {
			id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_SBI_STATE |
			     subtypes[i] << KVM_REG_RISCV_SUBTYPE_SHIFT | numbers[j];
			EXPECT_ERRNO(EINVAL, __vcpu_get_reg(self->vcpu, id, &value));
			EXPECT_ERRNO(EINVAL, __vcpu_set_reg(self->vcpu, id, 0));
		}
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

static int get_reg(struct kvm_vcpu *vcpu, u64 id, void *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (u64)value };

	return vcpu_raw(vcpu, KVM_GET_ONE_REG, &reg);
}

static int set_reg(struct kvm_vcpu *vcpu, u64 id, void *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (u64)value };

	return vcpu_raw(vcpu, KVM_SET_ONE_REG, &reg);
}

/* All registers can be read, and written back as they are, and are the same after that. */
static void write_back_all(struct kvm_vcpu *vcpu, bool has_run)
{
	struct kvm_reg_list *list = vcpu_get_reg_list(vcpu);
	void **values = calloc(list->n, sizeof(*values));
	u64 i;

	TEST_ASSERT(values, "no memory");
	for (i = 0; i < list->n; i++) {
		values[i] = calloc(1, KVM_REG_SIZE(list->reg[i]));
		TEST_ASSERT(values[i], "no memory");
		TEST_ASSERT(!get_reg(vcpu, list->reg[i], values[i]),
			    "read of 0x%llx: errno %d", list->reg[i], errno);
	}
	for (i = 0; i < list->n; i++) {
		u64 type = list->reg[i] & KVM_REG_RISCV_TYPE_MASK;

		if (!set_reg(vcpu, list->reg[i], values[i])) {
			TEST_ASSERT(type != KVM_REG_RISCV_SBI_EXT || !has_run,
				    "write of 0x%llx after the first run", list->reg[i]);
			continue;
		}
		/* Which SBI extensions there are is not to be set any more. */
		TEST_ASSERT(type == KVM_REG_RISCV_SBI_EXT && has_run && errno == EBUSY,
			    "write of 0x%llx: errno %d", list->reg[i], errno);
	}
	for (i = 0; i < list->n; i++) {
		size_t size = KVM_REG_SIZE(list->reg[i]);

		TEST_ASSERT(!get_reg(vcpu, list->reg[i], reg_buffer),
			    "second read of 0x%llx: errno %d", list->reg[i], errno);
		TEST_ASSERT(list->reg[i] == RISCV_TIMER_REG(time) ||
			    !memcmp(reg_buffer, values[i], size),
			    "0x%llx is changed by writing it back", list->reg[i]);
		free(values[i]);
	}
	free(values);
	free(list);
}

TEST_F(hostile, write_back)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	u64 pc;

	if (!is_rust_backend())
		SKIP(return, "the C backend refuses OFF for the timer's state");
	write_back_all(vcpu, false);
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_MMIO);
	TEST_ASSERT(!vcpu->run->mmio.is_write, "not the first exit");

	/* In the middle of a load, which the next KVM_RUN completes. */
	pc = vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc));
	write_back_all(vcpu, true);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_CORE_REG(regs.pc)), pc);
	vcpu->run->mmio.data[0] = 0x5a;
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_MMIO);
	TEST_ASSERT(vcpu->run->mmio.is_write, "not the second exit");
	TEST_ASSERT_EQ(vcpu->run->mmio.data[0], 0x5a);
	write_back_all(vcpu, true);
	check_alive(self);
}

TEST_HARNESS_MAIN
