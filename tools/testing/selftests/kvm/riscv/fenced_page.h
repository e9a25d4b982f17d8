/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A page that the guest maps to two places by turns, with a fence each time.
 */
#ifndef SELFTEST_KVM_RISCV_FENCED_PAGE_H
#define SELFTEST_KVM_RISCV_FENCED_PAGE_H

#include "run_guest.h"

static u64 *guest_pte;		/* of the page at fence_gva, as the guest sees it */
static u64 fence_gva;
static u64 fence_ptes[2];	/* the two mappings */
static u64 fence_values[2];	/* what is read there, by either */

static inline void prepare_fence_page(struct kvm_vm *vm)
{
	gva_t pages = vm_alloc_pages(vm, 2);
	int i;

	fence_gva = pages;
	for (i = 0; i < 2; i++) {
		fence_ptes[i] = *pte_of(vm, pages + i * 4096);
		fence_values[i] = 0x1111111111111111UL * (i + 1);
		*(u64 *)addr_gva2hva(vm, pages + i * 4096) = fence_values[i];
	}
	guest_pte = map_pte(vm, fence_gva);
	sync_global_to_guest(vm, fence_gva);
	sync_global_to_guest(vm, fence_ptes);
	sync_global_to_guest(vm, fence_values);
	sync_global_to_guest(vm, guest_pte);
}

#endif /* SELFTEST_KVM_RISCV_FENCED_PAGE_H */
