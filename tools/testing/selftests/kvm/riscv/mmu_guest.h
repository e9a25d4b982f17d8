/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VM with a slot of data, and a guest that does single accesses, as it is told.
 *
 * The slot is mapped at the same address in the guest and in its physical memory,
 * so that "address" means both.
 */
#ifndef SELFTEST_KVM_RISCV_MMU_GUEST_H
#define SELFTEST_KVM_RISCV_MMU_GUEST_H

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

#define PAGE		4096UL
#define HUGE		(2UL << 20)

#define SLOT		10
#define BASE		0x40000000UL
#define PAGES		64

FIXTURE(mmu)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	void *memory;		/* of the data slot */
};

static inline void add_slot(FIXTURE_DATA(mmu) *self, enum vm_mem_backing_src_type type,
			    u64 pages, u32 flags)
{
	vm_userspace_mem_region_add(self->vm, type, BASE, SLOT, pages, flags);
	virt_map(self->vm, BASE, BASE, pages);
	self->memory = addr_gpa2hva(self->vm, BASE);
}

FIXTURE_SETUP(mmu)
{
	self->vm = vm_with_vcpus(1, NULL, &self->vcpu);
}

FIXTURE_TEARDOWN(mmu)
{
	kvm_vm_free(self->vm);
}

static inline u64 *host_word(FIXTURE_DATA(mmu) *self, u64 page)
{
	return self->memory + page * PAGE;
}

enum { READ, WRITE, CALL };

/* GUEST_SYNC gives the result and asks; user space puts the answer here. */
static struct {
	u64 what, address, value, result;
} order;

static inline void guest_obey(void)
{
	for (;;) {
		GUEST_SYNC(0);
		switch (READ_ONCE(order.what)) {
		case READ:
			WRITE_ONCE(order.result, READ_ONCE(*(u64 *)order.address));
			break;
		case WRITE:
			WRITE_ONCE(*(u64 *)order.address, order.value);
			break;
		case CALL:
			asm volatile("fence.i");
			WRITE_ONCE(order.result, ((u64 (*)(void))order.address)());
			break;
		}
	}
}

static inline void start_obeying(struct kvm_vcpu *vcpu)
{
	vcpu_arch_set_entry_point(vcpu, guest_obey);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "not reached");
}

static inline void give_order(struct kvm_vm *vm, u64 what, u64 address, u64 value)
{
	order.what = what;
	order.address = address;
	order.value = value;
	sync_global_to_guest(vm, order);
}

/* Waits until it is done, and takes the result. */
static inline u64 take_result(FIXTURE_DATA(mmu) *self)
{
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "not reached");
	sync_global_from_guest(self->vm, order);
	return order.result;
}

static inline u64 guest_read(FIXTURE_DATA(mmu) *self, u64 address)
{
	give_order(self->vm, READ, address, 0);
	return take_result(self);
}

static inline void guest_write(FIXTURE_DATA(mmu) *self, u64 address, u64 value)
{
	give_order(self->vm, WRITE, address, value);
	take_result(self);
}

static inline u64 guest_call(FIXTURE_DATA(mmu) *self, u64 address)
{
	give_order(self->vm, CALL, address, 0);
	return take_result(self);
}

/* How many page tables all VMs have. */
static inline u64 page_tables(void)
{
	/* Each CPU counts for itself, until it is asked. */
	write_file("/proc/sys/vm/stat_refresh", "1");
	return read_number("/proc/vmstat", "nr_sec_page_table_pages %lu");
}

/* Writes all small pages of a huge one, which takes few exits if it is one. */
static inline void write_in_large(FIXTURE_DATA(mmu) *self, const char *what)
{
	const u64 pages = HUGE / PAGE;
	u64 page, exits;

	/* Whatever fences there were to do are done by then. */
	guest_write(self, BASE, 1);
	exits = vcpu_get_stat(self->vcpu, exits);
	for (page = 0; page < pages; page++)
		guest_write(self, BASE + page * PAGE, page + 1);
	exits = vcpu_get_stat(self->vcpu, exits) - exits;
	/* One exit is the order's. Host interrupts add some. */
	TEST_ASSERT(exits < pages + pages / 2, "%s: %lu exits: no huge mapping", what,
		    exits);
	for (page = 0; page < pages; page++)
		TEST_ASSERT_EQ(*host_word(self, page), page + 1);
}

#endif /* SELFTEST_KVM_RISCV_MMU_GUEST_H */
