/* SPDX-License-Identifier: GPL-2.0 */
/* A VM with two vCPUs and the guest's loops, without a library. */
#ifndef EXIT_COST_VM_H
#define EXIT_COST_VM_H

#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

#define NR_VCPUS	2
/* Under this name it also tells <linux/kvm.h> how large its rings are. */
#define PAGE_SIZE	4096UL

struct vcpu {
	int fd;
	struct kvm_run *run;
};

extern int kvm_fd, vm_fd;
/* The first runs the loops. */
extern struct vcpu vcpus[NR_VCPUS];
/* On one hart, it is never in the guest at the same time. */
#define OTHER		(&vcpus[1])

int must_ioctl(int fd, unsigned long request, const void *arg,
	       const char *what);

/*
 * A VM whose vCPUs have asked their first question. Ahead of that, `set_up` is
 * called, if there is such; what it returns is why there is no such VM, or NULL.
 */
const char *create_vm(const char *(*set_up)(void));

/* Makes the slot of data pages anew: none of them is in the G-stage table. */
void replace_data_slot(void);
/* From then on they are shared memory. */
void share_data_pages(void);
void drop_data_pages(void);
/* Changes the flags of the slot of data pages. */
void set_data_slot_flags(uint32_t flags);
/* The pages that were written since the last call; protects them. */
unsigned int take_dirty_pages(void);
/* From then on, that neither forgets nor protects them, but this does. */
void protect_by_hand(void);
void clear_dirty_pages(unsigned int pages);

/* A slot of LARGE_PAGES, which the host has. */
void add_large_slot(void);
void set_large_slot_flags(uint32_t flags);
/* What the host lets it be used for, by PROT_*. */
void protect_large_slot(int prot);
/* The pages of it that are in the log. */
unsigned int take_dirty_large_pages(void);

/* ONE_REG. To get one fails, with errno set, if the vCPU has no such. */
int get_reg(struct vcpu *vcpu, uint64_t id, uint64_t *value);
void set_reg(struct vcpu *vcpu, uint64_t id, uint64_t value);

/* Answers the question that the vCPU waits with. */
void answer(struct vcpu *vcpu, const char *loop, unsigned int rounds);
/* KVM_RUN, once. Returns whether the vCPU asks its next question. */
int run_once(struct vcpu *vcpu);
/* From one question to the next. */
void run_loop(struct vcpu *vcpu, const char *loop, unsigned int rounds);
/* What the guest says with its question: 0 if all was well. */
uint64_t complaint(const struct vcpu *vcpu);

#endif /* EXIT_COST_VM_H */
