// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a guest_memfd: the guest has the file's pages, whatever user space has
 * mapped at the address of the slot, for as long as the file has them.
 *
 * The C backend does not have KVM_CAP_GUEST_MEMFD.
 */
#include <linux/falloc.h>

#include "ask_guest.h"
#include "mmu_guest.h"

#define SIZE		(PAGES * PAGE)
#define SHARED_MMAP	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define ROUNDS		100
/* "ret", and "li a0, 7", of 16 bits each. */
#define CODE_RET	0x8082UL
#define CODE_LI_7	0x451dUL

FIXTURE(memfd)
{
	FIXTURE_DATA(mmu) mmu;
	int fd;
	/* The file, as user space maps it. */
	u64 *file;
	/* What it maps at the address of the slot. */
	u64 *decoy;
};

static int set_slot(FIXTURE_DATA(memfd) *self, u32 flags, u64 size, void *hva, int fd)
{
	return __vm_set_user_memory_region2(self->mmu.vm, SLOT, flags, BASE, size, hva, fd, 0);
}

FIXTURE_SETUP(memfd)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend does not have KVM_CAP_GUEST_MEMFD");
	self->mmu.vm = vm_with_vcpus(1, NULL, &self->mmu.vcpu);
	self->fd = vm_create_guest_memfd(self->mmu.vm, SIZE, SHARED_MMAP);
	self->file = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd);
	self->decoy = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(self->decoy, 0xee, SIZE);
	TEST_ASSERT(!set_slot(self, KVM_MEM_GUEST_MEMFD, SIZE, self->decoy, self->fd),
		    "memslot: %s", strerror(errno));
	virt_map(self->mmu.vm, BASE, BASE, PAGES);
	start_obeying(self->mmu.vcpu);
}

FIXTURE_TEARDOWN(memfd)
{
	if (!self->mmu.vm)
		return;
	if (self->fd >= 0)
		close(self->fd);
	kvm_vm_free(self->mmu.vm);
}

static u64 *word_of(FIXTURE_DATA(memfd) *self, u64 page)
{
	return self->file + page * PAGE / sizeof(u64);
}

static void punch_hole(FIXTURE_DATA(memfd) *self, u64 page, u64 pages)
{
	kvm_fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * PAGE,
		      pages * PAGE);
}

/*
 * The guest accesses memory that there is not, and does it again, when it runs
 * again, until there is.
 */
static void expect_memory_fault(FIXTURE_DATA(mmu) *self, u64 what, u64 address)
{
	struct kvm_run *run = self->vcpu->run;

	give_order(self->vm, what, address, 9);
	TEST_ASSERT(_vcpu_run(self->vcpu) && errno == EFAULT, "errno %d, not EFAULT", errno);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	TEST_ASSERT_EQ(run->memory_fault.gpa, address & -PAGE);
	TEST_ASSERT_EQ(run->memory_fault.size, PAGE);
	TEST_ASSERT_EQ(run->memory_fault.flags, 0);
}

/* Both see each other's stores, and neither sees what is mapped at the slot's address. */
TEST_F(memfd, shared)
{
	FIXTURE_DATA(mmu) *mmu = &self->mmu;
	u64 page;

	TEST_ASSERT(kvm_has_cap(KVM_CAP_GUEST_MEMFD), "no KVM_CAP_GUEST_MEMFD");
	for (page = 0; page < PAGES; page++) {
		u64 address = BASE + page * PAGE;

		/* User space brings the page in, by a store or a load, or the guest does. */
		if (page % 3 == 0)
			WRITE_ONCE(*word_of(self, page), page + 1);
		else if (page % 3 == 1)
			TEST_ASSERT_EQ(READ_ONCE(*word_of(self, page)), 0);
		TEST_ASSERT_EQ(guest_read(mmu, address), page % 3 ? 0 : page + 1);
		guest_write(mmu, address, page + 2);
		TEST_ASSERT_EQ(READ_ONCE(*word_of(self, page)), page + 2);
		WRITE_ONCE(*word_of(self, page), page + 3);
		TEST_ASSERT_EQ(guest_read(mmu, address), page + 3);
	}
	for (page = 0; page < SIZE / sizeof(u64); page++)
		TEST_ASSERT_EQ(self->decoy[page], 0xeeeeeeeeeeeeeeeeUL);
}

/* Code that user space has written, and then the guest, which fetches it at last. */
TEST_F(memfd, fetch)
{
	FIXTURE_DATA(mmu) *mmu = &self->mmu;

	WRITE_ONCE(*word_of(self, 0), CODE_LI_7 | CODE_RET << 16);
	TEST_ASSERT_EQ(guest_call(mmu, BASE), 7);
	guest_write(mmu, BASE + PAGE, CODE_LI_7 | CODE_RET << 16);
	TEST_ASSERT_EQ(guest_call(mmu, BASE + PAGE), 7);
}

/* A page that the file gives up is another one, of zeroes, from then on. */
TEST_F(memfd, hole)
{
	FIXTURE_DATA(mmu) *mmu = &self->mmu;
	u64 round, page;

	for (round = 1; round <= 3; round++) {
		for (page = 0; page < PAGES; page++)
			guest_write(mmu, BASE + page * PAGE, round);
		punch_hole(self, 1, PAGES - 2);
		for (page = 0; page < PAGES; page++) {
			bool is_kept = page == 0 || page == PAGES - 1;

			TEST_ASSERT_EQ(guest_read(mmu, BASE + page * PAGE),
				       is_kept ? round : 0);
			TEST_ASSERT_EQ(READ_ONCE(*word_of(self, page)), is_kept ? round : 0);
		}
	}
}

static void guest_watch_base(void)
{
	guest_watch((u64 *)BASE);
}

/* The guest holds the page in its TLB, and does not see the old one when it is given up. */
TEST_F(memfd, hole_under_guest)
{
	struct vcpu_thread thread;
	u64 round;

	vcpu_arch_set_entry_point(self->mmu.vcpu, guest_watch_base);
	vcpu_thread_start(&thread, self->mmu.vcpu);
	for (round = 1; round <= ROUNDS; round++) {
		WRITE_ONCE(*word_of(self, 0), round);
		TEST_ASSERT_EQ(ask(self->mmu.vm), round);
		punch_hole(self, 0, 1);
		TEST_ASSERT_EQ(ask(self->mmu.vm), 0);
	}
	stop_guest(self->mmu.vm);
	vcpu_thread_join(&thread);
}

/* The memory goes with the file, though the slot stays. */
TEST_F(memfd, closed)
{
	FIXTURE_DATA(mmu) *mmu = &self->mmu;

	guest_write(mmu, BASE + PAGE, 1);
	kvm_munmap(self->file, SIZE);
	close(self->fd);
	self->fd = -1;
	expect_memory_fault(mmu, WRITE, BASE + PAGE + 8);
}

/* What a slot cannot be. */
TEST_F(memfd, refused)
{
	FIXTURE_DATA(mmu) *mmu = &self->mmu;
	const u32 flags = KVM_MEM_GUEST_MEMFD;
	int unmappable = vm_create_guest_memfd(mmu->vm, SIZE, 0);

	/* A slot with such memory does not change. */
	TEST_ASSERT(set_slot(self, flags | KVM_MEM_LOG_DIRTY_PAGES, SIZE, self->decoy, self->fd) &&
		    errno == EINVAL, "a log: errno %d", errno);
	TEST_ASSERT(!set_slot(self, flags, 0, self->decoy, self->fd), "deletion: errno %d", errno);
	TEST_ASSERT(set_slot(self, flags | KVM_MEM_LOG_DIRTY_PAGES, SIZE, self->decoy, self->fd) &&
		    errno == EINVAL, "a log from the start: errno %d", errno);
	TEST_ASSERT(set_slot(self, flags | KVM_MEM_READONLY, SIZE, self->decoy, self->fd) &&
		    errno == EINVAL, "read-only: errno %d", errno);
	/* Memory that is private, beside other memory. */
	TEST_ASSERT(set_slot(self, flags, SIZE, self->decoy, unmappable) && errno == EINVAL,
		    "a file that cannot be mapped: errno %d", errno);
	close(unmappable);
	/* The guest does without the slot's address, which need not be there. */
	TEST_ASSERT(!set_slot(self, flags, SIZE, NULL, self->fd), "no address: errno %d", errno);
	guest_write(mmu, BASE, 5);
	TEST_ASSERT_EQ(READ_ONCE(*word_of(self, 0)), 5);
}

/* User space has mapped the file, and may not access it: only the guest has the memory. */
TEST_F(memfd, out_of_reach)
{
	FIXTURE_DATA(mmu) *mmu = &self->mmu;
	int fd = vm_create_guest_memfd(mmu->vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
	u64 *file = kvm_mmap(SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);

	TEST_ASSERT(!set_slot(self, KVM_MEM_GUEST_MEMFD, 0, NULL, self->fd), "errno %d", errno);
	TEST_ASSERT(!set_slot(self, KVM_MEM_GUEST_MEMFD, SIZE, file, fd), "errno %d", errno);
	guest_write(mmu, BASE, 5);
	TEST_ASSERT_EQ(guest_read(mmu, BASE), 5);
	TEST_EXPECT_SIGBUS((void)READ_ONCE(*file));
	TEST_ASSERT_EQ(guest_read(mmu, BASE), 5);
	kvm_munmap(file, SIZE);
	close(fd);
}

/* The pages of the file are small, however large those at the slot's address are. */
TEST_F(mmu, huge_decoy)
{
	const u64 pages = HUGE / PAGE;
	u64 *decoy, *file, page;
	int fd;

	if (!is_rust_backend())
		SKIP(return, "the C backend does not have KVM_CAP_GUEST_MEMFD");
	if (!thp_configured())
		SKIP(return, "the kernel has no transparent huge pages");
	fd = vm_create_guest_memfd(self->vm, HUGE, SHARED_MMAP);
	file = kvm_mmap(HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	decoy = kvm_mmap(2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	decoy = align_ptr_up(decoy, HUGE);
	memset(decoy, 0xee, HUGE);
	make_huge(decoy, HUGE);
	TEST_ASSERT(!__vm_set_user_memory_region2(self->vm, SLOT, KVM_MEM_GUEST_MEMFD, BASE, HUGE,
						  decoy, fd, 0), "errno %d", errno);
	virt_map(self->vm, BASE, BASE, pages);
	start_obeying(self->vcpu);
	for (page = 0; page < pages; page++)
		guest_write(self, BASE + page * PAGE, page + 1);
	for (page = 0; page < pages; page++) {
		TEST_ASSERT_EQ(READ_ONCE(file[page * PAGE / sizeof(u64)]), page + 1);
		TEST_ASSERT_EQ(decoy[page * PAGE / sizeof(u64)], 0xeeeeeeeeeeeeeeeeUL);
	}
	close(fd);
}

#define STA_RECORD_BYTES	64
/* At the end of the first page. */
#define RECORD			(BASE + PAGE - STA_RECORD_BYTES)

static void guest_ask_for_record(void)
{
	struct sbiret ret = sbi_ecall(SBI_EXT_STA, 0, RECORD, 0, 0, 0, 0, 0);

	GUEST_ASSERT_EQ(ret.error, 0);
	for (;;)
		GUEST_SYNC(0);
}

/* What KVM itself writes to the guest's memory is in the file, too. */
TEST_F(memfd, written_by_kvm)
{
	u8 *record = (u8 *)self->file + (RECORD - BASE);
	int i;

	memset(record, 0xff, STA_RECORD_BYTES + PAGE);
	vcpu_arch_set_entry_point(self->mmu.vcpu, guest_ask_for_record);
	vcpu_run(self->mmu.vcpu);
	TEST_ASSERT(!guest_is_done(self->mmu.vcpu), "not reached");
	/* Without the time, which may have been told already. */
	for (i = 16; i < STA_RECORD_BYTES; i++) {
		TEST_ASSERT_EQ(record[i], 0);
		TEST_ASSERT_EQ(((u8 *)self->decoy)[RECORD - BASE + i], 0xee);
	}
	TEST_ASSERT_EQ(record[STA_RECORD_BYTES], 0xff);
}

#define STOLEN_BEFORE	0x1234567800000000UL

/* What KVM reads of the guest's memory is what the file has there. */
TEST_F(memfd, read_by_kvm)
{
	u64 *steal = self->file + (RECORD - BASE) / sizeof(u64) + 1;
	struct kvm_vcpu *vcpu = self->mmu.vcpu;
	bool stop = false;
	pthread_t thread;
	int round;

	pin_self_to_cpu(0);
	vcpu_arch_set_entry_point(vcpu, guest_ask_for_record);
	vcpu_run(vcpu);
	WRITE_ONCE(*steal, STOLEN_BEFORE);
	/* The vCPU waits for the CPU, and its time is added to what is there. */
	thread = thread_start(hog, &stop);
	for (round = 0; round < 10000 && READ_ONCE(*steal) == STOLEN_BEFORE; round++) {
		sched_yield();
		vcpu_run(vcpu);
	}
	WRITE_ONCE(stop, true);
	pthread_join(thread, NULL);
	TEST_ASSERT(*steal > STOLEN_BEFORE && *steal < 2 * STOLEN_BEFORE,
		    "0x%lx, not 0x%lx and more", *steal, STOLEN_BEFORE);
}

/* KVM_PRE_FAULT_MEMORY, which fills the file. */
TEST_F(memfd, ahead)
{
	FIXTURE_DATA(mmu) *mmu = &self->mmu;
	struct kvm_pre_fault_memory range = { .gpa = BASE, .size = SIZE };
	u64 page, exits;

	TEST_ASSERT(!__vcpu_ioctl(mmu->vcpu, KVM_PRE_FAULT_MEMORY, &range) && !range.size,
		    "errno %d, 0x%llx bytes are left", errno, range.size);
	exits = vcpu_get_stat(mmu->vcpu, exits);
	for (page = 0; page < PAGES; page++)
		guest_write(mmu, BASE + page * PAGE, page);
	exits = vcpu_get_stat(mmu->vcpu, exits) - exits;
	TEST_ASSERT(exits < PAGES + PAGES / 2, "%lu exits for %d stores: they have faulted",
		    exits, PAGES);
}

static void protect(FIXTURE_DATA(mmu) *self, int prot)
{
	TEST_ASSERT(!mprotect(self->memory, SIZE, prot), "mprotect: %s", strerror(errno));
}

/* Memory of user space that is not there is told in the same way. */
TEST_F(mmu, memory_fault)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend does not have KVM_CAP_MEMORY_FAULT_INFO");
	TEST_ASSERT(kvm_has_cap(KVM_CAP_MEMORY_FAULT_INFO), "no KVM_CAP_MEMORY_FAULT_INFO");
	add_slot(self, VM_MEM_SRC_ANONYMOUS, PAGES, 0);
	start_obeying(self->vcpu);

	guest_write(self, BASE, 1);
	protect(self, PROT_READ);
	TEST_ASSERT_EQ(guest_read(self, BASE), 1);
	expect_memory_fault(self, WRITE, BASE + 8);
	protect(self, PROT_READ | PROT_WRITE);
	take_result(self);
	TEST_ASSERT_EQ(host_word(self, 0)[1], 9);

	protect(self, PROT_NONE);
	expect_memory_fault(self, READ, BASE + 8);
	protect(self, PROT_READ);
	TEST_ASSERT_EQ(take_result(self), 9);

	protect(self, PROT_NONE);
	expect_memory_fault(self, CALL, BASE + 6 * PAGE);
	protect(self, PROT_READ | PROT_WRITE);
	*host_word(self, 6) = CODE_LI_7 | CODE_RET << 16;
	TEST_ASSERT_EQ(take_result(self), 7);
}

TEST_HARNESS_MAIN
