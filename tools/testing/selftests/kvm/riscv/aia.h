/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The in-kernel AIA: the device as user space configures it, and the registers of
 * APLIC and IMSIC as a guest and as user space have them.
 *
 * "AIA" with a number is a section of "The RISC-V Advanced Interrupt Architecture",
 * version 1.0. A case that the C backend fails is skipped there, and names the
 * section that the C backend violates.
 */
#ifndef SELFTEST_KVM_RISCV_AIA_H
#define SELFTEST_KVM_RISCV_AIA_H

#include <sched.h>

#include <asm/barrier.h>
#include <linux/bits.h>

#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

/* Where the guest has its interrupt controllers; virtual addresses are the same. */
#define APLIC_GPA		0x0d000000UL
#define IMSIC_GPA		0x28000000UL
#define IMSIC_GPA_OF(vcpu)	(IMSIC_GPA + (vcpu) * 0x1000UL)

#define AIA_NO_ADDRESS		(-1UL)
#define AIA_MAX_VCPUS		4
/* More than two words of 32, and not a whole number of words. */
#define AIA_SOURCES		70

/* Registers of the APLIC: AIA 4.5. */
#define APLIC_DOMAINCFG		0x0000
#define APLIC_SOURCECFG(i)	(0x0000 + 4 * (i))
#define APLIC_SETIP(k)		(0x1c00 + 4 * (k))
#define APLIC_SETIPNUM		0x1cdc
#define APLIC_IN_CLRIP(k)	(0x1d00 + 4 * (k))
#define APLIC_CLRIPNUM		0x1ddc
#define APLIC_SETIE(k)		(0x1e00 + 4 * (k))
#define APLIC_SETIENUM		0x1edc
#define APLIC_CLRIE(k)		(0x1f00 + 4 * (k))
#define APLIC_CLRIENUM		0x1fdc
#define APLIC_SETIPNUM_LE	0x2000
#define APLIC_SETIPNUM_BE	0x2004
#define APLIC_GENMSI		0x3000
#define APLIC_TARGET(i)		(0x3000 + 4 * (i))

#define DOMAINCFG_FIXED		0x80000000U
#define DOMAINCFG_IE		BIT(8)
#define DOMAINCFG_DM		BIT(2)

#define SOURCECFG_D		BIT(10)

enum {
	SM_INACTIVE = 0,
	SM_DETACHED = 1,
	SM_EDGE1 = 4,		/* a rising edge */
	SM_EDGE0 = 5,		/* a falling edge */
	SM_LEVEL1 = 6,		/* high */
	SM_LEVEL0 = 7,		/* low */
};

#define TARGET(hart, eiid)	((u32)(hart) << 18 | (eiid))

/* Registers of an interrupt file, by number: AIA 3.7. */
#define EIDELIVERY		0x70
#define EITHRESHOLD		0x72
#define EIP(k)			(0x80 + (k))
#define EIE(k)			(0xc0 + (k))

/* Of the page of an interrupt file: AIA 3.5. */
#define SETEIPNUM_LE		0
#define SETEIPNUM_BE		4

/* What is read from stopei while `id` is the top interrupt. */
#define TOPEI(id)		((u64)(id) << 16 | (id))

#define AIA_CSR_REG(name)	__kvm_reg_id(KVM_REG_RISCV_CSR,		\
					     KVM_REG_RISCV_CSR_AIA,	\
					     KVM_REG_RISCV_CSR_AIA_REG(name), \
					     KVM_REG_SIZE_ULONG)

struct aia {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[AIA_MAX_VCPUS];
	int nr_vcpus;
	int fd;
};

static inline bool host_has_aia(void)
{
	return kvm_has_cap(KVM_CAP_IRQCHIP);
}

static inline int __aia_set(struct aia *aia, u32 group, u64 attr, u64 value)
{
	return __kvm_device_attr_set(aia->fd, group, attr, &value);
}

static inline int __aia_get(struct aia *aia, u32 group, u64 attr, u64 *value)
{
	*value = 0;
	return __kvm_device_attr_get(aia->fd, group, attr, value);
}

static inline int __aia_has(struct aia *aia, u32 group, u64 attr)
{
	return __kvm_has_device_attr(aia->fd, group, attr);
}

static inline void aia_set(struct aia *aia, u32 group, u64 attr, u64 value)
{
	TEST_ASSERT(!__aia_set(aia, group, attr, value),
		    "group %u, attribute 0x%lx, value 0x%lx: %s", group, attr, value,
		    strerror(errno));
}

static inline u64 aia_get(struct aia *aia, u32 group, u64 attr)
{
	u64 value;

	TEST_ASSERT(!__aia_get(aia, group, attr, &value), "group %u, attribute 0x%lx: %s",
		    group, attr, strerror(errno));
	return value;
}

static inline void aia_config(struct aia *aia, u64 attr, u32 value)
{
	aia_set(aia, KVM_DEV_RISCV_AIA_GRP_CONFIG, attr, value);
}

static inline u32 aia_config_of(struct aia *aia, u64 attr)
{
	return aia_get(aia, KVM_DEV_RISCV_AIA_GRP_CONFIG, attr);
}

static inline int __aia_init(struct aia *aia)
{
	return __kvm_device_attr_set(aia->fd, KVM_DEV_RISCV_AIA_GRP_CTRL,
				     KVM_DEV_RISCV_AIA_CTRL_INIT, NULL);
}

static inline void aia_init(struct aia *aia)
{
	TEST_ASSERT(!__aia_init(aia), "INIT: %s", strerror(errno));
}

static inline void aplic_set(struct aia *aia, u64 offset, u32 value)
{
	aia_set(aia, KVM_DEV_RISCV_AIA_GRP_APLIC, offset, value);
}

static inline u32 aplic_get(struct aia *aia, u64 offset)
{
	return aia_get(aia, KVM_DEV_RISCV_AIA_GRP_APLIC, offset);
}

static inline void imsic_set(struct aia *aia, int vcpu, u64 reg, u64 value)
{
	aia_set(aia, KVM_DEV_RISCV_AIA_GRP_IMSIC,
		KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)vcpu, reg), value);
}

static inline u64 imsic_get(struct aia *aia, int vcpu, u64 reg)
{
	return aia_get(aia, KVM_DEV_RISCV_AIA_GRP_IMSIC,
		       KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)vcpu, reg));
}

/* vCPUs that have not run, and the device, which is not configured yet. */
static inline void aia_create(struct aia *aia, int nr_vcpus)
{
	aia->nr_vcpus = nr_vcpus;
	aia->vm = vm_with_vcpus(nr_vcpus, NULL, aia->vcpu);
	aia->fd = kvm_create_device(aia->vm, KVM_DEV_TYPE_RISCV_AIA);
}

/* The addresses of the APLIC and of each vCPU's interrupt file. */
static inline void aia_set_addresses(struct aia *aia)
{
	int i;

	aia_set(aia, KVM_DEV_RISCV_AIA_GRP_ADDR, KVM_DEV_RISCV_AIA_ADDR_APLIC, APLIC_GPA);
	for (i = 0; i < aia->nr_vcpus; i++)
		aia_set(aia, KVM_DEV_RISCV_AIA_GRP_ADDR, KVM_DEV_RISCV_AIA_ADDR_IMSIC(i),
			IMSIC_GPA_OF(i));
}

/* Configures what aia_create() has left, as VMMs do. */
static inline void aia_configure(struct aia *aia, u32 mode)
{
	int hart_bits = 0;

	while (1 << hart_bits < aia->nr_vcpus)
		hart_bits++;
	aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_MODE, mode);
	aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_SRCS, AIA_SOURCES);
	aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, hart_bits);
	aia_set_addresses(aia);
	aia_init(aia);
}

/* Maps the controllers for the guest. */
static inline void aia_map(struct aia *aia)
{
	virt_map(aia->vm, APLIC_GPA, APLIC_GPA, KVM_DEV_RISCV_APLIC_SIZE / 4096);
	virt_map(aia->vm, IMSIC_GPA, IMSIC_GPA, aia->nr_vcpus);
}

/* Whether the host has guest interrupt files, without which there is EMUL alone. */
static inline bool aia_has_mode(struct aia *aia, u32 mode)
{
	return !__aia_set(aia, KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_MODE,
			  mode);
}

static inline void aia_free(struct aia *aia)
{
	close(aia->fd);
	kvm_vm_free(aia->vm);
}

/*
 * For FIXTURE_SETUP: a VM whose controllers are ready in a mode that the host has;
 * otherwise the case is skipped. What a mode of guest files needs is a file on each
 * hart that its vCPUs run on, so each vCPU has a hart of its own.
 */
#define AIA_SETUP(aia, nr_vcpus, mode)					\
do {									\
	if (!host_has_aia())						\
		SKIP(return, "the host has no AIA, or the backend does not offer it"); \
	aia_create(aia, nr_vcpus);					\
	if (!aia_has_mode(aia, mode))					\
		SKIP(return, "the host has no guest interrupt files");	\
	aia_configure(aia, mode);					\
	aia_map(aia);							\
	run_on_hart(0);							\
} while (0)

static inline void run_on_hart(int hart)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(hart, &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "hart %d: %s", hart,
		    strerror(errno));
}

static inline void run_on_any_hart(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "%s", strerror(errno));
}

/* A message to an interrupt file; what the ioctl returns is not told by the ABI. */
static inline int __aia_msi(struct aia *aia, u64 address, u32 data)
{
	struct kvm_msi msi = {
		.address_lo = address,
		.address_hi = address >> 32,
		.data = data,
	};

	return __vm_ioctl(aia->vm, KVM_SIGNAL_MSI, &msi);
}

static inline void aia_msi(struct aia *aia, int vcpu, u32 id)
{
	TEST_ASSERT(__aia_msi(aia, IMSIC_GPA_OF(vcpu) + SETEIPNUM_LE, id) >= 0,
		    "KVM_SIGNAL_MSI of %u: %s", id, strerror(errno));
}

static inline void aia_irq_line(struct aia *aia, u32 source, bool level)
{
	TEST_ASSERT(!_kvm_irq_line(aia->vm, source, level), "KVM_IRQ_LINE of %u: %s", source,
		    strerror(errno));
}

/* What follows is for guests. */

static inline u32 aplic_read(u64 offset)
{
	return *(volatile u32 *)(APLIC_GPA + offset);
}

static inline void aplic_write(u64 offset, u32 value)
{
	*(volatile u32 *)(APLIC_GPA + offset) = value;
}

static inline u64 imsic_read(u64 reg)
{
	csr_write(CSR_SISELECT, reg);
	return csr_read(CSR_SIREG);
}

static inline void imsic_write(u64 reg, u64 value)
{
	csr_write(CSR_SISELECT, reg);
	csr_write(CSR_SIREG, value);
}

static inline void imsic_enable(u32 id)
{
	csr_write(CSR_SISELECT, EIE(id / 64 * 2));
	csr_set(CSR_SIREG, BIT(id % 64));
}

static inline bool imsic_is_pending(u32 id)
{
	return imsic_read(EIP(id / 64 * 2)) & BIT(id % 64);
}

/* Claims the top interrupt, and returns its number, or 0. */
static inline u32 imsic_claim(void)
{
	return csr_swap(CSR_STOPEI, 0) >> 16;
}

static inline void imsic_send(int vcpu, u32 id)
{
	*(volatile u32 *)(IMSIC_GPA_OF(vcpu) + SETEIPNUM_LE) = id;
}

/* Lets all enabled interrupts of this vCPU's file through. */
static inline void imsic_start(void)
{
	imsic_write(EITHRESHOLD, 0);
	imsic_write(EIDELIVERY, 1);
}

/* A message of this hart to itself may be seen late: AIA 3.5. */
#define GUEST_WAIT_FOR(cond)						\
do {									\
	u64 __end = csr_read(CSR_TIME) + 100000000;			\
									\
	while (!(cond))							\
		__GUEST_ASSERT(csr_read(CSR_TIME) < __end, "no %s", #cond); \
} while (0)

/* Illegal instructions so far; each is left out. */
static u64 guest_illegal;

static inline void guest_count_illegal(struct pt_regs *regs)
{
	WRITE_ONCE(guest_illegal, guest_illegal + 1);
	/* Instructions with CSRs have 4 bytes. */
	regs->epc += 4;
}

#define GUEST_ASSERT_ILLEGAL(access)					\
do {									\
	u64 __before = READ_ONCE(guest_illegal);			\
									\
	access;								\
	__GUEST_ASSERT(READ_ONCE(guest_illegal) == __before + 1,	\
		       "%s is not illegal", #access);			\
} while (0)

#endif /* SELFTEST_KVM_RISCV_AIA_H */
