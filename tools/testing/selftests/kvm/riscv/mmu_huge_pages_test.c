// SPDX-License-Identifier: GPL-2.0
/*
 * Huge pages: of a part of which the host disposes, that come in place of small
 * ones, and of the largest size.
 */
#include <sys/mman.h>

#include "mmu_guest.h"

#define GIGANTIC	(1UL << 30)

TEST_F(mmu, huge_page_in_part)
{
	const u64 pages = 2 * HUGE / PAGE;
	u64 page, exits;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	if (!is_rust_backend())
		SKIP(return, "the C backend warns when part of a huge page is unmapped");
	add_slot(self, VM_MEM_SRC_ANONYMOUS_THP, pages, 0);
	memset(self->memory, 0, 2 * HUGE);
	make_huge(self->memory, 2 * HUGE);
	start_obeying(self->vcpu);

	exits = vcpu_get_stat(self->vcpu, exits);
	for (page = 0; page < pages; page++)
		guest_write(self, BASE + page * PAGE, page + 1);
	exits = vcpu_get_stat(self->vcpu, exits) - exits;
	/* One exit is the order's. Host interrupts add some. */
	TEST_ASSERT(exits < pages + pages / 2, "%lu exits: no huge mapping", exits);

	/* One small page of it goes; its neighbours do not. */
	TEST_ASSERT(!madvise(self->memory + 5 * PAGE, PAGE, MADV_DONTNEED),
		    "madvise: %s", strerror(errno));
	for (page = 0; page < 16; page++)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), page == 5 ? 0 : page + 1);
	guest_write(self, BASE + 5 * PAGE, 99);
	TEST_ASSERT_EQ(*host_word(self, 5), 99);
	TEST_ASSERT_EQ(guest_read(self, BASE + HUGE), HUGE / PAGE + 1);
}

/* The host's small pages become a large one: so do the guest's. */
TEST_F(mmu, huge_page_in_place_of_small_ones)
{
	u64 page;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	if (!is_rust_backend())
		SKIP(return, "the C backend stays with small pages where there have been some");
	add_slot(self, VM_MEM_SRC_ANONYMOUS_THP, HUGE / PAGE, 0);
	madvise(self->memory, HUGE, MADV_NOHUGEPAGE);
	start_obeying(self->vcpu);
	for (page = 0; page < HUGE / PAGE; page++)
		guest_write(self, BASE + page * PAGE, page + 1);

	madvise(self->memory, HUGE, MADV_DONTNEED);
	madvise(self->memory, HUGE, MADV_HUGEPAGE);
	memset(self->memory, 0, HUGE);
	make_huge(self->memory, HUGE);
	write_in_large(self, "small pages have gone");
}

/* Of a huge page of 1 GiB, one small page is mapped every so often. */
#define PARTS		32
#define PART_PAGES	(GIGANTIC / PAGE / PARTS)
#define RESERVED	"/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages"

static bool gigantic_page_is_free(void)
{
	FILE *file = fopen(RESERVED, "r");
	int pages = 0;

	if (file) {
		if (fscanf(file, "%d", &pages) != 1)
			pages = 0;
		fclose(file);
	}
	return pages > 0;
}

static u64 part_address(u64 part)
{
	return BASE + part * PART_PAGES * PAGE;
}

/* One exit is the order's, and at first one is the fault of the guest's page table. */
static void write_parts(FIXTURE_DATA(mmu) *self, const char *what, int exits_each)
{
	u64 part, exits = vcpu_get_stat(self->vcpu, exits);

	for (part = 0; part < PARTS; part++)
		guest_write(self, part_address(part), part + 1);
	exits = vcpu_get_stat(self->vcpu, exits) - exits;
	TEST_ASSERT(exits < PARTS * exits_each + PARTS / 2,
		    "%s: %lu exits: no gigantic mapping", what, exits);
	for (part = 0; part < PARTS; part++)
		TEST_ASSERT_EQ(*host_word(self, part * PART_PAGES), part + 1);
}

static void write_in_gigantic(FIXTURE_DATA(mmu) *self)
{
	u64 part;

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS_HUGETLB_1GB, BASE, SLOT,
				    GIGANTIC / PAGE, 0);
	self->memory = addr_gpa2hva(self->vm, BASE);
	for (part = 0; part < PARTS; part++)
		virt_map(self->vm, part_address(part), part_address(part), 1);
	start_obeying(self->vcpu);
	write_parts(self, "never logged", 2);
}

/* The largest leaf there is, and while all of it is logged in small pages. */
TEST_F(mmu, gigantic_page)
{
	const u64 words = GIGANTIC / PAGE / 64;
	u64 word, *dirty;

	if (!gigantic_page_is_free())
		SKIP(return, "no huge page of 1 GiB has been reserved");
	write_in_gigantic(self);
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	guest_write(self, part_address(3), 99);
	guest_read(self, part_address(4));
	dirty = calloc(words, sizeof(*dirty));
	TEST_ASSERT(dirty, "no memory");
	kvm_vm_get_dirty_log(self->vm, SLOT, dirty);
	for (word = 0; word < words; word++)
		TEST_ASSERT_EQ(dirty[word], word == 3 * PART_PAGES / 64 ? 1 : 0);
	free(dirty);
	TEST_ASSERT_EQ(*host_word(self, 3 * PART_PAGES), 99);
}

/* It is large again when it is no longer logged. */
TEST_F(mmu, gigantic_page_again)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend hangs in a write to a huge page that was logged");
	if (!gigantic_page_is_free())
		SKIP(return, "no huge page of 1 GiB has been reserved");
	write_in_gigantic(self);
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	guest_write(self, part_address(3), 99);
	vm_mem_region_set_flags(self->vm, SLOT, 0);
	guest_write(self, BASE, 1);
	write_parts(self, "no longer logged", 1);
}

TEST_HARNESS_MAIN
