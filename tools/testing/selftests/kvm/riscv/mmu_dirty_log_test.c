// SPDX-License-Identifier: GPL-2.0
/*
 * The log of dirty pages: each page that was written is in it, and no other one,
 * whatever the size of the host's pages and whoever shares them.
 */
#include <asm/barrier.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ask_guest.h"
#include "mmu_guest.h"

#define BITMAP_WORDS	(2 * HUGE / PAGE / 64)

static u64 bitmap[BITMAP_WORDS];

/* Of the first 128 pages, exactly these have been written. */
static void expect_dirty(FIXTURE_DATA(mmu) *self, const char *what, u64 low, u64 high)
{
	memset(bitmap, 0xff, sizeof(bitmap));
	kvm_vm_get_dirty_log(self->vm, SLOT, bitmap);
	TEST_ASSERT(bitmap[0] == low, "%s: pages 0x%lx of the first 64 are dirty, not 0x%lx",
		    what, bitmap[0], low);
	TEST_ASSERT(bitmap[1] == high, "%s: pages 0x%lx of the next 64 are dirty, not 0x%lx",
		    what, bitmap[1], high);
}

static void write_pages(FIXTURE_DATA(mmu) *self, u64 low, u64 high)
{
	u64 page;

	for (page = 0; page < 128; page++)
		if ((page < 64 ? low >> page : high >> (page - 64)) & 1)
			guest_write(self, BASE + page * PAGE, page);
}

static void log_dirty_pages(FIXTURE_DATA(mmu) *self)
{
	u64 page;

	/* Mapped writable before the log is switched on. */
	write_pages(self, -1UL, 0);
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	expect_dirty(self, "nothing written", 0, 0);

	write_pages(self, 0x8000000000000001, 0x10);
	expect_dirty(self, "three pages written", 0x8000000000000001, 0x10);
	expect_dirty(self, "nothing written since", 0, 0);

	/* Reading is not writing, neither what is mapped nor what is not. */
	for (page = 0; page < 128; page++)
		guest_read(self, BASE + page * PAGE);
	expect_dirty(self, "all pages read", 0, 0);

	write_pages(self, 0x8000000000000001, 0x10);
	expect_dirty(self, "the same pages again", 0x8000000000000001, 0x10);
	write_pages(self, -1UL, -1UL);
	expect_dirty(self, "all pages written", -1UL, -1UL);
}

static void log_again(FIXTURE_DATA(mmu) *self)
{
	vm_mem_region_set_flags(self->vm, SLOT, 0);
	write_pages(self, -1UL, -1UL);
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	write_pages(self, 2, 0);
	expect_dirty(self, "switched off and on again", 2, 0);
}

TEST_F(mmu, dirty_log)
{
	add_slot(self, DEFAULT_VM_MEM_SRC, 128, 0);
	memset(self->memory, 1, 128 * PAGE);
	start_obeying(self->vcpu);
	log_dirty_pages(self);
	log_again(self);
}

static void guest_count(void)
{
	u64 n = 0;

	while (!READ_ONCE(guest_stop))
		WRITE_ONCE(*(u64 *)BASE, ++n);
	GUEST_DONE();
}

static void wait_for_count(FIXTURE_DATA(mmu) *self)
{
	u64 now = READ_ONCE(*host_word(self, 0));

	while (READ_ONCE(*host_word(self, 0)) < now + 10)
		sched_yield();
}

/*
 * A vCPU in the guest does not go on writing to a page that the log has taken for
 * clean. QEMU empties a hart's TLB whenever the hart leaves a guest, so this shows
 * that the vCPU has left it; nacl_fences_test looks for the fence.
 */
TEST_F(mmu, dirty_log_while_running)
{
	struct vcpu_thread counter;
	int i;

	add_slot(self, DEFAULT_VM_MEM_SRC, 128, 0);
	memset(self->memory, 1, 128 * PAGE);
	vcpu_arch_set_entry_point(self->vcpu, guest_count);
	vcpu_thread_start(&counter, self->vcpu);
	*host_word(self, 0) = 0;
	wait_for_count(self);

	for (i = 0; i < 50; i++) {
		vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
		wait_for_count(self);
		expect_dirty(self, "written since the log is on", 1, 0);
		wait_for_count(self);
		expect_dirty(self, "written since it was read", 1, 0);
		vm_mem_region_set_flags(self->vm, SLOT, 0);
		wait_for_count(self);
	}
	stop_guest(self->vm);
	vcpu_thread_join(&counter);
}

TEST_F(mmu, dirty_log_of_huge_pages)
{
	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	/* All in one huge page, of which the log is still one of small ones. */
	add_slot(self, VM_MEM_SRC_ANONYMOUS_THP, HUGE / PAGE, 0);
	memset(self->memory, 0, HUGE);
	make_huge(self->memory, HUGE);
	start_obeying(self->vcpu);
	log_dirty_pages(self);
	if (!is_rust_backend())
		SKIP(return, "the C backend hangs in a write to a huge page that was logged");
	log_again(self);

	/* The log ends, and with it the small pages: the tables go as well. */
	vm_mem_region_set_flags(self->vm, SLOT, 0);
	write_in_large(self, "no longer logged");
}

/* A huge page that is split for the log is still the same memory. */
#define EAGER_SPLIT	"/sys/module/kvm/parameters/eager_page_split"
#define BLOCKS		16

/* Maps the slot by large pages. */
static void write_blocks(FIXTURE_DATA(mmu) *self)
{
	u64 block;

	for (block = 0; block < BLOCKS; block++)
		guest_write(self, BASE + block * HUGE, block);
}

static void log_blocks(FIXTURE_DATA(mmu) *self)
{
	add_slot(self, VM_MEM_SRC_ANONYMOUS_THP, BLOCKS * HUGE / PAGE, 0);
	memset(self->memory, 0, BLOCKS * HUGE);
	make_huge(self->memory, BLOCKS * HUGE);
	start_obeying(self->vcpu);
	write_blocks(self);
}

static void split_as_told(FIXTURE_DATA(mmu) *self)
{
	u64 before;

	log_blocks(self);
	before = page_tables();
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	TEST_ASSERT_EQ(page_tables() - before, BLOCKS);
	write_blocks(self);
	TEST_ASSERT_EQ(page_tables() - before, BLOCKS);

	/* Large again, and not split: by the first write to each. */
	vm_mem_region_set_flags(self->vm, SLOT, 0);
	write_blocks(self);
	write_file(EAGER_SPLIT, "N");
	before = page_tables();
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	TEST_ASSERT_EQ(page_tables(), before);
	guest_write(self, BASE, 1);
	guest_write(self, BASE + HUGE, 1);
	TEST_ASSERT_EQ(page_tables() - before, 2);
	write_file(EAGER_SPLIT, "Y");
}

TEST_F(mmu, split_when_the_log_starts)
{
	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	if (!is_rust_backend())
		SKIP(return, "the C backend does not count its page tables");
	split_as_told(self);
}

/* With a log that starts full, the pages that are cleared. */
TEST_F(mmu, split_when_cleared)
{
	u64 before;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	if (!is_rust_backend())
		SKIP(return, "the C backend does not count its page tables");
	vm_enable_cap(self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	log_blocks(self);
	before = page_tables();
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	TEST_ASSERT_EQ(page_tables(), before);
	kvm_vm_clear_dirty_log(self->vm, SLOT, bitmap, 0, 64);
	TEST_ASSERT_EQ(page_tables(), before);
	bitmap[0] = 1;
	kvm_vm_clear_dirty_log(self->vm, SLOT, bitmap, HUGE / PAGE, 64);
	TEST_ASSERT_EQ(page_tables() - before, 1);
	guest_write(self, BASE + HUGE, 1);
	TEST_ASSERT_EQ(page_tables() - before, 1);
}

static void guest_spin(void)
{
	while (!READ_ONCE(guest_stop))
		cpu_relax();
	GUEST_DONE();
}

/* How many large pages that are logged are written without an exit of a vCPU that spins. */
static u64 quiet_splits(FIXTURE_DATA(mmu) *self, struct kvm_vcpu *spinner)
{
	u64 block, exits, quiet = 0;

	vm_mem_region_set_flags(self->vm, SLOT, 0);
	write_blocks(self);
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	for (block = 0; block < BLOCKS; block++) {
		exits = vcpu_get_stat(spinner, exits);
		guest_write(self, BASE + block * HUGE, block);
		quiet += vcpu_get_stat(spinner, exits) == exits;
	}
	return quiet;
}

/*
 * The log has protected the large page. Its parts translate to the same, so that no other
 * vCPU has to know of them.
 */
TEST_F(mmu, split_interrupts_nobody)
{
	struct vcpu_thread thread;
	struct kvm_vcpu *spinner;
	u64 quiet = 0;
	int round;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	if (!is_rust_backend())
		SKIP(return, "the C backend makes all vCPUs fence each huge page that it splits");
	spinner = vm_vcpu_add(self->vm, 1, guest_spin);
	vcpu_init_vector_tables(spinner);
	log_blocks(self);
	write_file(EAGER_SPLIT, "N");
	vcpu_thread_start(&thread, spinner);
	TEST_ASSERT(vcpu_has_exited(spinner), "the other vCPU does not run");
	/* Ticks of the host are exits as well, but not one for each page. */
	for (round = 0; round < 10; round++)
		quiet += quiet_splits(self, spinner);
	write_file(EAGER_SPLIT, "Y");
	stop_guest(self->vm);
	vcpu_thread_join(&thread);
	TEST_ASSERT(quiet, "each page that was split made another vCPU exit");
}

TEST_F(mmu, parts_of_a_huge_page)
{
	u64 page;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	if (!is_rust_backend())
		SKIP(return, "the C backend hangs in a write to a huge page that was logged");
	add_slot(self, VM_MEM_SRC_ANONYMOUS_THP, HUGE / PAGE, 0);
	for (page = 0; page < HUGE / PAGE; page++)
		*host_word(self, page) = page + 1;
	make_huge(self->memory, HUGE);
	start_obeying(self->vcpu);
	guest_write(self, BASE, 1);
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	guest_write(self, BASE + 5 * PAGE, 6);
	for (page = 0; page < HUGE / PAGE; page++)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), page + 1);
}

/*
 * Write protection is not always there for the log's sake: the page may be
 * shared, by a fork or, being the page of zeros, by every process of the host.
 */
TEST_F(mmu, dirty_log_of_shared_pages)
{
	u64 *zeros, page;
	int status;
	pid_t child;

	if (!is_rust_backend())
		SKIP(return, "the C backend lets a guest write into the host's page of zeros");
	zeros = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(zeros != MAP_FAILED && !READ_ONCE(*zeros), "no page of zeros");
	add_slot(self, DEFAULT_VM_MEM_SRC, 128, 0);
	start_obeying(self->vcpu);

	/* Read only so far: the host has given all of them that one page. */
	for (page = 0; page < PAGES; page++)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), 0);
	vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
	for (page = 0; page < PAGES; page += 2)
		guest_write(self, BASE + page * PAGE, page + 1);
	TEST_ASSERT(!READ_ONCE(*zeros), "the guest wrote into the host's page of zeros");
	for (page = 0; page < PAGES; page++)
		TEST_ASSERT_EQ(*host_word(self, page), page & 1 ? 0 : page + 1);
	expect_dirty(self, "every other page", 0x5555555555555555, 0);

	child = fork();
	TEST_ASSERT(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		while (READ_ONCE(*host_word(self, 0)) == 1 && getppid() != 1)
			usleep(1000);
		_exit(getppid() == 1 ? 0 : 1);
	}
	/* Mapped for reading first: the log's fast path is for such pages. */
	TEST_ASSERT_EQ(guest_read(self, BASE), 1);
	guest_write(self, BASE, 1000);
	TEST_ASSERT_EQ(*host_word(self, 0), 1000);
	usleep(50000);
	TEST_ASSERT(!waitpid(child, &status, WNOHANG),
		    "the fork saw what the guest wrote after it");
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

TEST_F(mmu, dirty_log_cleared_by_hand)
{
	if (!kvm_has_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2))
		SKIP(return, "KVM has no KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	vm_enable_cap(self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	add_slot(self, DEFAULT_VM_MEM_SRC, 128, KVM_MEM_LOG_DIRTY_PAGES);
	memset(self->memory, 1, 128 * PAGE);
	start_obeying(self->vcpu);

	write_pages(self, 0xf, 1);
	expect_dirty(self, "written", 0xf, 1);
	expect_dirty(self, "read does not clear", 0xf, 1);

	/* Two of the first 64 pages, then the others. */
	memset(bitmap, 0, sizeof(bitmap));
	bitmap[0] = 3;
	kvm_vm_clear_dirty_log(self->vm, SLOT, bitmap, 0, 64);
	expect_dirty(self, "two cleared", 0xc, 1);
	write_pages(self, 1, 0);
	expect_dirty(self, "one written again", 0xd, 1);

	bitmap[0] = -1UL;
	kvm_vm_clear_dirty_log(self->vm, SLOT, bitmap, 64, 64);
	expect_dirty(self, "the second half cleared", 0xd, 0);
	bitmap[0] = -1UL;
	kvm_vm_clear_dirty_log(self->vm, SLOT, bitmap, 0, 64);
	expect_dirty(self, "all cleared", 0, 0);
	write_pages(self, 0xf, 1);
	expect_dirty(self, "all written again", 0xf, 1);
}

/* What all page tables for guests take, in KiB. */
static u64 table_kib(void)
{
	/* CPUs keep some of the count to themselves until then. */
	write_file("/proc/sys/vm/stat_refresh", "1");
	return read_number("/proc/meminfo", "SecPageTables: %lu");
}

/* How many tables that were replaced wait at most until all harts have fenced. */
#define WAITING		32
#define LOGS		(2 * WAITING)

/*
 * When the log ends, a page table of small pages goes as soon as one is accessed;
 * its memory follows together with that of others.
 */
TEST_F(mmu, small_pages_go)
{
	u64 before, now, most = 0;
	int i;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	if (!is_rust_backend())
		SKIP(return, "the C backend hangs in a write to a huge page that was logged");
	add_slot(self, VM_MEM_SRC_ANONYMOUS_THP, HUGE / PAGE, 0);
	memset(self->memory, 0, HUGE);
	make_huge(self->memory, HUGE);
	start_obeying(self->vcpu);
	guest_write(self, BASE, 1);
	before = table_kib();
	for (i = 0; i < LOGS; i++) {
		vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
		guest_write(self, BASE, 2);
		now = table_kib();
		most = now > most ? now : most;
		vm_mem_region_set_flags(self->vm, SLOT, 0);
		guest_write(self, BASE, 3);
	}
	/* Each log has had a table of its own, and the last one filled the queue again. */
	TEST_ASSERT_EQ(most, before + WAITING * PAGE / 1024);
	TEST_ASSERT_EQ(table_kib(), before);
}

#define RING_BYTES	PAGE
#define RING_ENTRIES	(RING_BYTES / sizeof(struct kvm_dirty_gfn))
#define RING_PAGES	(2 * RING_ENTRIES)
/* All pages twice: in the second round, they are clean and mapped. */
#define RING_WRITES	(2 * RING_PAGES)

static void guest_fill_ring(void)
{
	u64 i;

	for (i = 0; i < RING_WRITES; i++)
		WRITE_ONCE(*(u64 *)(BASE + i % RING_PAGES * PAGE), i + 1);
	GUEST_DONE();
}

struct ring {
	struct kvm_dirty_gfn *entries;
	u32 next;
	u64 writes;	/* of the guest, that have been found */
};

/*
 * Takes all pages out of the ring: those that the guest has written, in its order, each
 * once. A guest that stops at a full ring does so before the write by which it has become
 * full. It repeats that one, so that the last page of a ring may be the first of the next.
 */
static u32 harvest(struct ring *ring)
{
	struct kvm_dirty_gfn *entry;
	u32 count;

	for (count = 0; ; count++) {
		entry = &ring->entries[ring->next % RING_ENTRIES];
		/* The kernel sets the flag when the entry is complete. */
		if (smp_load_acquire(&entry->flags) != KVM_DIRTY_GFN_F_DIRTY)
			return count;
		TEST_ASSERT_EQ(entry->slot, SLOT);
		if (!count && ring->writes && entry->offset == (ring->writes - 1) % RING_PAGES)
			ring->writes--;
		TEST_ASSERT(entry->offset == ring->writes % RING_PAGES,
			    "entry %u is of page 0x%llx, and write %lu of page 0x%lx", count,
			    entry->offset, ring->writes, ring->writes % RING_PAGES);
		ring->writes++;
		ring->next++;
		/* The kernel may use the entry again from here on. */
		smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_RESET);
	}
}

/* A guest whose ring of dirty pages is full stops until they are taken, and reset. */
TEST_F(mmu, dirty_ring_is_full)
{
	struct kvm_vm *vm = vm_create(1);
	struct ring ring = {};
	struct kvm_vcpu *vcpu;
	u32 count, full = 0;
	u64 page;

	vm_enable_dirty_ring(vm, RING_BYTES);
	vcpu = vm_vcpu_add(vm, 0, guest_fill_ring);
	vm_userspace_mem_region_add(vm, DEFAULT_VM_MEM_SRC, BASE, SLOT, RING_PAGES,
				    KVM_MEM_LOG_DIRTY_PAGES);
	virt_map(vm, BASE, BASE, RING_PAGES);
	ring.entries = vcpu_map_dirty_ring(vcpu);

	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			break;
		full++;
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_DIRTY_RING_FULL);
		/* Nothing is taken yet, so nothing can be reset. */
		TEST_ASSERT_EQ(kvm_vm_reset_dirty_ring(vm), 0);
		count = harvest(&ring);
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_DIRTY_RING_FULL);
		TEST_ASSERT_EQ(harvest(&ring), 0);
		TEST_ASSERT_EQ(kvm_vm_reset_dirty_ring(vm), count);
	}
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
	count = harvest(&ring);
	TEST_ASSERT_EQ(kvm_vm_reset_dirty_ring(vm), count);
	TEST_ASSERT_EQ(ring.writes, RING_WRITES);
	TEST_ASSERT(full >= RING_WRITES / RING_ENTRIES, "the ring was full %u times", full);
	for (page = 0; page < RING_PAGES; page++)
		TEST_ASSERT_EQ(*(u64 *)addr_gpa2hva(vm, BASE + page * PAGE),
			       RING_WRITES - RING_PAGES + page + 1);
	kvm_vm_free(vm);
}

TEST_HARNESS_MAIN
