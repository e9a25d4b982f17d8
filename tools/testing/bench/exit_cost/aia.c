// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts by message to the other vCPU, from user space, from a wire and from
 * the guest. Each case sees that they have arrived.
 */
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "aia.h"
#include "guest.h"
#include "sleeper.h"
#include "vm.h"

/* The headers of the build machine's C library may be older than the device. */
#define DEV_TYPE_RISCV_AIA	11
enum { GRP_CONFIG, GRP_ADDR, GRP_CTRL, GRP_APLIC, GRP_IMSIC };
enum { CONFIG_MODE, CONFIG_IDS, CONFIG_SRCS, CONFIG_HART_BITS = 5 };
enum { MODE_EMUL, MODE_HWACCEL };
#define ADDR_APLIC		0
#define ADDR_IMSIC(vcpu)	(1 + (vcpu))
#define CTRL_INIT		0
#define IMSIC_REG(vcpu, reg)	((vcpu) << 12 | (reg))
#define EIP0			0x80

#define SOURCES			32
/* Registers of the APLIC. */
#define DOMAINCFG		0x0000
#define DOMAINCFG_IE		(1 << 8)
#define SOURCECFG(source)	(4 * (source))
#define SOURCECFG_EDGE1		4
#define SETIENUM		0x1edc
#define TARGET(source)		(0x3000 + 4 * (source))
#define TARGET_HART(hart)	((hart) << 18)

#define GSI			3

static int device;
static int event = -1;

static int attr_ioctl(unsigned long request, uint32_t group, uint64_t attr,
		      void *value)
{
	struct kvm_device_attr what = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)value,
	};

	return ioctl(device, request, &what);
}

static void set_attr(uint32_t group, uint64_t attr, uint64_t value)
{
	if (attr_ioctl(KVM_SET_DEVICE_ATTR, group, attr, &value))
		err(1, "attribute %lu of group %u of the AIA", attr, group);
}

static uint64_t get_attr(uint32_t group, uint64_t attr)
{
	uint64_t value = 0;

	if (attr_ioctl(KVM_GET_DEVICE_ATTR, group, attr, &value))
		err(1, "attribute %lu of group %u of the AIA", attr, group);
	return value;
}

static const char *set_up(uint32_t mode)
{
	struct kvm_create_device create = { .type = DEV_TYPE_RISCV_AIA };
	uint64_t value = mode;
	int i;

	if (ioctl(vm_fd, KVM_CREATE_DEVICE, &create)) {
		if (errno == ENODEV)
			return "the host has no AIA";
		err(1, "KVM_CREATE_DEVICE");
	}
	device = create.fd;
	if (attr_ioctl(KVM_SET_DEVICE_ATTR, GRP_CONFIG, CONFIG_MODE, &value))
		return "the host has no guest interrupt files";
	set_attr(GRP_CONFIG, CONFIG_IDS, 63);
	set_attr(GRP_CONFIG, CONFIG_SRCS, SOURCES);
	set_attr(GRP_CONFIG, CONFIG_HART_BITS, 1);
	set_attr(GRP_ADDR, ADDR_APLIC, APLIC_GPA);
	for (i = 0; i < NR_VCPUS; i++)
		set_attr(GRP_ADDR, ADDR_IMSIC(i), IMSIC_GPA + i * PAGE_SIZE);
	set_attr(GRP_CTRL, CTRL_INIT, 0);

	set_attr(GRP_APLIC, SOURCECFG(WIRE), SOURCECFG_EDGE1);
	set_attr(GRP_APLIC, TARGET(WIRE), TARGET_HART(1) | IDENTITY);
	set_attr(GRP_APLIC, SETIENUM, WIRE);
	set_attr(GRP_APLIC, DOMAINCFG, DOMAINCFG_IE);
	return NULL;
}

const char *set_up_aia(void)
{
	return set_up(MODE_EMUL);
}

const char *set_up_aia_with_files(void)
{
	return set_up(MODE_HWACCEL);
}

void signal_msis(unsigned int rounds)
{
	struct kvm_msi msi = {
		.address_lo = IMSIC_OF_OTHER,
		.data = IDENTITY,
	};

	while (rounds--)
		must_ioctl(vm_fd, KVM_SIGNAL_MSI, &msi, "KVM_SIGNAL_MSI");
}

const char *begin_irqfd(void)
{
	struct {
		struct kvm_irq_routing table;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.table.nr = 1,
		.entry = {
			.gsi = GSI,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {
				.address_lo = IMSIC_OF_OTHER,
				.data = IDENTITY,
			},
		},
	};
	struct kvm_irqfd irqfd = { .gsi = GSI };

	must_ioctl(vm_fd, KVM_SET_GSI_ROUTING, &routing, "KVM_SET_GSI_ROUTING");
	event = eventfd(0, 0);
	if (event < 0)
		err(1, "eventfd");
	irqfd.fd = event;
	must_ioctl(vm_fd, KVM_IRQFD, &irqfd, "KVM_IRQFD");
	return NULL;
}

void signal_irqfd(unsigned int rounds)
{
	uint64_t one = 1;

	while (rounds--) {
		if (write(event, &one, sizeof(one)) != sizeof(one))
			err(1, "write to an eventfd");
	}
}

void pulse_wire(unsigned int rounds)
{
	struct kvm_irq_level line = { .irq = WIRE };

	while (rounds--) {
		line.level = 1;
		must_ioctl(vm_fd, KVM_IRQ_LINE, &line, "KVM_IRQ_LINE");
		line.level = 0;
		must_ioctl(vm_fd, KVM_IRQ_LINE, &line, "KVM_IRQ_LINE");
	}
}

void take_msi_of_other(unsigned int msis)
{
	uint64_t pending = get_attr(GRP_IMSIC, IMSIC_REG(1, EIP0));

	if (pending != (msis ? 1UL << IDENTITY : 0))
		errx(1, "after %u messages, eip0 of their target is 0x%lx", msis,
		     pending);
	set_attr(GRP_IMSIC, IMSIC_REG(1, EIP0), 0);
}

/* The supervisor external interrupt ends WFI, and is taken from the file. */
GUEST_LOOP(msi_sleeper_loop, ENABLE_FILE "; li t0, 0x200; csrw sie, t0", "",
	   "wfi", CLAIM);

const char *begin_msi_sleeper(void)
{
	return begin_sleep(msi_sleeper_loop);
}
