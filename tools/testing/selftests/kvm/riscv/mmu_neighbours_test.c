// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that are mapped with the one that a guest faults on, because the host has
 * them and the guest goes through its memory in order; and faults of two vCPUs on
 * the same pages, while the host takes them away.
 *
 * The C backend maps one page at a time, and passes as well: nothing but the number of
 * faults tells the two apart.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ask_guest.h"
#include "mmu_guest.h"

#define FAULT_AROUND	"/sys/module/kvm/parameters/fault_around"
#define PAGEMAP_PRESENT	(1UL << 63)
/* A page table's worth, all of it in one table. */
#define MANY		512UL
/* More than a guest takes that goes through them in order, with the ticks of a slow host. */
#define FEW		(MANY / 2)
/* One page in seven is left out. */
#define HOLE		7

static u64 value_of(u64 page)
{
	return 0x1000 + page;
}

static void touch_all(FIXTURE_DATA(mmu) *self)
{
	u64 page;

	for (page = 0; page < MANY; page++)
		*host_word(self, page) = value_of(page);
}

static bool is_present(FIXTURE_DATA(mmu) *self, u64 page)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	off_t offset = ((u64)self->memory / PAGE + page) * sizeof(u64);
	u64 word;

	TEST_ASSERT(pagemap >= 0, "pagemap: %s", strerror(errno));
	TEST_ASSERT(pread(pagemap, &word, sizeof(word), offset) == sizeof(word),
		    "pread: %s", strerror(errno));
	close(pagemap);
	return word & PAGEMAP_PRESENT;
}

/* Small pages, which the host has, and of which the guest has none. */
static void add_small_pages(FIXTURE_DATA(mmu) *self, u32 flags)
{
	add_slot(self, VM_MEM_SRC_ANONYMOUS, MANY, flags);
	/* Fails where the kernel has no huge pages to avoid. */
	madvise(self->memory, MANY * PAGE, MADV_NOHUGEPAGE);
	touch_all(self);
}

/* The exits of `pages` reads besides those of the orders. */
static u64 read_in_order(FIXTURE_DATA(mmu) *self, u64 first, s64 step, u64 pages)
{
	u64 exits = vcpu_get_stat(self->vcpu, exits), i, page = first;

	for (i = 0; i < pages; i++, page += step)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), value_of(page));
	return vcpu_get_stat(self->vcpu, exits) - exits - pages;
}

static void check_faults(u64 faults)
{
	if (is_rust_backend())
		TEST_ASSERT(faults < FEW, "%lu faults for %lu pages in order", faults, MANY);
	else
		TEST_ASSERT(faults >= MANY, "%lu faults for %lu pages", faults, MANY);
}

TEST_F(mmu, forwards)
{
	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	check_faults(read_in_order(self, 0, 1, MANY));
}

TEST_F(mmu, backwards)
{
	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	check_faults(read_in_order(self, MANY - 1, -1, MANY));
}

/* What goes through its memory by larger steps gets what it asks for, no more. */
TEST_F(mmu, by_steps)
{
	u64 faults;

	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	faults = read_in_order(self, 0, 2, MANY / 2);
	TEST_ASSERT(faults >= MANY / 2, "%lu faults for %lu pages", faults, MANY / 2);
	faults = read_in_order(self, 1, 2, MANY / 2);
	TEST_ASSERT(faults >= MANY / 2, "%lu faults for the pages between", faults);
}

TEST_F(mmu, turned_off)
{
	u64 faults;

	if (!is_rust_backend())
		SKIP(return, "the C backend maps one page at a time");
	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	write_file(FAULT_AROUND, "0");
	faults = read_in_order(self, 0, 1, MANY);
	write_file(FAULT_AROUND, "64");
	TEST_ASSERT(faults >= MANY, "%lu faults for %lu pages", faults, MANY);
}

/* A limit that nothing can hold is the largest there is. */
TEST_F(mmu, limit)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend maps one page at a time");
	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	write_file(FAULT_AROUND, "4294967295");
	check_faults(read_in_order(self, 0, 1, MANY));
	write_file(FAULT_AROUND, "64");
}

/*
 * A page whose accessed bit the host has cleared is not mapped as a neighbour, because the
 * leaf would say that the guest has accessed it.
 */
TEST_F(mmu, out_of_use)
{
	u64 faults;

	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	write_file("/proc/self/clear_refs", "1");
	faults = read_in_order(self, 0, 1, MANY);
	TEST_ASSERT(faults >= MANY, "%lu faults for %lu pages", faults, MANY);
}

/* What the host does not have, it is not made to have. */
TEST_F(mmu, absent)
{
	u64 page;

	add_small_pages(self, 0);
	for (page = 0; page < MANY; page += HOLE)
		TEST_ASSERT(!madvise(host_word(self, page), PAGE, MADV_DONTNEED),
			    "madvise: %s", strerror(errno));
	start_obeying(self->vcpu);
	for (page = 0; page < MANY; page++)
		if (page % HOLE)
			TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), value_of(page));
	for (page = 0; page < MANY; page += HOLE)
		TEST_ASSERT(!is_present(self, page), "the host got page %lu", page);
	for (page = 0; page < MANY; page += HOLE)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), 0);
}

/* What the guest may read without a fault, it may not for that reason write. */
TEST_F(mmu, read_only)
{
	u64 page;

	add_small_pages(self, 0);
	for (page = 0; page < MANY; page += HOLE)
		TEST_ASSERT(!mprotect(host_word(self, page), PAGE, PROT_READ),
			    "mprotect: %s", strerror(errno));
	start_obeying(self->vcpu);
	read_in_order(self, 0, 1, MANY);
	for (page = 0; page < MANY; page++) {
		u64 address = BASE + page * PAGE;

		if (page % HOLE) {
			guest_write(self, address, ~page);
			TEST_ASSERT_EQ(*host_word(self, page), ~page);
			continue;
		}
		give_order(self->vm, WRITE, address, ~page);
		TEST_ASSERT(__vcpu_run(self->vcpu) && errno == EFAULT,
			    "page %lu: exit reason %u, errno %d", page,
			    self->vcpu->run->exit_reason, errno);
		TEST_ASSERT_EQ(*host_word(self, page), value_of(page));
		TEST_ASSERT(!mprotect(host_word(self, page), PAGE, PROT_READ | PROT_WRITE),
			    "mprotect: %s", strerror(errno));
		take_result(self);
		TEST_ASSERT_EQ(*host_word(self, page), ~page);
	}
}

/* Nobody writes to the page of zeros that all processes share. */
TEST_F(mmu, zeros)
{
	volatile u64 *word;
	u64 page;

	add_small_pages(self, 0);
	TEST_ASSERT(!madvise(self->memory, MANY * PAGE, MADV_DONTNEED), "madvise: %s",
		    strerror(errno));
	for (page = 0; page < MANY; page++) {
		word = host_word(self, page);
		TEST_ASSERT_EQ(*word, 0);
	}
	start_obeying(self->vcpu);
	for (page = 0; page < MANY; page++)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), 0);
	for (page = 0; page < MANY; page++) {
		guest_write(self, BASE + page * PAGE, value_of(page));
		if (page + 1 < MANY)
			TEST_ASSERT_EQ(*host_word(self, page + 1), 0);
	}
	for (page = 0; page < MANY; page++)
		TEST_ASSERT_EQ(*host_word(self, page), value_of(page));
}

/* A fork's copy stays as it was, whatever the guest has been given to read. */
TEST_F(mmu, copied)
{
	int status;
	pid_t child;
	u64 page;

	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	child = fork();
	TEST_ASSERT(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		raise(SIGSTOP);
		for (page = 0; page < MANY; page++)
			if (*host_word(self, page) != value_of(page))
				_exit(1);
		_exit(0);
	}
	TEST_ASSERT(waitpid(child, &status, WUNTRACED) == child, "waitpid: %s",
		    strerror(errno));
	read_in_order(self, 0, 1, MANY);
	for (page = 0; page < MANY; page++) {
		guest_write(self, BASE + page * PAGE, ~page);
		TEST_ASSERT_EQ(*host_word(self, page), ~page);
	}
	kill(child, SIGCONT);
	TEST_ASSERT(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
	TEST_ASSERT(!status, "the fork saw what the guest wrote: status 0x%x", status);
}

static void check_dirty(FIXTURE_DATA(mmu) *self, u64 pages)
{
	unsigned long bitmap[MANY / 64] = { };
	u64 page;

	kvm_vm_get_dirty_log(self->vm, SLOT, bitmap);
	for (page = 0; page < MANY; page++)
		TEST_ASSERT(!(bitmap[page / 64] >> page % 64 & 1) == (page >= pages),
			    "page %lu, of which %lu were written: 0x%lx", page, pages,
			    bitmap[page / 64]);
}

/* Only what the guest has written is in the dirty log. */
TEST_F(mmu, logged)
{
	u64 page;

	add_small_pages(self, KVM_MEM_LOG_DIRTY_PAGES);
	start_obeying(self->vcpu);
	check_faults(read_in_order(self, 0, 1, MANY));
	check_dirty(self, 0);
	for (page = 0; page < MANY / 2; page++)
		guest_write(self, BASE + page * PAGE, value_of(page));
	check_dirty(self, MANY / 2);
	check_dirty(self, 0);

	/* The same for pages that are not mapped when they are written. */
	vm_mem_region_delete(self->vm, SLOT);
	add_small_pages(self, KVM_MEM_LOG_DIRTY_PAGES);
	for (page = 0; page < MANY / 2; page++)
		guest_write(self, BASE + page * PAGE, value_of(page));
	check_dirty(self, MANY / 2);
}

/*
 * While a slot begins to be logged, nothing is mapped as if it were not: what is
 * written after that is in the log.
 */
TEST_F(mmu, log_begins)
{
	u64 page, round;

	add_small_pages(self, 0);
	start_obeying(self->vcpu);
	for (round = 0; round < 4; round++) {
		for (page = 0; page < MANY / 4; page++)
			guest_write(self, BASE + page * PAGE, value_of(page));
		vm_mem_region_set_flags(self->vm, SLOT, KVM_MEM_LOG_DIRTY_PAGES);
		for (page = 0; page < MANY / 2; page++)
			guest_write(self, BASE + page * PAGE, value_of(page));
		check_dirty(self, MANY / 2);
		vm_mem_region_set_flags(self->vm, SLOT, 0);
	}
}

/* Memory that the kernel itself has not mapped is not for guests. */
TEST_F(mmu, secret)
{
	int fd = syscall(__NR_memfd_secret, 0);
	void *secret;

	if (fd < 0)
		SKIP(return, "the kernel has no memfd_secret()");
	TEST_ASSERT(!ftruncate(fd, PAGE), "ftruncate: %s", strerror(errno));
	add_small_pages(self, 0);
	secret = mmap(host_word(self, 1), PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED, fd, 0);
	TEST_ASSERT(secret == host_word(self, 1), "mmap: %s", strerror(errno));
	*host_word(self, 1) = value_of(1);
	start_obeying(self->vcpu);
	TEST_ASSERT_EQ(guest_read(self, BASE), value_of(0));
	give_order(self->vm, READ, BASE + PAGE, 0);
	TEST_ASSERT(__vcpu_run(self->vcpu) && errno == EFAULT,
		    "load from secret memory: exit reason %u, errno %d",
		    self->vcpu->run->exit_reason, errno);
	close(fd);
}

/* --- Two vCPUs, and a host that takes pages away ---------------------------- */

#define ROUNDS		10
/* Each page that goes interrupts both vCPUs, so there are not too many. */
#define SWEPT		(MANY / 4)

/* What all pages hold, from then on; and what each vCPU found wrong at last. */
static u64 generation, swept[2], wrong[2];

/* In one direction by one vCPU, in the other by the other. */
static void guest_sweep(u64 vcpu)
{
	u64 page, seen, bad;

	while (!READ_ONCE(guest_stop)) {
		seen = READ_ONCE(generation);
		/* Pages are read after the generation. Pairs with the one before it is written. */
		smp_mb();
		bad = 0;
		for (page = 0; page < SWEPT; page++) {
			u64 at = vcpu ? SWEPT - 1 - page : page;

			if (READ_ONCE(*(u64 *)(BASE + at * PAGE)) != seen)
				bad = at + 1;
		}
		if (READ_ONCE(generation) == seen)
			WRITE_ONCE(wrong[vcpu], bad);
		/* What was found is there before the sweep ends. Pairs with the last one. */
		smp_mb();
		WRITE_ONCE(swept[vcpu], seen);
	}
	GUEST_DONE();
}

/*
 * The host drops all pages while both vCPUs go through them, and fills them again.
 * A page that is still mapped as it was before has an old value, for good.
 */
TEST_F(mmu, taken_away)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[2];
	struct vcpu_thread threads[2];
	u64 round, page, i;

	kvm_vm_free(self->vm);
	vm = vm_with_vcpus(2, guest_sweep, vcpus);
	self->vm = vm;
	self->vcpu = vcpus[0];
	add_small_pages(self, 0);
	for (page = 0; page < SWEPT; page++)
		*host_word(self, page) = 0;
	for (i = 0; i < 2; i++) {
		vcpu_args_set(vcpus[i], 1, i);
		vcpu_thread_start(&threads[i], vcpus[i]);
	}

	for (round = 1; round <= ROUNDS; round++) {
		TEST_ASSERT(!madvise(self->memory, SWEPT * PAGE, MADV_DONTNEED),
			    "madvise: %s", strerror(errno));
		for (page = 0; page < SWEPT; page++) {
			*host_word(self, page) = ~round;
			if (page % HOLE == 0)
				madvise(host_word(self, page), PAGE, MADV_DONTNEED);
		}
		for (page = 0; page < SWEPT; page++)
			WRITE_ONCE(*host_word(self, page), round);
		/* The pages are there before the sweep begins, which reads `generation`. */
		smp_mb();
		WRITE_ONCE(*guest_global(vm, &generation), round);
		for (i = 0; i < 2; i++)
			while (READ_ONCE(*guest_global(vm, &swept[i])) != round)
				sched_yield();
		/* Pairs with the end of the sweep. */
		smp_mb();
		for (i = 0; i < 2; i++)
			TEST_ASSERT(!*guest_global(vm, &wrong[i]),
				    "round %lu: vCPU %lu found something else in page %lu",
				    round, i, *guest_global(vm, &wrong[i]) - 1);
	}

	stop_guest(vm);
	for (i = 0; i < 2; i++)
		vcpu_thread_join(&threads[i]);
}

/* --- KVM_PRE_FAULT_MEMORY ---------------------------------------------------- */

static int pre_fault(FIXTURE_DATA(mmu) *self, u64 gpa, u64 size, u64 *left)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size };
	int ret = __vcpu_ioctl(self->vcpu, KVM_PRE_FAULT_MEMORY, &range);

	*left = range.size;
	TEST_ASSERT(range.gpa + range.size == gpa + size, "0x%llx bytes from 0x%llx on are left",
		    range.size, range.gpa);
	return ret;
}

static void expect_error(FIXTURE_DATA(mmu) *self, u64 gpa, u64 size, int error)
{
	u64 left;

	TEST_ASSERT(pre_fault(self, gpa, size, &left) && errno == error,
		    "0x%lx, 0x%lx: errno %d, not %d", gpa, size, errno, error);
	TEST_ASSERT_EQ(left, size);
}

TEST_F(mmu, ahead)
{
	u64 end = BASE + MANY * PAGE, left, faults, page;

	if (!is_rust_backend())
		SKIP(return, "the C backend does not have KVM_PRE_FAULT_MEMORY");
	TEST_ASSERT(kvm_has_cap(KVM_CAP_PRE_FAULT_MEMORY), "no KVM_CAP_PRE_FAULT_MEMORY");
	add_small_pages(self, KVM_MEM_LOG_DIRTY_PAGES);
	start_obeying(self->vcpu);

	expect_error(self, BASE + 1, PAGE, EINVAL);
	expect_error(self, BASE, PAGE - 1, EINVAL);
	expect_error(self, BASE, 0, EINVAL);
	expect_error(self, -PAGE, 2 * PAGE, EINVAL);
	expect_error(self, end, PAGE, ENOENT);
	expect_error(self, 1UL << 62, PAGE, ENOENT);

	/* All that there is, and not what lies beyond. */
	TEST_ASSERT(!pre_fault(self, BASE, (MANY + 1) * PAGE, &left), "errno %d", errno);
	TEST_ASSERT_EQ(left, PAGE);
	write_file(FAULT_AROUND, "0");
	faults = read_in_order(self, 0, 1, MANY);
	write_file(FAULT_AROUND, "64");
	TEST_ASSERT(faults < FEW, "%lu faults on what was mapped ahead of them", faults);
	check_dirty(self, 0);

	/* Again, where all is mapped; and where the host has nothing. */
	TEST_ASSERT(!pre_fault(self, BASE, MANY * PAGE, &left) && !left, "errno %d", errno);
	TEST_ASSERT(!madvise(self->memory, MANY * PAGE, MADV_DONTNEED), "madvise: %s",
		    strerror(errno));
	TEST_ASSERT(!pre_fault(self, BASE, MANY * PAGE, &left) && !left, "errno %d", errno);
	for (page = 0; page < MANY; page += HOLE)
		TEST_ASSERT_EQ(guest_read(self, BASE + page * PAGE), 0);

	TEST_ASSERT(!munmap(self->memory, PAGE), "munmap: %s", strerror(errno));
	expect_error(self, BASE, PAGE, EFAULT);
	TEST_ASSERT(mmap(self->memory, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == self->memory,
		    "mmap: %s", strerror(errno));
}

TEST_HARNESS_MAIN
