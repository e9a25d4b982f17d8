/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls of the SBI by a guest, and the numbers of extensions and functions.
 */
#ifndef SELFTEST_KVM_RISCV_SBI_CALL_H
#define SELFTEST_KVM_RISCV_SBI_CALL_H

#include "kvm_util.h"
#include "processor.h"
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

/* Nor for this error. */
#define SBI_ERR_DENIED_LOCKED	-14

#define HSM_START		0
#define HSM_STOP		1
#define HSM_STATUS		2
#define HSM_SUSPEND		3

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

/* An address without memory. */
#define UNBACKED_GPA		0x7000000000UL

#define GUEST_ASSERT_ERROR(expected, call)				\
do {									\
	struct sbiret __ret = (call);					\
									\
	__GUEST_ASSERT(__ret.error == (expected),			\
		       "%s: error %ld, not %ld", #call, __ret.error,	\
		       (long)(expected));				\
} while (0)

#endif /* SELFTEST_KVM_RISCV_SBI_CALL_H */
