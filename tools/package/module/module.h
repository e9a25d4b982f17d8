/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What passes between the backend's object and the C that a module of its own
 * needs.
 */
#ifndef KVM_RISCV_MODULE_H
#define KVM_RISCV_MODULE_H

int kvm_rust_printk(const char *format, const char *module, const void *arguments);
int kvm_rust_init_module(void);
int init_module(void);

/* Of the kernel crate. Writes no further than end; returns where it would be. */
char *rust_fmt_argument(char *buf, char *end, const void *arguments);

#endif /* KVM_RISCV_MODULE_H */
