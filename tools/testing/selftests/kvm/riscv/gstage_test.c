// SPDX-License-Identifier: GPL-2.0
/*
 * The translation schemes of the G-stage, by the width of guest-physical
 * addresses that user space chooses for a VM (KVM_CAP_VM_GPA_BITS).
 *
 * Which break each case notices:
 *
 *  all of them
 *	Tables of another depth than HGATP says. A root table that is taken for
 *	one of 512 entries, so that addresses beyond share those of the others. A
 *	memslot that is refused although the VM can address it, or accepted
 *	although it cannot.
 *  sv39x4, sv48x4
 *	An access beyond the last address that is not an access to a device.
 */
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

#define PAGE		4096UL
#define FIRST_SLOT	10
#define NR_PAGES	6

/* The entries of the guest's page tables have 44 bits for the number of a page. */
#define PTE_GPA_BITS	56

#define HIGH_GVA	0x40000000UL
#define BEYOND_GVA	0x41000000UL

/* Known to the guest, too. */
static u64 round_nr;
static bool has_beyond;

static u64 *guest_page(int i)
{
	return (u64 *)(HIGH_GVA + i * PAGE);
}

static u64 pattern(u64 round, int i)
{
	return (round + 1) * 0x9e3779b97f4a7c15UL ^ i;
}

static void guest_high_pages(void)
{
	int i;

	for (i = 0; i < NR_PAGES; i++)
		GUEST_ASSERT_EQ(READ_ONCE(*guest_page(i)), pattern(round_nr, i));
	/* All are written before any is read: none is another one. */
	for (i = 0; i < NR_PAGES; i++)
		WRITE_ONCE(*guest_page(i), pattern(round_nr + 1, i));
	for (i = 0; i < NR_PAGES; i++)
		GUEST_ASSERT_EQ(READ_ONCE(*guest_page(i)), pattern(round_nr + 1, i));
	if (has_beyond) {
		GUEST_ASSERT_EQ(READ_ONCE(*(u64 *)BEYOND_GVA), 0x1122334455667788UL);
		WRITE_ONCE(*(u64 *)(BEYOND_GVA + 8), 0x8877665544332211UL);
	}
	GUEST_DONE();
}

/* The memory of a VM that has no vCPU yet, taken away or given again. */
static void set_memory(struct kvm_vm *vm, bool on)
{
	struct kvm_userspace_memory_region2 region = memslot2region(vm, 0)->region;

	if (!on)
		region.memory_size = 0;
	TEST_ASSERT(!__vm_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region),
		    "KVM_SET_USER_MEMORY_REGION2: errno %d", errno);
}

static int try_slot(struct kvm_vm *vm, gpa_t gpa, void *memory)
{
	return __vm_set_user_memory_region(vm, FIRST_SLOT + NR_PAGES, 0, gpa, PAGE,
					   memory) ? errno : 0;
}

static void expect_beyond(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_run *run = vcpu->run;
	u64 value = 0x1122334455667788UL;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.phys_addr, gpa);
	TEST_ASSERT_EQ(run->mmio.is_write, 0);
	TEST_ASSERT_EQ(run->mmio.len, 8);
	memcpy(run->mmio.data, &value, sizeof(value));

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.phys_addr, gpa + 8);
	TEST_ASSERT_EQ(run->mmio.is_write, 1);
	memcpy(&value, run->mmio.data, sizeof(value));
	TEST_ASSERT_EQ(value, 0x8877665544332211UL);
}

/* `asked` is the width that user space asks for, `bits` the one that it gets. */
static void test_width(int asked, int bits)
{
	static u8 spare[PAGE] __aligned(PAGE);
	const gpa_t top = 1UL << bits;
	/* The guest's own tables cannot name more. */
	const int reached = bits < PTE_GPA_BITS ? bits : PTE_GPA_BITS;
	/* The last page, and pages that differ from it or from low ones in one bit. */
	const gpa_t gpas[NR_PAGES] = {
		(1UL << reached) - PAGE,
		(1UL << (reached - 1)) - PAGE,
		(1UL << (reached - 2)) - PAGE,
		1UL << (reached - 1),
		1UL << (reached - 2),
		1UL << (reached - 3),
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	u64 *host[NR_PAGES];
	int i;

	vm = __vm_create(VM_SHAPE_DEFAULT, 1, 0);
	set_memory(vm, false);
	vm_enable_cap(vm, KVM_CAP_VM_GPA_BITS, asked);
	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_VM_GPA_BITS), bits);
	set_memory(vm, true);
	TEST_ASSERT(__vm_enable_cap(vm, KVM_CAP_VM_GPA_BITS, asked) && errno == EBUSY,
		    "the width was set of a VM that has memory");
	vcpu = vm_vcpu_add(vm, 0, guest_high_pages);
	vm_init_vector_tables(vm);
	vcpu_init_vector_tables(vcpu);

	/* A slot just beyond the last address, one far beyond, and the last one that fits. */
	TEST_ASSERT_EQ(try_slot(vm, top, spare), EFAULT);
	TEST_ASSERT_EQ(try_slot(vm, top * 2 - PAGE, spare), EFAULT);
	TEST_ASSERT_EQ(try_slot(vm, top - PAGE, spare), 0);
	TEST_ASSERT(!__vm_set_user_memory_region(vm, FIRST_SLOT + NR_PAGES, 0, top - PAGE, 0,
						 spare), "delete: errno %d", errno);

	for (i = 0; i < NR_PAGES; i++) {
		vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, gpas[i],
					    FIRST_SLOT + i, 1, 0);
		virt_pg_map(vm, (gva_t)guest_page(i), gpas[i]);
		host[i] = addr_gpa2hva(vm, gpas[i]);
	}
	has_beyond = bits < PTE_GPA_BITS;
	if (has_beyond)
		virt_pg_map(vm, BEYOND_GVA, top);
	sync_global_to_guest(vm, has_beyond);

	for (round_nr = 0; round_nr < 4; round_nr++) {
		sync_global_to_guest(vm, round_nr);
		for (i = 0; i < NR_PAGES; i++) {
			/* In every other round, the host replaces the frames. */
			if (round_nr & 1)
				TEST_ASSERT(!madvise(host[i], PAGE, MADV_DONTNEED),
					    "madvise: errno %d", errno);
			*host[i] = pattern(round_nr, i);
		}
		vcpu_arch_set_entry_point(vcpu, guest_high_pages);
		if (has_beyond)
			expect_beyond(vcpu, top);
		run_until_done(vcpu);
		for (i = 0; i < NR_PAGES; i++)
			TEST_ASSERT_EQ(*host[i], pattern(round_nr + 1, i));
	}
	kvm_vm_free(vm);
}

/* A hart with a wider scheme has the narrower ones, too (privileged specification). */
static int most_bits(void)
{
	return kvm_check_cap(KVM_CAP_VM_GPA_BITS);
}

TEST(sv39x4)
{
	test_width(41, 41);
	/* Any width that the scheme is enough for. */
	test_width(33, 41);
}

TEST(sv48x4)
{
	if (most_bits() < 50)
		SKIP(return, "the hart has no Sv48x4");
	test_width(50, 50);
	test_width(42, 50);
}

TEST(sv57x4)
{
	if (most_bits() < 59)
		SKIP(return, "the hart has no Sv57x4");
	test_width(59, 59);
	test_width(51, 59);
}

TEST_HARNESS_MAIN
