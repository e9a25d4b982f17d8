// SPDX-License-Identifier: GPL-2.0
/*
 * Definitions of the trace events of KVM on RISC-V, which only C macros can
 * give; Rust calls them through rust_do_trace_*().
 */

#include <linux/kvm_host.h>

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "trace.h"
