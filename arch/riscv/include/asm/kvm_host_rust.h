/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The C face of the RISC-V KVM backend that is written in Rust: what the KVM
 * core, the world switch in assembly and asm-offsets.c have to know. All other
 * state of a VM and of a vCPU belongs to Rust, behind the pointer `backend`.
 */

#ifndef __RISCV_KVM_HOST_RUST_H
#define __RISCV_KVM_HOST_RUST_H

#include <linux/types.h>
#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <asm/ptrace.h>
#include <asm/sbi.h>

#define KVM_MAX_VCPUS			1024
#define KVM_VCPU_MAX_FEATURES		0
#define KVM_HALT_POLL_NS_DEFAULT	500000
#define KVM_IRQCHIP_NUM_PINS		1024

#define __KVM_HAVE_ARCH_FLUSH_REMOTE_TLBS_RANGE
#define KVM_HAVE_MMU_RWLOCK
#define KVM_DIRTY_LOG_MANUAL_CAPS	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | \
					 KVM_DIRTY_LOG_INITIALLY_SET)

struct kvm_vm_stat {
	struct kvm_vm_stat_generic generic;
};

/* Names and order are those of the C backend: tools know them. */
struct kvm_vcpu_stat {
	struct kvm_vcpu_stat_generic generic;
	u64 ecall_exit_stat;
	u64 wfi_exit_stat;
	u64 wrs_exit_stat;
	u64 mmio_exit_user;
	u64 mmio_exit_kernel;
	u64 csr_exit_user;
	u64 csr_exit_kernel;
	u64 signal_exits;
	u64 exits;
	u64 instr_illegal_exits;
	u64 load_misaligned_exits;
	u64 store_misaligned_exits;
	u64 load_access_exits;
	u64 store_access_exits;
};

struct kvm_arch_memory_slot {
};

struct kvm_arch {
	/* Pinned state of the VM, owned by Rust. */
	void *backend;
};

/* What a trap out of the guest left in the CSRs. */
struct kvm_cpu_trap {
	unsigned long sepc;
	unsigned long scause;
	unsigned long stval;
	unsigned long htval;
	unsigned long htinst;
};

/* Registers that the world switch moves; x1 to x31 are in order. */
struct kvm_cpu_context {
	unsigned long zero;
	unsigned long ra;
	unsigned long sp;
	unsigned long gp;
	unsigned long tp;
	unsigned long t0;
	unsigned long t1;
	unsigned long t2;
	unsigned long s0;
	unsigned long s1;
	unsigned long a0;
	unsigned long a1;
	unsigned long a2;
	unsigned long a3;
	unsigned long a4;
	unsigned long a5;
	unsigned long a6;
	unsigned long a7;
	unsigned long s2;
	unsigned long s3;
	unsigned long s4;
	unsigned long s5;
	unsigned long s6;
	unsigned long s7;
	unsigned long s8;
	unsigned long s9;
	unsigned long s10;
	unsigned long s11;
	unsigned long t3;
	unsigned long t4;
	unsigned long t5;
	unsigned long t6;
	unsigned long sepc;
	unsigned long sstatus;
	unsigned long hstatus;
	union __riscv_fp_state fp;
	struct __riscv_v_ext_state vector;
};

struct kvm_vcpu_arch {
	/* Host CSRs while the guest runs. */
	unsigned long host_sscratch;
	unsigned long host_stvec;
	unsigned long host_scounteren;

	struct kvm_cpu_context host_context;
	struct kvm_cpu_context guest_context;

	/* asm-offsets.c names this one CSR of the guest. */
	struct {
		unsigned long scounteren;
	} guest_csr;

	/* Pinned state of the vCPU, owned by Rust. */
	void *backend;
};

/* A perf event that arrives while a vCPU is loaded counts as the guest's. */
static inline bool kvm_arch_pmi_in_guest(struct kvm_vcpu *vcpu)
{
	return IS_ENABLED(CONFIG_GUEST_PERF_EVENTS) && !!vcpu;
}

static inline void kvm_arch_vcpu_blocking(struct kvm_vcpu *vcpu) {}
static inline void kvm_arch_vcpu_unblocking(struct kvm_vcpu *vcpu) {}

/* params.c */
extern bool kvm_riscv_eager_page_split;
extern unsigned int kvm_riscv_fault_around;

/* switch_to.S */
int __kvm_riscv_rust_switch_to(struct kvm_vcpu_arch *arch);
long __kvm_riscv_rust_nacl_switch_to(struct kvm_vcpu_arch *arch);

/* hlv.S */
unsigned long __kvm_riscv_rust_fetch(unsigned long gva, struct kvm_cpu_trap *trap);
unsigned long __kvm_riscv_rust_read(unsigned long gva, struct kvm_cpu_trap *trap);

/* fp_regs.S */
void __kvm_riscv_rust_fp_f_save(struct kvm_cpu_context *context);
void __kvm_riscv_rust_fp_f_restore(const struct kvm_cpu_context *context);
void __kvm_riscv_rust_fp_d_save(struct kvm_cpu_context *context);
void __kvm_riscv_rust_fp_d_restore(const struct kvm_cpu_context *context);

/* vector_regs.S */
void __kvm_riscv_rust_vector_save(struct __riscv_v_ext_state *state);
void __kvm_riscv_rust_vector_restore(const struct __riscv_v_ext_state *state);

#endif /* __RISCV_KVM_HOST_RUST_H */
