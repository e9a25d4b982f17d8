// SPDX-License-Identifier: GPL-2.0
/*
 * What the host does with the memory of a slot: it drops and replaces pages, takes
 * away rights to them, copies them when they are written, and ages them.
 *
 * The cases `protection` and `hole` make the C backend log "VCPU exit error".
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ask_guest.h"
#include "mmu_guest.h"

/*
 * The guest never sees a page that its host has dropped or replaced. On QEMU, whose
 * TLBs are emptied when a hart leaves a guest, a vCPU that is made to leave it does
 * not; nacl_fences_test looks for the fence.
 */
TEST_F(mmu, discard_while_running)
{
	struct vcpu_thread watcher;
	u64 i;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	vcpu_arch_set_entry_point(self->vcpu, guest_watch);
	vcpu_args_set(self->vcpu, 1, BASE);
	vcpu_thread_start(&watcher, self->vcpu);

	for (i = 1; i <= 100; i++) {
		WRITE_ONCE(*host_word(self, 0), i);
		TEST_ASSERT_EQ(ask(self->vm), i);
		TEST_ASSERT(!madvise(self->memory, PAGE, MADV_DONTNEED),
			    "madvise: %s", strerror(errno));
		TEST_ASSERT_EQ(ask(self->vm), 0);
	}
	for (i = 1; i <= 100; i++) {
		void *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		TEST_ASSERT(other != MAP_FAILED, "mmap: %s", strerror(errno));
		*(u64 *)other = ~i;
		TEST_ASSERT(mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				   self->memory) == self->memory,
			    "mremap: %s", strerror(errno));
		TEST_ASSERT_EQ(ask(self->vm), ~i);
	}

	stop_guest(self->vm);
	vcpu_thread_join(&watcher);
}

static void protect(void *memory, int protection)
{
	TEST_ASSERT(!mprotect(memory, PAGE, protection), "mprotect: %s", strerror(errno));
}

static void expect_run_error(struct kvm_vcpu *vcpu, int error, const char *what)
{
	TEST_ASSERT(__vcpu_run(vcpu) && errno == error, "%s: exit reason %u, errno %d",
		    what, vcpu->run->exit_reason, errno);
}

/* KVM may not do for a guest what user space could not do itself. */
TEST_F(mmu, protection)
{
	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	start_obeying(self->vcpu);
	guest_write(self, BASE, 1);
	*host_word(self, 0) = 2;

	protect(self->memory, PROT_READ);
	TEST_ASSERT_EQ(guest_read(self, BASE), 2);
	give_order(self->vm, WRITE, BASE, 3);
	expect_run_error(self->vcpu, EFAULT, "store to what mprotect made read-only");
	TEST_ASSERT_EQ(*host_word(self, 0), 2);
	/* Made writable, the same store goes through. */
	protect(self->memory, PROT_READ | PROT_WRITE);
	take_result(self);
	TEST_ASSERT_EQ(*host_word(self, 0), 3);

	protect(self->memory, PROT_NONE);
	give_order(self->vm, READ, BASE, 0);
	expect_run_error(self->vcpu, EFAULT, "load from PROT_NONE");
	protect(self->memory, PROT_READ | PROT_WRITE);
	TEST_ASSERT_EQ(take_result(self), 3);
}

TEST_F(mmu, hole)
{
	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	start_obeying(self->vcpu);
	guest_write(self, BASE, 1);

	TEST_ASSERT(!munmap(self->memory, PAGE), "munmap: %s", strerror(errno));
	give_order(self->vm, READ, BASE, 0);
	expect_run_error(self->vcpu, EFAULT, "load from a hole");
	expect_run_error(self->vcpu, EFAULT, "the same again");
	TEST_ASSERT(mmap(self->memory, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == self->memory,
		    "mmap: %s", strerror(errno));
	*host_word(self, 0) = 9;
	TEST_ASSERT_EQ(take_result(self), 9);
}

/* A fork's copy stays as it was, whatever the guest writes afterwards. */
TEST_F(mmu, copy_on_write)
{
	int go[2], status;
	char byte = 0;
	pid_t child;
	u64 page;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	start_obeying(self->vcpu);
	for (page = 0; page < PAGES; page++)
		guest_write(self, BASE + page * PAGE, page);

	TEST_ASSERT(!pipe(go), "pipe: %s", strerror(errno));
	child = fork();
	TEST_ASSERT(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		if (read(go[0], &byte, 1) != 1)
			_exit(2);
		for (page = 0; page < PAGES; page++)
			if (*host_word(self, page) != page)
				_exit(1);
		_exit(0);
	}

	for (page = 0; page < PAGES; page++) {
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), page);
		guest_write(self, BASE + page * PAGE, ~page);
		TEST_ASSERT_EQ(*host_word(self, page), ~page);
	}
	TEST_ASSERT(write(go[1], &byte, 1) == 1, "write: %s", strerror(errno));
	TEST_ASSERT(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
	TEST_ASSERT(status == 0, "the fork saw what the guest wrote after it: status 0x%x",
		    status);
}

/* --- Aging ---------------------------------------------------------------- */

#define PAGEMAP_PFN	((1UL << 55) - 1)

/* Which of the slot's pages the kernel takes for idle, by its own tracking. */
struct idle_pages {
	int bitmap;		/* of the whole machine, by frame number */
	u64 frames[PAGES];
};

static u64 read_word(int fd, u64 index)
{
	u64 word;

	TEST_ASSERT(pread(fd, &word, sizeof(word), index * sizeof(word)) == sizeof(word),
		    "pread: %s", strerror(errno));
	return word;
}

static void find_frames(struct idle_pages *idle, void *memory)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	u64 page;

	TEST_ASSERT(pagemap >= 0, "pagemap: %s", strerror(errno));
	for (page = 0; page < PAGES; page++) {
		idle->frames[page] = PAGEMAP_PFN &
			read_word(pagemap, (u64)memory / PAGE + page);
		TEST_ASSERT(idle->frames[page], "page %lu has no frame", page);
	}
	close(pagemap);
}

/* Only pages on a list of the LRU can be idle; new ones wait to be put there. */
static void drain_lru(void)
{
	write_file("/proc/sys/vm/drop_caches", "1");
}

static void mark_idle(struct idle_pages *idle)
{
	u64 page, bit;

	for (page = 0; page < PAGES; page++) {
		bit = 1UL << idle->frames[page] % 64;
		TEST_ASSERT(pwrite(idle->bitmap, &bit, sizeof(bit), idle->frames[page] / 64 *
				   sizeof(bit)) == sizeof(bit), "pwrite: %s", strerror(errno));
	}
}

/* How many are idle. To know that, the kernel asks KVM to age them. */
static int count_idle(struct idle_pages *idle)
{
	int count = 0;
	u64 page;

	for (page = 0; page < PAGES; page++)
		count += read_word(idle->bitmap, idle->frames[page] / 64) >>
			 idle->frames[page] % 64 & 1;
	return count;
}

static int find_cpus(int *cpus, int wanted)
{
	int cpu, found = 0;
	cpu_set_t allowed;

	kvm_sched_getaffinity(0, sizeof(allowed), &allowed);
	for (cpu = 0; cpu < CPU_SETSIZE && found < wanted; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[found++] = cpu;
	return found;
}

/*
 * A page is idle until its guest touches it. Aging leaves TLBs alone, so that the
 * guest has to go on where nothing is cached: the accessed bit is seen by whoever
 * walks the page table.
 */
TEST_F(mmu, aging)
{
	struct idle_pages idle;
	int cpus[2], count;
	u64 round, page;

	if (find_cpus(cpus, 2) < 2)
		SKIP(return, "there is only one CPU");
	idle.bitmap = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	if (idle.bitmap < 0)
		SKIP(return, "the kernel does not track idle pages");
	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	pin_self_to_cpu(cpus[0]);
	start_obeying(self->vcpu);
	/* Written: all that is only read is the host's one page of zeros. */
	for (page = 0; page < PAGES; page++)
		guest_write(self, BASE + page * PAGE, page);
	find_frames(&idle, self->memory);
	drain_lru();

	for (round = 0; round < 4; round++) {
		mark_idle(&idle);
		count = count_idle(&idle);
		TEST_ASSERT(count >= PAGES / 2, "%d of %d pages are idle, and none was touched",
			    count, PAGES);

		pin_self_to_cpu(cpus[(round + 1) % 2]);
		for (page = 0; page < PAGES; page++) {
			if (round & 1)
				guest_write(self, BASE + page * PAGE, round);
			else
				guest_read(self, BASE + page * PAGE);
		}
		count = count_idle(&idle);
		TEST_ASSERT(!count, "%d of %d pages are idle, and all were touched", count,
			    PAGES);
	}
	close(idle.bitmap);
}

#define TRANSPARENT	"/sys/kernel/mm/transparent_hugepage/"
#define KHUGEPAGED	TRANSPARENT "khugepaged/"
/* Of all memory by khugepaged, which skips a page that somebody else uses just then. */
#define SCANS		10

/*
 * Writes to a file of the kernel's, and returns what it held, for the way back: of
 * several words, the one in brackets.
 */
static char *tune(const char *name, const char *value)
{
	char old[64] = "", *word;
	FILE *file = fopen(name, "r+");

	TEST_ASSERT(file && fgets(old, sizeof(old), file), "%s: %s", name, strerror(errno));
	rewind(file);
	TEST_ASSERT(fputs(value, file) >= 0 && !fclose(file), "%s: %s", name, strerror(errno));
	word = strchr(old, '[');
	return word ? strndup(word + 1, strcspn(word + 1, "]")) : strdup(old);
}

/* The host forgets that it has used this memory; the guest's use is not its. */
static void forget_use(void)
{
	write_file("/proc/self/clear_refs", "1");
}

/* How often khugepaged has asked for a huge page, to make it of small ones. */
static u64 huge_pages_wanted(void)
{
	return read_number("/proc/vmstat", "thp_collapse_alloc %lu") +
	       read_number("/proc/vmstat", "thp_collapse_alloc_failed %lu");
}

static u64 scans_done(void)
{
	return read_number(KHUGEPAGED "full_scans", "%lu");
}

/*
 * khugepaged collapses small pages only if one of them was accessed, by the host or,
 * as it asks KVM, by the guest. It checks that again after unmapping them, and then
 * gives up: so this counts its attempts, on no other memory than that of this case.
 */
TEST_F(mmu, young)
{
	char *enabled, *pages, *sleep;
	u64 page, wanted, scans;

	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	enabled = tune(TRANSPARENT "enabled", "madvise");
	add_slot(self, VM_MEM_SRC_ANONYMOUS_THP, HUGE / PAGE, 0);
	madvise(self->memory, HUGE, MADV_NOHUGEPAGE);
	start_obeying(self->vcpu);
	for (page = 0; page < HUGE / PAGE; page++)
		guest_write(self, BASE + page * PAGE, page + 1);
	drain_lru();

	forget_use();
	wanted = huge_pages_wanted();
	pages = tune(KHUGEPAGED "pages_to_scan", "4096");
	sleep = tune(KHUGEPAGED "scan_sleep_millisecs", "10");
	madvise(self->memory, HUGE, MADV_HUGEPAGE);
	scans = scans_done();
	while (huge_pages_wanted() == wanted && scans_done() < scans + SCANS)
		usleep(10000);
	tune(KHUGEPAGED "pages_to_scan", pages);
	tune(KHUGEPAGED "scan_sleep_millisecs", sleep);
	tune(TRANSPARENT "enabled", enabled);
	free(pages);
	free(sleep);
	free(enabled);
	TEST_ASSERT(huge_pages_wanted() > wanted, "to KVM, the guest's pages are not in use");
	for (page = 0; page < HUGE / PAGE; page++)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), page + 1);
}

TEST_HARNESS_MAIN
