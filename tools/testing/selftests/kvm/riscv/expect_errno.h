/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ioctls that must fail, and how.
 */
#ifndef SELFTEST_KVM_RISCV_EXPECT_ERRNO_H
#define SELFTEST_KVM_RISCV_EXPECT_ERRNO_H

#include "kvm_util.h"

/* The kernel's half of the address space, and a hole in ours. */
#define KERNEL_ADDRESS	(-8192UL)

/* Without the library's check that the argument is of the right type. */
#define vcpu_raw(vcpu, request, arg)	ioctl((vcpu)->fd, request, (unsigned long)(arg))
#define vm_raw(vm, request, arg)	ioctl((vm)->fd, request, (unsigned long)(arg))

#define EXPECT_ERRNO(expected, call)					\
do {									\
	int __ret = (call);						\
	int __errno = errno;						\
									\
	TEST_ASSERT(__ret == -1, "%s returned %d", #call, __ret);	\
	TEST_ASSERT(__errno == (expected), "%s: errno %d (%s), not %d",	\
		    #call, __errno, strerror(__errno), (expected));	\
} while (0)

#endif /* SELFTEST_KVM_RISCV_EXPECT_ERRNO_H */
