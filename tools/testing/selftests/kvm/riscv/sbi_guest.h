/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The SBI as a guest calls it, and a VM whose vCPUs do.
 *
 * Where the C backend answers in another way than the SBI specification says, a
 * test accepts both under C, and the answer of the Rust backend alone under Rust.
 */
#ifndef SELFTEST_KVM_RISCV_SBI_GUEST_H
#define SELFTEST_KVM_RISCV_SBI_GUEST_H

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "sbi_call.h"
#include "ucall_common.h"

#define ALL_HARTS		(-1UL)
#define NO_SUCH_HART		99

#define NR_VCPUS		3

FIXTURE(sbi)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[NR_VCPUS];
};

FIXTURE_SETUP(sbi)
{
	self->vm = vm_with_vcpus(NR_VCPUS, NULL, self->vcpu);
}

FIXTURE_TEARDOWN(sbi)
{
	kvm_vm_free(self->vm);
}

static inline void set_mp_state(struct kvm_vcpu *vcpu, u32 state)
{
	struct kvm_mp_state mp_state = { .mp_state = state };

	vcpu_mp_state_set(vcpu, &mp_state);
}

static inline u32 mp_state_of(struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state mp_state;

	vcpu_mp_state_get(vcpu, &mp_state);
	return mp_state.mp_state;
}

#endif /* SELFTEST_KVM_RISCV_SBI_GUEST_H */
