/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rust's view of the trace events of KVM on RISC-V. The events themselves are
 * those of both backends, in trace.h, so that tools see the same names and
 * fields whichever is loaded.
 */
#ifndef __RISCV_KVM_TRACE_POINTS_H
#define __RISCV_KVM_TRACE_POINTS_H

#include <linux/kvm_host.h>
#include "trace.h"

#endif /* __RISCV_KVM_TRACE_POINTS_H */
