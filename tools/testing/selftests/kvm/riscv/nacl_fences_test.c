// SPDX-License-Identifier: GPL-2.0
/*
 * Which fences are done for a guest: of the VMID, the ASID and the addresses that
 * it has asked for, and of the pages that the host takes away.
 */
#include <sys/mman.h>

#include "nacl_guest.h"

#define SBI_REMOTE_SFENCE_VMA_ASID	2

#define FENCED_GVA	0x12345000UL
#define FENCED_BYTES	(3 * 4096UL)
#define FENCED_ASID	0x5a5UL

/* How often VMs take turns on a hart. */
#define TURNS		8
#define CSR_HGATP	0x680

GUEST_LOOP(guest_fence_range,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA,
		     1, 0, FENCED_GVA, FENCED_BYTES, 0, 0))
GUEST_LOOP(guest_fence_asid_range,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA_ASID,
		     1, 0, FENCED_GVA, FENCED_BYTES, FENCED_ASID, 0))
GUEST_LOOP(guest_fence_asid,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA_ASID,
		     1, 0, 0, RFENCE_ALL, FENCED_ASID, 0))

/* What the guest asks for is done, and no more. */
static void check_guest_fence(FIXTURE_DATA(nacl) *self, void *guest,
			      struct wanted_fence wanted)
{
	u64 n;

	vcpu_arch_set_entry_point(self->vcpu, guest);
	/* What is due at a first entry is no matter. */
	run_counted(self->vcpu, 1);
	n = nacl_fences(self->hart);
	run_counted(self->vcpu, 1);
	n = expect_fences(self->vcpu, self->hart, n, NACL_ANY, wanted);
	TEST_ASSERT_EQ(nacl_fences(self->hart), n);
}

TEST_F(nacl, fence_is_of_range)
{
	check_guest_fence(self, guest_fence_range, (struct wanted_fence){
			  NACL_ANY, FENCED_GVA, FENCED_BYTES });
}

TEST_F(nacl, fence_is_of_asid_and_range)
{
	check_guest_fence(self, guest_fence_asid_range, (struct wanted_fence){
			  FENCED_ASID, FENCED_GVA, FENCED_BYTES });
}

TEST_F(nacl, fence_is_of_asid)
{
	check_guest_fence(self, guest_fence_asid, (struct wanted_fence){
			  FENCED_ASID, 0, RFENCE_ALL });
}

GUEST_LOOP(guest_write, WRITE_ONCE(*(u64 *)MEM_GPA, i))

static void use_page(FIXTURE_DATA(nacl) *self)
{
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, MEM_GPA,
				    MEM_SLOT, 1, 0);
	virt_pg_map(self->vm, MEM_GPA, MEM_GPA);
	vcpu_arch_set_entry_point(self->vcpu, guest_write);
	run_counted(self->vcpu, 1);
}

static bool is_of_page(struct nacl_fence *fence, u64 vmid, u64 gpa)
{
	return fence->kind == NACL_GVMA &&
	       (fence->vmid == NACL_ANY || fence->vmid == vmid) &&
	       (fence->address == NACL_ANY ||
		(fence->address <= gpa &&
		 gpa + 4096 <= fence->address + fence->bytes));
}

/*
 * Whether a fence of the guest's page has come after the first `fences`, and before
 * the guest was entered again.
 */
static bool is_forgotten(u64 hart, u64 fences, u64 entries)
{
	struct nacl_fence fence;

	for (; fences < nacl_fences(hart); fences++) {
		fence = nacl_get_fence(hart, fences);
		if (fence.entries == entries &&
		    is_of_page(&fence, nacl_guest_vmid(hart), MEM_GPA))
			return true;
	}
	return false;
}

TEST_F(nacl, page_is_taken_away)
{
	u64 fences, entries;

	use_page(self);
	fences = nacl_fences(self->hart);
	entries = nacl_guest_entries(self->hart);
	TEST_ASSERT(!madvise(addr_gpa2hva(self->vm, MEM_GPA), 4096, MADV_DONTNEED),
		    "madvise: %s", strerror(errno));
	run_counted(self->vcpu, 1);
	TEST_ASSERT(is_forgotten(self->hart, fences, entries),
		    "the guest may still use the page");
}

TEST_F(nacl, page_is_to_be_logged)
{
	u64 fences, entries;

	use_page(self);
	fences = nacl_fences(self->hart);
	entries = nacl_guest_entries(self->hart);
	vm_mem_region_set_flags(self->vm, MEM_SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	run_counted(self->vcpu, 1);
	TEST_ASSERT(is_forgotten(self->hart, fences, entries),
		    "the guest may still write to the page");
}

GUEST_LOOP(guest_call, ({ asm volatile("fence.i" : : : "memory"); ((void (*)(void))MEM_GPA)(); }))

/*
 * A hart may have cached an entry as it was when it did not allow the access. The
 * first fetch from a page that has been data makes one that allows more.
 */
TEST_F(nacl, page_allows_more)
{
	struct nacl_fence fence;
	u64 n;

	use_page(self);
	*(u32 *)addr_gpa2hva(self->vm, MEM_GPA) = RET;
	vcpu_arch_set_entry_point(self->vcpu, guest_call);
	n = nacl_fences(self->hart);
	run_counted(self->vcpu, 1);
	for (; n < nacl_fences(self->hart); n++) {
		fence = nacl_get_fence(self->hart, n);
		if (is_of_page(&fence, nacl_guest_vmid(self->hart), MEM_GPA))
			return;
	}
	TEST_FAIL("the guest may fault on the page for ever");
}

/*
 * VMs by turns on one hart. vsatp is zero while hgatp changes, and while henvcfg
 * changes what the entries of a guest's page table mean: one of the VMs has no
 * Svpbmt, where there is any. The fixture compares the count of that afterwards.
 */
TEST_F(nacl, vsatp_is_zero_meanwhile)
{
	const u64 svpbmt = RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_SVPBMT);
	u64 writes = nacl_csr_accesses(CSR_HGATP);
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	int i;

	vm = vm_with_vcpus(1, NULL, &vcpu);
	if (__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_SVPBMT))
		vcpu_set_reg(vcpu, svpbmt, 0);
	vcpu_arch_set_entry_point(vcpu, guest_fence);
	vcpu_arch_set_entry_point(self->vcpu, guest_fence);
	for (i = 0; i < TURNS; i++) {
		run_counted(vcpu, 1);
		run_counted(self->vcpu, 1);
	}
	kvm_vm_free(vm);
	/* With sync_csr, writes to shared memory have no order. */
	if (!(self->features & NACL_SYNC_CSR))
		TEST_ASSERT(nacl_csr_accesses(CSR_HGATP) - writes >= 2 * TURNS,
			    "the VMs have not taken turns");
	TEST_ASSERT_EQ(strays(), self->strays);
}

TEST_HARNESS_MAIN
