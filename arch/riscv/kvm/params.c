// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters that user space can change while the module is loaded. Those
 * that Rust can define are only read when it is loaded, and stand in kvm_riscv.rs.
 */

#include <linux/kvm_host.h>
#include <linux/moduleparam.h>

bool kvm_riscv_eager_page_split = true;
module_param_named(eager_page_split, kvm_riscv_eager_page_split, bool, 0644);
MODULE_PARM_DESC(eager_page_split,
		 "Split large pages when the dirty log starts, not at the first write");

unsigned int kvm_riscv_fault_around = 64;
module_param_named(fault_around, kvm_riscv_fault_around, uint, 0644);
MODULE_PARM_DESC(fault_around,
		 "Pages of 4K, up to 64, that may be mapped with one that a guest faults on");
