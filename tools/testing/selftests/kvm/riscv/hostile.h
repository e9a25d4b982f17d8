/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ioctls with arguments that no sane VMM would pass, in states that none would
 * be in. Each must end in success or in an errno: the one that KVM's ABI fixes,
 * where it does. Afterwards the VM still works, or can still be freed. What is
 * also tested, by whoever runs this, is that the kernel has nothing to say.
 */
#ifndef SELFTEST_KVM_RISCV_HOSTILE_H
#define SELFTEST_KVM_RISCV_HOSTILE_H

#include "expect_errno.h"
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

static inline void guest_done(void)
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
static inline struct kvm_vcpu *another_vcpu(struct kvm_vm **vm)
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
static inline void check_alive(FIXTURE_DATA(hostile) *self)
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

static inline void interrupt(struct kvm_vcpu *vcpu, u32 irq)
{
	struct kvm_interrupt how = { .irq = irq };

	TEST_ASSERT(!vcpu_raw(vcpu, KVM_INTERRUPT, &how), "KVM_INTERRUPT: errno %d", errno);
}

#endif /* SELFTEST_KVM_RISCV_HOSTILE_H */
