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
#include "ucall_common.h"

/* What the library's sbi.h has no name for. */
#define EXT_TIME		0x54494d45UL
#define EXT_IPI			0x735049UL
#define EXT_RFENCE		0x52464e43UL
#define EXT_HSM			0x48534dUL
#define EXT_SRST		0x53525354UL
#define EXT_SUSP		0x53555350UL
#define EXT_DBCN		0x4442434eUL
#define EXT_STA			0x535441UL
#define EXT_FWFT		0x46574654UL
#define EXT_MPXY		0x4d505859UL
#define EXT_FORWARD		((u64)SBI_EXT_EXPERIMENTAL_START)
#define EXT_VENDOR		0x09000000UL

#define HSM_START		0
#define HSM_STOP		1
#define HSM_STATUS		2
#define HSM_SUSPEND		3

#define ALL_HARTS		(-1UL)
#define NO_SUCH_HART		99
#define UNBACKED_GPA		0x7000000000UL

#define NR_VCPUS		3

/* As wide as the registers are: the library's sbi_ecall() takes ints. */
static inline struct sbiret call6(u64 ext, u64 fid, u64 arg0, u64 arg1, u64 arg2,
				  u64 arg3, u64 arg4, u64 arg5)
{
	register u64 a0 asm("a0") = arg0;
	register u64 a1 asm("a1") = arg1;
	register u64 a2 asm("a2") = arg2;
	register u64 a3 asm("a3") = arg3;
	register u64 a4 asm("a4") = arg4;
	register u64 a5 asm("a5") = arg5;
	register u64 a6 asm("a6") = fid;
	register u64 a7 asm("a7") = ext;

	asm volatile("ecall" : "+r" (a0), "+r" (a1)
		     : "r" (a2), "r" (a3), "r" (a4), "r" (a5), "r" (a6), "r" (a7)
		     : "memory");
	return (struct sbiret){ .error = a0, .value = a1 };
}

#define CALL(ext, fid, args...)	CALL_(ext, fid, ##args, 0, 0, 0, 0, 0, 0)
#define CALL_(ext, fid, a0, a1, a2, a3, a4, a5, ...)			\
	call6(ext, fid, a0, a1, a2, a3, a4, a5)

#define GUEST_ASSERT_ERROR(expected, call)				\
do {									\
	struct sbiret __ret = (call);					\
									\
	__GUEST_ASSERT(__ret.error == (expected),			\
		       "%s: error %ld, not %ld", #call, __ret.error,	\
		       (long)(expected));				\
} while (0)

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
