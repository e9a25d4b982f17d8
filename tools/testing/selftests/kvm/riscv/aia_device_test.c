// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_DEV_TYPE_RISCV_AIA as user space configures it: each attribute, with values
 * that are good and values that are not, in the right order and in each wrong one;
 * and what belongs to the device without being an attribute of it.
 */
#include <sys/eventfd.h>

#include "aia.h"
#include "expect_errno.h"

#define CONFIG		KVM_DEV_RISCV_AIA_GRP_CONFIG
#define ADDR		KVM_DEV_RISCV_AIA_GRP_ADDR
#define CONTROL		KVM_DEV_RISCV_AIA_GRP_CTRL
#define APLIC		KVM_DEV_RISCV_AIA_GRP_APLIC
#define IMSIC		KVM_DEV_RISCV_AIA_GRP_IMSIC

#define ATTR(name)	KVM_DEV_RISCV_AIA_##name
#define IMSIC_REG(vcpu, reg)	ATTR(IMSIC_MKATTR)((u64)(vcpu), reg)

#define NR_VCPUS	2

FIXTURE(aia_device)
{
	struct aia aia;
};

FIXTURE_SETUP(aia_device)
{
	if (!host_has_aia())
		SKIP(return, "the host has no AIA, or the backend does not offer it");
	aia_create(&self->aia, NR_VCPUS);
}

FIXTURE_TEARDOWN(aia_device)
{
	aia_free(&self->aia);
}

#define SET(group, attr, value)	__aia_set(aia, group, attr, value)
#define HAS(group, attr)	__aia_has(aia, group, attr)
#define GET(group, attr)						\
({									\
	u64 __value;							\
									\
	__aia_get(aia, group, attr, &__value);				\
})

static void guest_nothing(void)
{
	GUEST_DONE();
}

static void guest_forever(void)
{
	for (;;)
		cpu_relax();
}

/* One device a VM; it is there as soon as it has been created. */
TEST_F(aia_device, create)
{
	struct aia *aia = &self->aia;
	struct kvm_create_device create = { .type = 0x7fff };
	struct kvm_vm *vm = vm_create_barebones();
	int fd;

	EXPECT_ERRNO(EEXIST, __kvm_create_device(aia->vm, KVM_DEV_TYPE_RISCV_AIA));
	TEST_ASSERT(!__kvm_test_create_device(aia->vm, KVM_DEV_TYPE_RISCV_AIA),
		    "a test of the type creates nothing: errno %d", errno);

	/* Without any vCPU, too. */
	TEST_ASSERT(!__kvm_test_create_device(vm, KVM_DEV_TYPE_RISCV_AIA), "errno %d", errno);
	fd = __kvm_create_device(vm, KVM_DEV_TYPE_RISCV_AIA);
	TEST_ASSERT(fd >= 0, "KVM_CREATE_DEVICE: errno %d", errno);
	EXPECT_ERRNO(ENODEV, ioctl(vm->fd, KVM_CREATE_DEVICE, &create));
	/* It belongs to its VM, and not to the descriptor. */
	close(fd);
	EXPECT_ERRNO(EEXIST, __kvm_create_device(vm, KVM_DEV_TYPE_RISCV_AIA));
	kvm_vm_free(vm);
}

TEST_F(aia_device, create_after_run)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_create_with_one_vcpu(&vcpu, guest_nothing);

	run_until_done(vcpu);
	EXPECT_ERRNO(EBUSY, __kvm_create_device(vm, KVM_DEV_TYPE_RISCV_AIA));
	kvm_vm_free(vm);
}

static void *ask_mp_state(void *vcpu)
{
	struct kvm_mp_state state;

	vcpu_mp_state_get(vcpu, &state);
	return NULL;
}

TEST_F(aia_device, create_while_running)
{
	struct vcpu_thread thread;
	pthread_t asker;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_create_with_one_vcpu(&vcpu, guest_forever);

	vcpu_thread_start(&thread, vcpu);
	usleep(100000);
	EXPECT_ERRNO(EBUSY, __kvm_create_device(vm, KVM_DEV_TYPE_RISCV_AIA));
	/* The thread still has the vCPU to itself: others wait for it. */
	asker = thread_start(ask_mp_state, vcpu);
	usleep(100000);
	TEST_ASSERT_EQ(pthread_tryjoin_np(asker, NULL), EBUSY);
	vcpu_thread_stop(&thread);
	pthread_join(asker, NULL);
	kvm_vm_free(vm);
}

TEST_F(aia_device, capabilities)
{
	struct aia *aia = &self->aia;

	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_IRQCHIP), 1);
	TEST_ASSERT_EQ(vm_check_cap(aia->vm, KVM_CAP_IRQCHIP), 1);
	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_DEVICE_CTRL), 1);
	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_SIGNAL_MSI), 1);
	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_IRQFD), 1);
	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_IRQ_ROUTING), 4096);
}

TEST_F(aia_device, config_defaults)
{
	struct aia *aia = &self->aia;
	u32 ids = aia_config_of(aia, ATTR(CONFIG_IDS));
	u32 mode = aia_config_of(aia, ATTR(CONFIG_MODE));

	/* The best mode that there is. */
	TEST_ASSERT_EQ(mode, aia_has_mode(aia, ATTR(MODE_HWACCEL)) ? ATTR(MODE_AUTO) :
								      ATTR(MODE_EMUL));
	TEST_ASSERT(ids >= ATTR(IDS_MIN) && ids < ATTR(IDS_MAX) && ids % 64 == 63,
		    "%u identities", ids);
	TEST_ASSERT_EQ(aia_config_of(aia, ATTR(CONFIG_SRCS)), 0);
	TEST_ASSERT_EQ(aia_config_of(aia, ATTR(CONFIG_GROUP_BITS)), 0);
	TEST_ASSERT_EQ(aia_config_of(aia, ATTR(CONFIG_GROUP_SHIFT)), ATTR(GROUP_SHIFT_MIN));
	TEST_ASSERT_EQ(aia_config_of(aia, ATTR(CONFIG_HART_BITS)), 0);
	TEST_ASSERT_EQ(aia_config_of(aia, ATTR(CONFIG_GUEST_BITS)), 0);
}

/* A good value is read back; a bad one changes nothing. */
static void check_config(struct aia *aia, u64 attr, const u32 *good, int nr_good,
			 const u32 *bad, int nr_bad)
{
	u32 last;
	int i;

	for (i = 0; i < nr_good; i++) {
		aia_config(aia, attr, good[i]);
		TEST_ASSERT_EQ(aia_config_of(aia, attr), good[i]);
	}
	last = aia_config_of(aia, attr);
	for (i = 0; i < nr_bad; i++) {
		EXPECT_ERRNO(EINVAL, SET(CONFIG, attr, bad[i]));
		TEST_ASSERT_EQ(aia_config_of(aia, attr), last);
	}
}

#define CHECK_CONFIG(attr, good, bad)					\
	check_config(aia, attr, good, ARRAY_SIZE(good), bad, ARRAY_SIZE(bad))

TEST_F(aia_device, config_values)
{
	struct aia *aia = &self->aia;
	u32 most = aia_config_of(aia, ATTR(CONFIG_IDS));
	const u32 ids[] = { 63, most, 63 };
	const u32 no_ids[] = { 0, 1, 62, 64, 127 - 1, most + 1, 2047 + 1, 2047 + 64, -1U };
	/* As many as there are identities of the host at most. */
	const u32 sources[] = { 0, 1, 31, 32, 63, most < 1023 ? most : 1023 };
	const u32 no_sources[] = { most < 1023 ? most + 1 : 1024, 1024, -1U };
	const u32 group_bits[] = { 1, 7, 0 };
	const u32 no_group_bits[] = { 8, 9, -1U };
	const u32 group_shifts[] = { 24, 55, 24 };
	const u32 no_group_shifts[] = { 0, 23, 56, 57, -1U };
	const u32 hart_bits[] = { 1, 15, 0 };
	const u32 no_hart_bits[] = { 16, 17, -1U };
	const u32 guest_bits[] = { 1, 7, 0 };
	const u32 no_guest_bits[] = { 8, 9, -1U };

	CHECK_CONFIG(ATTR(CONFIG_IDS), ids, no_ids);
	CHECK_CONFIG(ATTR(CONFIG_SRCS), sources, no_sources);
	CHECK_CONFIG(ATTR(CONFIG_GROUP_BITS), group_bits, no_group_bits);
	CHECK_CONFIG(ATTR(CONFIG_GROUP_SHIFT), group_shifts, no_group_shifts);
	CHECK_CONFIG(ATTR(CONFIG_HART_BITS), hart_bits, no_hart_bits);
	CHECK_CONFIG(ATTR(CONFIG_GUEST_BITS), guest_bits, no_guest_bits);
}

TEST_F(aia_device, config_mode)
{
	struct aia *aia = &self->aia;
	const u32 modes[] = { ATTR(MODE_HWACCEL), ATTR(MODE_AUTO), ATTR(MODE_EMUL) };
	const u32 emulation[] = { ATTR(MODE_EMUL) };
	const u32 no_modes[] = { 3, 4, -1U };

	if (aia_has_mode(aia, ATTR(MODE_HWACCEL))) {
		CHECK_CONFIG(ATTR(CONFIG_MODE), modes, no_modes);
	} else {
		CHECK_CONFIG(ATTR(CONFIG_MODE), emulation, no_modes);
		EXPECT_ERRNO(EINVAL, SET(CONFIG, ATTR(CONFIG_MODE), ATTR(MODE_AUTO)));
	}
}

/* Attributes that there are not, and memory that there is not. */
TEST_F(aia_device, unknown)
{
	static const u64 configs[] = { 7, 8, 0xff, 1UL << 32, -1UL };
	static const u64 controls[] = { 1, 2, 0xff, 1UL << 32, -1UL };
	static const u32 groups[] = { 5, 6, 0xff, -1U };
	struct aia *aia = &self->aia;
	int i;

	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		EXPECT_ERRNO(ENXIO, HAS(CONFIG, configs[i]));
		EXPECT_ERRNO(ENXIO, GET(CONFIG, configs[i]));
		EXPECT_ERRNO(ENXIO, SET(CONFIG, configs[i], 0));
	}
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		EXPECT_ERRNO(ENXIO, HAS(CONTROL, controls[i]));
		EXPECT_ERRNO(ENXIO, GET(CONTROL, controls[i]));
		EXPECT_ERRNO(ENXIO, SET(CONTROL, controls[i], 0));
	}
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		EXPECT_ERRNO(ENXIO, HAS(groups[i], 0));
		EXPECT_ERRNO(ENXIO, GET(groups[i], 0));
		EXPECT_ERRNO(ENXIO, SET(groups[i], 0, 0));
	}
	/* INIT is not read. */
	EXPECT_ERRNO(ENXIO, GET(CONTROL, ATTR(CTRL_INIT)));
}

TEST_F(aia_device, no_memory)
{
	static const u32 groups[] = { CONFIG, ADDR, APLIC, IMSIC };
	void *nowhere[] = { NULL, (void *)KERNEL_ADDRESS, (void *)-1UL };
	struct aia *aia = &self->aia;
	int round, i, j;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(groups); i++) {
			u64 attr = groups[i] == IMSIC ? IMSIC_REG(0, EIDELIVERY) : 0;

			for (j = 0; j < ARRAY_SIZE(nowhere); j++) {
				EXPECT_ERRNO(EFAULT, __kvm_device_attr_get(aia->fd, groups[i],
									   attr, nowhere[j]));
				EXPECT_ERRNO(EFAULT, __kvm_device_attr_set(aia->fd, groups[i],
									   attr, nowhere[j]));
			}
		}
		if (!round)
			aia_configure(aia, ATTR(MODE_EMUL));
	}
}

TEST_F(aia_device, has_attributes)
{
	struct aia *aia = &self->aia;
	u64 attr;

	for (attr = 0; attr < 7; attr++)
		TEST_ASSERT(!HAS(CONFIG, attr), "CONFIG %lu: errno %d", attr, errno);
	for (attr = 0; attr <= NR_VCPUS; attr++)
		TEST_ASSERT(!HAS(ADDR, attr), "ADDR %lu: errno %d", attr, errno);
	EXPECT_ERRNO(ENXIO, HAS(ADDR, attr));
	EXPECT_ERRNO(ENXIO, HAS(ADDR, -1UL));
	TEST_ASSERT(!HAS(CONTROL, ATTR(CTRL_INIT)), "INIT: errno %d", errno);

	/* Registers are there once the device is ready. */
	EXPECT_ERRNO(ENODEV, HAS(APLIC, APLIC_DOMAINCFG));
	EXPECT_ERRNO(ENODEV, HAS(IMSIC, IMSIC_REG(0, EIDELIVERY)));
	aia_configure(aia, ATTR(MODE_EMUL));
	TEST_ASSERT(!HAS(APLIC, APLIC_DOMAINCFG), "errno %d", errno);
	TEST_ASSERT(!HAS(APLIC, APLIC_SOURCECFG(AIA_SOURCES)), "errno %d", errno);
	TEST_ASSERT(!HAS(APLIC, APLIC_TARGET(AIA_SOURCES)), "errno %d", errno);
	TEST_ASSERT(!HAS(APLIC, APLIC_SETIP(2)), "errno %d", errno);
	EXPECT_ERRNO(ENODEV, HAS(APLIC, KVM_DEV_RISCV_APLIC_SIZE));
	TEST_ASSERT(!HAS(IMSIC, IMSIC_REG(1, EIDELIVERY)), "errno %d", errno);
	TEST_ASSERT(!HAS(IMSIC, IMSIC_REG(1, EITHRESHOLD)), "errno %d", errno);
	TEST_ASSERT(!HAS(IMSIC, IMSIC_REG(1, EIP(0))), "errno %d", errno);
	TEST_ASSERT(!HAS(IMSIC, IMSIC_REG(1, EIE(0))), "errno %d", errno);
	EXPECT_ERRNO(EINVAL, HAS(IMSIC, IMSIC_REG(1, EIE(1))));
	EXPECT_ERRNO(ENOENT, HAS(IMSIC, IMSIC_REG(1, 0x6f)));
	EXPECT_ERRNO(ENOENT, HAS(IMSIC, IMSIC_REG(1, 0x100)));
	EXPECT_ERRNO(ENODEV, HAS(IMSIC, IMSIC_REG(NR_VCPUS, EIDELIVERY)));
}

/* Registers of the device, by user space: which there are, and what is not one. */
TEST_F(aia_device, registers)
{
	static const u64 not_imsic[] = { 0, 0x30, 0x6f, 0x71, 0x73, 0x7f, 0x100, 0xfff };
	struct aia *aia = &self->aia;
	u32 ids;
	int i;

	EXPECT_ERRNO(ENODEV, GET(APLIC, APLIC_DOMAINCFG));
	EXPECT_ERRNO(ENODEV, SET(APLIC, APLIC_DOMAINCFG, 0));
	EXPECT_ERRNO(ENODEV, GET(IMSIC, IMSIC_REG(0, EIDELIVERY)));
	EXPECT_ERRNO(ENODEV, SET(IMSIC, IMSIC_REG(0, EIDELIVERY), 0));

	aia_configure(aia, ATTR(MODE_EMUL));
	ids = aia_config_of(aia, ATTR(CONFIG_IDS));
	EXPECT_ERRNO(EOPNOTSUPP, GET(APLIC, APLIC_DOMAINCFG + 1));
	EXPECT_ERRNO(EOPNOTSUPP, SET(APLIC, APLIC_SETIPNUM + 2, 1));
	EXPECT_ERRNO(ENODEV, GET(APLIC, KVM_DEV_RISCV_APLIC_SIZE));
	EXPECT_ERRNO(ENODEV, SET(APLIC, -4UL, 0));

	for (i = 0; i < ARRAY_SIZE(not_imsic); i++) {
		EXPECT_ERRNO(ENOENT, GET(IMSIC, IMSIC_REG(1, not_imsic[i])));
		EXPECT_ERRNO(ENOENT, SET(IMSIC, IMSIC_REG(1, not_imsic[i]), 0));
	}
	EXPECT_ERRNO(EINVAL, GET(IMSIC, IMSIC_REG(1, EIP(1))));
	EXPECT_ERRNO(EINVAL, SET(IMSIC, IMSIC_REG(1, EIE(63)), 0));
	if (ids < 2047) {
		EXPECT_ERRNO(EINVAL, GET(IMSIC, IMSIC_REG(1, EIP((ids + 1) / 32))));
		EXPECT_ERRNO(EINVAL, SET(IMSIC, IMSIC_REG(1, EIE((ids + 1) / 32)), 0));
	}
	EXPECT_ERRNO(ENODEV, GET(IMSIC, IMSIC_REG(NR_VCPUS, EIDELIVERY)));
	EXPECT_ERRNO(ENODEV, SET(IMSIC, IMSIC_REG(-1U, EIDELIVERY), 0));
}

TEST_F(aia_device, addresses)
{
	struct aia *aia = &self->aia;
	u64 attr;

	for (attr = 0; attr <= NR_VCPUS; attr++) {
		TEST_ASSERT_EQ(aia_get(aia, ADDR, attr), AIA_NO_ADDRESS);
		aia_set(aia, ADDR, attr, 0x123456000UL);
		TEST_ASSERT_EQ(aia_get(aia, ADDR, attr), 0x123456000UL);
		EXPECT_ERRNO(EINVAL, SET(ADDR, attr, 0x123456004UL));
		EXPECT_ERRNO(EINVAL, SET(ADDR, attr, 0x123456800UL));
		EXPECT_ERRNO(EINVAL, SET(ADDR, attr, -1UL));
		TEST_ASSERT_EQ(aia_get(aia, ADDR, attr), 0x123456000UL);
	}
	EXPECT_ERRNO(ENXIO, GET(ADDR, attr));
	EXPECT_ERRNO(ENXIO, SET(ADDR, attr, 0));
	EXPECT_ERRNO(ENXIO, GET(ADDR, ATTR(ADDR_MAX)));
	EXPECT_ERRNO(ENXIO, SET(ADDR, -1UL, 0));
}

/* INIT is refused as long as anything is missing or does not fit. */
TEST_F(aia_device, init_is_complete)
{
	struct aia *aia = &self->aia;

	EXPECT_ERRNO(EINVAL, __aia_init(aia));
	aia_set(aia, ADDR, ATTR(ADDR_IMSIC)(0), IMSIC_GPA);
	EXPECT_ERRNO(EINVAL, __aia_init(aia));
	aia_set(aia, ADDR, ATTR(ADDR_IMSIC)(1), IMSIC_GPA_OF(1));

	/* Interrupt files whose addresses differ in more than the number of the hart. */
	EXPECT_ERRNO(EINVAL, __aia_init(aia));
	aia_config(aia, ATTR(CONFIG_HART_BITS), 1);

	/* Sources without an APLIC, and more sources than identities. */
	aia_config(aia, ATTR(CONFIG_SRCS), 64);
	EXPECT_ERRNO(EINVAL, __aia_init(aia));
	aia_set(aia, ADDR, ATTR(ADDR_APLIC), APLIC_GPA);
	aia_config(aia, ATTR(CONFIG_IDS), 63);
	EXPECT_ERRNO(EINVAL, __aia_init(aia));
	aia_config(aia, ATTR(CONFIG_SRCS), 63);

	/* Bits of the group among those of the hart. */
	aia_config(aia, ATTR(CONFIG_GROUP_BITS), 1);
	aia_config(aia, ATTR(CONFIG_GUEST_BITS), 7);
	aia_config(aia, ATTR(CONFIG_HART_BITS), 15);
	EXPECT_ERRNO(EINVAL, __aia_init(aia));
	aia_config(aia, ATTR(CONFIG_GROUP_BITS), 0);
	aia_config(aia, ATTR(CONFIG_GUEST_BITS), 0);
	aia_config(aia, ATTR(CONFIG_HART_BITS), 1);

	/* None of this is held against what is right in the end. */
	aia_init(aia);
	TEST_ASSERT_EQ(aplic_get(aia, APLIC_DOMAINCFG), DOMAINCFG_FIXED | DOMAINCFG_DM);
	TEST_ASSERT_EQ(imsic_get(aia, 1, EIDELIVERY), 0);
	run_guest(aia->vcpu[0], guest_nothing);
	run_guest(aia->vcpu[1], guest_nothing);
}

TEST_F(aia_device, after_init)
{
	struct aia *aia = &self->aia;
	u64 attr;

	aia_configure(aia, ATTR(MODE_EMUL));
	EXPECT_ERRNO(EBUSY, __aia_init(aia));
	for (attr = 0; attr < 7; attr++) {
		u32 value = aia_config_of(aia, attr);

		EXPECT_ERRNO(EBUSY, SET(CONFIG, attr, value));
		TEST_ASSERT_EQ(aia_config_of(aia, attr), value);
	}
	for (attr = 0; attr <= NR_VCPUS; attr++) {
		u64 value = aia_get(aia, ADDR, attr);

		EXPECT_ERRNO(EBUSY, SET(ADDR, attr, value));
		TEST_ASSERT_EQ(aia_get(aia, ADDR, attr), value);
	}
	EXPECT_ERRNO(ENXIO, GET(CONFIG, 7));
}

/* As VMMs may do it that have no wire at all. */
TEST_F(aia_device, no_sources)
{
	struct aia *aia = &self->aia;

	aia_config(aia, ATTR(CONFIG_HART_BITS), 1);
	aia_set_addresses(aia);
	aia_init(aia);
	EXPECT_ERRNO(ENODEV, HAS(APLIC, APLIC_DOMAINCFG));
	EXPECT_ERRNO(ENODEV, GET(APLIC, APLIC_DOMAINCFG));
	EXPECT_ERRNO(ENODEV, SET(APLIC, APLIC_DOMAINCFG, 0));
	EXPECT_ERRNO(ENODEV, _kvm_irq_line(aia->vm, 1, 1));
	aia_msi(aia, 1, 5);
	TEST_ASSERT_EQ(imsic_get(aia, 1, EIP(0)), BIT(5));
}

TEST_F(aia_device, no_vcpus)
{
	struct aia other = { .vm = vm_create_barebones() }, *aia = &other;

	other.fd = kvm_create_device(other.vm, KVM_DEV_TYPE_RISCV_AIA);
	EXPECT_ERRNO(ENXIO, SET(ADDR, ATTR(ADDR_IMSIC)(0), IMSIC_GPA));
	aia_configure(&other, ATTR(MODE_EMUL));
	EXPECT_ERRNO(ENODEV, GET(IMSIC, IMSIC_REG(0, EIDELIVERY)));
	/* To nobody: to whom it is not, it does not matter. */
	TEST_ASSERT(__aia_msi(&other, IMSIC_GPA, 1) >= 0, "errno %d", errno);
	aia_free(&other);
}

/* A vCPU that comes too late has no interrupt file, and works. */
TEST_F(aia_device, vcpu_after_init)
{
	struct aia *aia = &self->aia;
	struct kvm_vcpu *late;

	aia_configure(aia, ATTR(MODE_EMUL));
	late = vm_vcpu_add(aia->vm, NR_VCPUS, guest_nothing);
	TEST_ASSERT_EQ(aia_get(aia, ADDR, ATTR(ADDR_IMSIC)(NR_VCPUS)), AIA_NO_ADDRESS);
	EXPECT_ERRNO(EBUSY, SET(ADDR, ATTR(ADDR_IMSIC)(NR_VCPUS), IMSIC_GPA_OF(NR_VCPUS)));
	EXPECT_ERRNO(ENODEV, HAS(IMSIC, IMSIC_REG(NR_VCPUS, EIDELIVERY)));
	EXPECT_ERRNO(ENODEV, GET(IMSIC, IMSIC_REG(NR_VCPUS, EIDELIVERY)));
	EXPECT_ERRNO(ENODEV, SET(IMSIC, IMSIC_REG(NR_VCPUS, EIDELIVERY), 0));
	TEST_ASSERT(__aia_msi(aia, IMSIC_GPA_OF(NR_VCPUS), 1) >= 0, "errno %d", errno);

	/* Nor does a wire or a message of the APLIC find one. */
	aplic_set(aia, APLIC_DOMAINCFG, DOMAINCFG_IE);
	aplic_set(aia, APLIC_SOURCECFG(1), SM_EDGE1);
	aplic_set(aia, APLIC_TARGET(1), TARGET(NR_VCPUS, 3));
	aplic_set(aia, APLIC_SETIENUM, 1);
	aia_irq_line(aia, 1, true);
	aplic_set(aia, APLIC_GENMSI, TARGET(NR_VCPUS, 3));
	run_until_done(late);
	run_guest(aia->vcpu[0], guest_nothing);
}

/* The number of a vCPU is its id in the group of registers, and its index in ADDR. */
TEST_F(aia_device, vcpu_ids)
{
	struct aia other = { .vm = vm_create(2), .nr_vcpus = 2 }, *aia = &other;

	other.vcpu[0] = vm_vcpu_add(other.vm, 7, guest_nothing);
	other.vcpu[1] = vm_vcpu_add(other.vm, 3, guest_nothing);
	other.fd = kvm_create_device(other.vm, KVM_DEV_TYPE_RISCV_AIA);
	aia_configure(&other, ATTR(MODE_EMUL));
	EXPECT_ERRNO(ENODEV, HAS(IMSIC, IMSIC_REG(0, EIDELIVERY)));
	EXPECT_ERRNO(ENODEV, HAS(IMSIC, IMSIC_REG(1, EIDELIVERY)));
	aia_msi(&other, 0, 9);
	TEST_ASSERT_EQ(imsic_get(&other, 7, EIP(0)), BIT(9));
	TEST_ASSERT_EQ(imsic_get(&other, 3, EIP(0)), 0);
	aia_free(&other);
}

TEST_F(aia_device, irq_line)
{
	struct aia *aia = &self->aia;
	struct kvm_vm *vm = vm_create_barebones();

	EXPECT_ERRNO(ENXIO, _kvm_irq_line(vm, 1, 1));
	kvm_vm_free(vm);
	EXPECT_ERRNO(EBUSY, _kvm_irq_line(aia->vm, 1, 1));
	aia_configure(aia, ATTR(MODE_EMUL));
	EXPECT_ERRNO(ENODEV, _kvm_irq_line(aia->vm, 0, 1));
	EXPECT_ERRNO(ENODEV, _kvm_irq_line(aia->vm, AIA_SOURCES + 1, 1));
	EXPECT_ERRNO(ENODEV, _kvm_irq_line(aia->vm, -1U, 0));
	/* Inactive, but there. */
	aia_irq_line(aia, 1, true);
	aia_irq_line(aia, AIA_SOURCES, false);
}

TEST_F(aia_device, signal_msi)
{
	struct aia *aia = &self->aia;
	struct kvm_msi flags = { .address_lo = IMSIC_GPA, .data = 1, .flags = 2 };
	struct aia other = { .vm = vm_create_barebones() };

	EXPECT_ERRNO(EINVAL, __aia_msi(&other, IMSIC_GPA, 1));
	kvm_vm_free(other.vm);
	EXPECT_ERRNO(EBUSY, __aia_msi(aia, IMSIC_GPA, 1));
	aia_configure(aia, ATTR(MODE_EMUL));
	EXPECT_ERRNO(EINVAL, __vm_ioctl(aia->vm, KVM_SIGNAL_MSI, &flags));
	EXPECT_ERRNO(EFAULT, vm_raw(aia->vm, KVM_SIGNAL_MSI, NULL));

	/* Identities that there are not, and addresses that do not take any. */
	EXPECT_ERRNO(ENODEV, __aia_msi(aia, IMSIC_GPA, 0));
	EXPECT_ERRNO(EINVAL, __aia_msi(aia, IMSIC_GPA,
				       aia_config_of(aia, ATTR(CONFIG_IDS)) + 1));
	EXPECT_ERRNO(EINVAL, __aia_msi(aia, IMSIC_GPA, -1U));
	EXPECT_ERRNO(ENODEV, __aia_msi(aia, IMSIC_GPA + 8, 1));
	EXPECT_ERRNO(ENODEV, __aia_msi(aia, IMSIC_GPA + 1, 1));
	TEST_ASSERT(__aia_msi(aia, IMSIC_GPA_OF(NR_VCPUS), 1) >= 0, "errno %d", errno);
	TEST_ASSERT(__aia_msi(aia, IMSIC_GPA + (1UL << 32), 1) >= 0, "errno %d", errno);
	TEST_ASSERT_EQ(imsic_get(aia, 0, EIP(0)), 0);
	TEST_ASSERT_EQ(imsic_get(aia, 1, EIP(0)), 0);

	aia_msi(aia, 1, 63);
	TEST_ASSERT_EQ(imsic_get(aia, 0, EIP(0)), 0);
	TEST_ASSERT_EQ(imsic_get(aia, 1, EIP(0)), BIT(63));
}

TEST_HARNESS_MAIN
