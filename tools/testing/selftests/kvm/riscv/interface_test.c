// SPDX-License-Identifier: GPL-2.0
/*
 * What user space finds when it asks KVM what there is: capabilities, devices,
 * and the registers of a new vCPU with their values.
 *
 * Each answer is a line "interface: QUESTION = ANSWER", for whoever compares two
 * backends, or two kernels. What KVM answers with a plain no has no line.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"

#define NR_CAPS		400
#define NR_DEVICES	64

#define ANSWER(question, answer, args...)				\
	printf("interface: " question " = " answer "\n", ##args)

FIXTURE(interface)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
};

FIXTURE_SETUP(interface)
{
	self->vm = vm_create_with_one_vcpu(&self->vcpu, NULL);
}

FIXTURE_TEARDOWN(interface)
{
	fflush(stdout);
	kvm_vm_free(self->vm);
}

TEST_F(interface, capabilities)
{
	int found = 0;
	u64 cap;

	for (cap = 0; cap <= NR_CAPS; cap++) {
		int system = ioctl(self->vm->kvm_fd, KVM_CHECK_EXTENSION, cap);
		int vm = ioctl(self->vm->fd, KVM_CHECK_EXTENSION, cap);

		TEST_ASSERT(system >= 0 && vm >= 0, "capability %lu: %d, of a VM %d", cap,
			    system, vm);
		if (system)
			ANSWER("capability %lu", "%d", cap, system);
		if (vm)
			ANSWER("capability %lu of a VM", "%d", cap, vm);
		found += system && vm;
	}
	TEST_ASSERT(found, "there is no capability");
}

/* Of a VM that has no vCPU: with one, some come too late. */
TEST_F(interface, enable_cap)
{
	struct kvm_vm *bare = vm_create_barebones();
	struct kvm_enable_cap cap = {};

	for (cap.cap = 0; cap.cap <= NR_CAPS; cap.cap++) {
		int error = ioctl(bare->fd, KVM_ENABLE_CAP, &cap) ? errno : 0;

		if (error != EINVAL)
			ANSWER("KVM_ENABLE_CAP of %u", "%d", cap.cap, error);
	}
	kvm_vm_free(bare);
}

TEST_F(interface, devices)
{
	struct kvm_create_device device = { .flags = KVM_CREATE_DEVICE_TEST };

	for (device.type = 0; device.type < NR_DEVICES; device.type++) {
		int error = ioctl(self->vm->fd, KVM_CREATE_DEVICE, &device) ? errno : 0;

		if (error != ENODEV)
			ANSWER("device %u", "%d", device.type, error);
	}
}

TEST_F(interface, registers)
{
	struct kvm_reg_list *list = vcpu_get_reg_list(self->vcpu);
	static u8 value[1 << 15];
	u64 i, byte;

	TEST_ASSERT(list->n, "a vCPU has no register");
	for (i = 0; i < list->n; i++) {
		u64 id = list->reg[i];

		/* It differs from call to call. */
		if (id == RISCV_TIMER_REG(time)) {
			ANSWER("register 0x%lx", "time", id);
			continue;
		}
		TEST_ASSERT(!__vcpu_get_reg(self->vcpu, id, value), "register 0x%lx: errno %d",
			    id, errno);
		printf("interface: register 0x%lx = 0x", id);
		for (byte = KVM_REG_SIZE(id); byte; byte--)
			printf("%02x", value[byte - 1]);
		printf("\n");
	}
	free(list);
}

TEST_HARNESS_MAIN
