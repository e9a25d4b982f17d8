// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory while the host changes it: faults, slots that come and go, pages
 * that are dropped, protected, copied on write, aged or logged as dirty.
 *
 * The data slot is mapped at the same address in the guest and in its physical
 * memory, so that "address" means both.
 *
 * The cases `protection` and `hole` make the C backend log "VCPU exit error".
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ask_guest.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define GIGANTIC	(1UL << 30)

#define SLOT		10
#define BASE		0x40000000UL
#define PAGES		64
#define UNBACKED	0x60000000UL
#define SLOT_IS_GONE	0x5555UL

FIXTURE(mmu)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	void *memory;		/* of the data slot */
};

static void add_slot(FIXTURE_DATA(mmu) *self, enum vm_mem_backing_src_type type,
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

static u64 *host_word(FIXTURE_DATA(mmu) *self, u64 page)
{
	return self->memory + page * PAGE;
}

/* --- A guest that does single accesses, as it is told --------------------- */

enum { READ, WRITE, CALL };

/* GUEST_SYNC gives the result and asks; user space puts the answer here. */
static struct {
	u64 what, address, value, result;
} order;

static void guest_obey(void)
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

static void start_obeying(struct kvm_vcpu *vcpu)
{
	vcpu_arch_set_entry_point(vcpu, guest_obey);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "not reached");
}

static void give_order(struct kvm_vm *vm, u64 what, u64 address, u64 value)
{
	order.what = what;
	order.address = address;
	order.value = value;
	sync_global_to_guest(vm, order);
}

/* Waits until it is done, and takes the result. */
static u64 take_result(FIXTURE_DATA(mmu) *self)
{
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "not reached");
	sync_global_from_guest(self->vm, order);
	return order.result;
}

static u64 guest_read(FIXTURE_DATA(mmu) *self, u64 address)
{
	give_order(self->vm, READ, address, 0);
	return take_result(self);
}

static void guest_write(FIXTURE_DATA(mmu) *self, u64 address, u64 value)
{
	give_order(self->vm, WRITE, address, value);
	take_result(self);
}

static u64 guest_call(FIXTURE_DATA(mmu) *self, u64 address)
{
	give_order(self->vm, CALL, address, 0);
	return take_result(self);
}

/* --- Faults --------------------------------------------------------------- */

TEST_F(mmu, touch)
{
	u64 page, exits;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	start_obeying(self->vcpu);

	for (page = 0; page < PAGES; page += 4) {
		u64 address = BASE + page * PAGE;

		*host_word(self, page) = 0x1111 * page;
		TEST_ASSERT_EQ(guest_read(self, address), 0x1111 * page);
		guest_write(self, address, ~page);
		TEST_ASSERT_EQ(*host_word(self, page), ~page);

		/* Written before it is read. */
		guest_write(self, address + PAGE, page);
		TEST_ASSERT_EQ(*host_word(self, page + 1), page);
		TEST_ASSERT_EQ(guest_read(self, address + PAGE), page);

		/* Run before it is read or written. */
		((u32 *)host_word(self, page + 2))[0] = LI_A0(page + 1);
		((u32 *)host_word(self, page + 2))[1] = RET;
		TEST_ASSERT_EQ(guest_call(self, address + 2 * PAGE), page + 1);

		/* The host had never touched this one. */
		TEST_ASSERT_EQ(guest_read(self, address + 3 * PAGE), 0);
	}

	/* What is mapped does not exit again: only the order itself does. */
	exits = vcpu_get_stat(self->vcpu, exits);
	for (page = 0; page < PAGES; page++)
		guest_read(self, BASE + page * PAGE);
	exits = vcpu_get_stat(self->vcpu, exits) - exits;
	TEST_ASSERT(exits < 2 * PAGES, "%lu exits for %d reads of mapped pages", exits,
		    PAGES);
}

static u64 fault_cause, fault_sepc, fault_stval;

/* As if the function that could not be fetched had returned at once. */
static void guest_return_from_nowhere(struct pt_regs *regs)
{
	fault_cause = regs->cause;
	fault_sepc = regs->epc;
	fault_stval = regs->badaddr;
	regs->epc = regs->ra;
}

static void check_fault(FIXTURE_DATA(mmu) *self, u64 sepc, u64 stval)
{
	sync_global_from_guest(self->vm, fault_cause);
	sync_global_from_guest(self->vm, fault_sepc);
	sync_global_from_guest(self->vm, fault_stval);
	TEST_ASSERT_EQ(fault_cause, EXC_INST_ACCESS);
	TEST_ASSERT_EQ(fault_sepc, sepc);
	TEST_ASSERT_EQ(fault_stval, stval);
	fault_cause = 0;
	sync_global_to_guest(self->vm, fault_cause);
}

/* A fetch from where no memory is: an access fault of the guest's own. */
TEST_F(mmu, fetch_from_nowhere)
{
	u64 edge = BASE + PAGES * PAGE;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	virt_pg_map(self->vm, UNBACKED, UNBACKED);
	virt_pg_map(self->vm, edge, edge);
	vm_install_exception_handler(self->vm, EXC_INST_ACCESS, guest_return_from_nowhere);
	start_obeying(self->vcpu);

	guest_call(self, UNBACKED);
	check_fault(self, UNBACKED, UNBACKED);

	/* Half an instruction is there. */
	*(u16 *)(self->memory + PAGES * PAGE - 2) = (u16)LI_A0(1);
	guest_call(self, edge - 2);
	check_fault(self, edge - 2, edge);

	/* Slots of the host's that are gone count as nothing, too. */
	*(u32 *)self->memory = RET;
	guest_call(self, BASE);
	vm_mem_region_delete(self->vm, SLOT);
	guest_call(self, BASE);
	check_fault(self, BASE, BASE);
}

/* An instruction, and data, that lie in two pages; neither mapped yet. */
TEST_F(mmu, across_pages)
{
	u64 page;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	start_obeying(self->vcpu);

	for (page = 0; page < 8; page += 2) {
		u64 address = BASE + (page + 1) * PAGE - 2;
		u16 *code = self->memory + (page + 1) * PAGE - 2;

		code[0] = (u16)LI_A0(7 + page);
		code[1] = LI_A0(7 + page) >> 16;
		code[2] = (u16)RET;
		code[3] = RET >> 16;
		TEST_ASSERT_EQ(guest_call(self, address), 7 + page);
	}
	for (; page < 16; page += 2) {
		u64 address = BASE + (page + 1) * PAGE - 4;

		guest_write(self, address, 0x1122334455667788 + page);
		TEST_ASSERT_EQ(guest_read(self, address), 0x1122334455667788 + page);
		TEST_ASSERT_EQ(*(u32 *)host_word(self, page + 1), 0x11223344);
	}
}

/* --- Slots ---------------------------------------------------------------- */

static void expect_mmio(struct kvm_vcpu *vcpu, bool is_write, u64 address, u64 value)
{
	struct kvm_run *run = vcpu->run;
	u64 data;

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.phys_addr, address);
	TEST_ASSERT_EQ(run->mmio.len, 8);
	TEST_ASSERT_EQ(run->mmio.is_write, is_write);
	if (is_write) {
		memcpy(&data, run->mmio.data, sizeof(data));
		TEST_ASSERT_EQ(data, value);
	} else {
		memcpy(run->mmio.data, &value, sizeof(value));
	}
}

/* A store to a read-only slot is MMIO; loads and fetches are not. */
TEST_F(mmu, read_only_slot)
{
	u64 round;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, KVM_MEM_READONLY);
	start_obeying(self->vcpu);

	for (round = 0; round < 3; round++) {
		*host_word(self, round) = 0xabcd + round;
		/* First touched by the store in round 1. */
		if (round != 1)
			TEST_ASSERT_EQ(guest_read(self, BASE + round * PAGE), 0xabcd + round);
		give_order(self->vm, WRITE, BASE + round * PAGE, 0x1234);
		expect_mmio(self->vcpu, true, BASE + round * PAGE, 0x1234);
		take_result(self);
		TEST_ASSERT_EQ(guest_read(self, BASE + round * PAGE), 0xabcd + round);
		TEST_ASSERT_EQ(*host_word(self, round), 0xabcd + round);
	}

	*(u32 *)host_word(self, 8) = RET;
	guest_call(self, BASE + 8 * PAGE);

	/* KVM will not change it in place; deleted and made anew, it may. */
	vm_mem_region_delete(self->vm, SLOT);
	vm_userspace_mem_region_add(self->vm, DEFAULT_VM_MEM_SRC, BASE, SLOT, PAGES, 0);
	self->memory = addr_gpa2hva(self->vm, BASE);
	guest_write(self, BASE, 0x1234);
	TEST_ASSERT_EQ(*host_word(self, 0), 0x1234);
}

TEST_F(mmu, delete_create_move)
{
	const u64 moved = BASE + 0x10000000;
	u64 round;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	virt_map(self->vm, moved, moved, PAGES);
	start_obeying(self->vcpu);

	for (round = 0; round < 5; round++) {
		u64 page = round * 3, address = BASE + page * PAGE;

		*host_word(self, page) = 100 + round;
		TEST_ASSERT_EQ(guest_read(self, address), 100 + round);
		guest_write(self, address + 8, round);

		vm_mem_region_move(self->vm, SLOT, moved);
		TEST_ASSERT_EQ(guest_read(self, moved + page * PAGE), 100 + round);
		TEST_ASSERT_EQ(guest_read(self, moved + page * PAGE + 8), round);
		give_order(self->vm, READ, address, 0);
		expect_mmio(self->vcpu, false, address, 55);
		TEST_ASSERT_EQ(take_result(self), 55);
		vm_mem_region_move(self->vm, SLOT, BASE);
		TEST_ASSERT_EQ(guest_read(self, address), 100 + round);

		vm_mem_region_delete(self->vm, SLOT);
		give_order(self->vm, READ, address, 0);
		expect_mmio(self->vcpu, false, address, 66);
		TEST_ASSERT_EQ(take_result(self), 66);
		give_order(self->vm, WRITE, address, 77);
		expect_mmio(self->vcpu, true, address, 77);
		take_result(self);

		/* Other memory, at the same place. */
		vm_userspace_mem_region_add(self->vm, DEFAULT_VM_MEM_SRC, BASE, SLOT,
					    PAGES, 0);
		self->memory = addr_gpa2hva(self->vm, BASE);
		TEST_ASSERT_EQ(guest_read(self, address), 0);
		*host_word(self, page) = 200 + round;
		TEST_ASSERT_EQ(guest_read(self, address), 200 + round);
	}
}

/* --- While the guest runs ------------------------------------------------- */

static u64 rounds;

/* Reads and writes all pages, over and over; word 0 is the host's. */
static void guest_hammer(void)
{
	u64 page, sum;

	while (!READ_ONCE(guest_stop)) {
		sum = 0;
		for (page = 0; page < PAGES; page++) {
			sum += READ_ONCE(*(u64 *)(BASE + page * PAGE));
			WRITE_ONCE(*(u64 *)(BASE + page * PAGE + 8), page);
		}
		asm volatile("" :: "r" (sum));
		WRITE_ONCE(rounds, rounds + 1);
	}
	GUEST_DONE();
}

static void *hammer_thread(void *vcpu)
{
	u64 zero = 0;

	for (;;) {
		struct kvm_run *run = ((struct kvm_vcpu *)vcpu)->run;

		vcpu_run(vcpu);
		/* While the slot is gone, its pages read as 0. */
		if (run->exit_reason == KVM_EXIT_MMIO) {
			if (!run->mmio.is_write)
				memcpy(run->mmio.data, &zero, sizeof(zero));
			continue;
		}
		TEST_ASSERT(guest_is_done(vcpu), "not reached");
		return NULL;
	}
}

/* Until the guest has gone through all pages once more. */
static void wait_for_round(struct kvm_vm *vm)
{
	u64 *count = guest_global(vm, &rounds);
	u64 now = READ_ONCE(*count);

	while (READ_ONCE(*count) < now + 2)
		usleep(100);
}

/* Runs `guest` in a thread of its own, which answers its MMIO. */
static pthread_t start_thread(FIXTURE_DATA(mmu) *self, void *guest,
			      void *(*run_and_answer)(void *))
{
	vcpu_arch_set_entry_point(self->vcpu, guest);
	vcpu_args_set(self->vcpu, 1, BASE);
	return thread_start(run_and_answer, self->vcpu);
}

static void end_thread(FIXTURE_DATA(mmu) *self, pthread_t thread)
{
	stop_guest(self->vm);
	pthread_join(thread, NULL);
}

TEST_F(mmu, slot_goes_while_running)
{
	pthread_t thread;
	int i;

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	thread = start_thread(self, guest_hammer, hammer_thread);
	wait_for_round(self->vm);
	for (i = 0; i < 30; i++) {
		vm_mem_region_reload(self->vm, SLOT);
		WRITE_ONCE(host_word(self, PAGES - 1)[1], 0);
		wait_for_round(self->vm);
		TEST_ASSERT_EQ(host_word(self, PAGES - 1)[1], PAGES - 1);
	}
	end_thread(self, thread);
	/* Each time all pages are mapped anew, one by one. */
	TEST_ASSERT(vcpu_get_stat(self->vcpu, exits) > 30 * PAGES,
		    "a slot that went was not noticed");
}

static void *watcher_thread(void *vcpu)
{
	struct kvm_run *run = ((struct kvm_vcpu *)vcpu)->run;
	u64 gone = SLOT_IS_GONE;

	for (;;) {
		vcpu_run(vcpu);
		if (run->exit_reason != KVM_EXIT_MMIO) {
			TEST_ASSERT(guest_is_done(vcpu), "not reached");
			return NULL;
		}
		TEST_ASSERT(!run->mmio.is_write, "a store");
		memcpy(run->mmio.data, &gone, sizeof(gone));
	}
}

/*
 * Nothing but KVM itself can tell the guest's hart that a slot has gone: the
 * host's own page tables, and so its own TLB flushes, have no part in it.
 */
TEST_F(mmu, slot_is_gone_at_once)
{
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;
	u64 i;

	TEST_ASSERT(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	virt_map(self->vm, BASE, BASE, 1);
	thread = start_thread(self, guest_watch, watcher_thread);
	for (i = 1; i <= 100; i++) {
		*(u64 *)memory = i;
		vm_set_user_memory_region(self->vm, SLOT, 0, BASE, PAGE, memory);
		TEST_ASSERT_EQ(ask(self->vm), i);
		vm_set_user_memory_region(self->vm, SLOT, 0, BASE, 0, NULL);
		TEST_ASSERT_EQ(ask(self->vm), SLOT_IS_GONE);
	}
	end_thread(self, thread);
}

/* The guest never sees a page that its host has dropped or replaced. */
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

/* --- What the host's own mapping says ------------------------------------- */

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
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	TEST_ASSERT(fd >= 0 && write(fd, "1", 1) == 1, "drop_caches: %s", strerror(errno));
	close(fd);
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

/* --- Huge pages ----------------------------------------------------------- */

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

/* --- Dirty log ------------------------------------------------------------ */

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

/* Writes all small pages of a huge one, which takes few exits if it is one. */
static void write_in_large(FIXTURE_DATA(mmu) *self, const char *what)
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

/* A page that the log has taken for clean is not writable in any TLB. */
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
	start_obeying(self->vcpu);
	log_dirty_pages(self);
	if (!is_rust_backend())
		SKIP(return, "the C backend hangs in a write to small pages that were a huge one, once they are no longer logged");
	log_again(self);

	/* The log ends, and with it the small pages: the tables go as well. */
	vm_mem_region_set_flags(self->vm, SLOT, 0);
	write_in_large(self, "no longer logged");
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

/* The largest leaf there is, while all of it is logged in small pages, and after. */
TEST_F(mmu, gigantic_page)
{
	const u64 words = GIGANTIC / PAGE / 64;
	u64 part, word, *dirty;

	if (!gigantic_page_is_free())
		SKIP(return, "no huge page of 1 GiB has been reserved");
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS_HUGETLB_1GB, BASE, SLOT,
				    GIGANTIC / PAGE, 0);
	self->memory = addr_gpa2hva(self->vm, BASE);
	for (part = 0; part < PARTS; part++)
		virt_map(self->vm, part_address(part), part_address(part), 1);
	start_obeying(self->vcpu);
	write_parts(self, "never logged", 2);

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

	if (!is_rust_backend())
		SKIP(return, "the C backend hangs in a write to small pages that were a huge one, once they are no longer logged");
	vm_mem_region_set_flags(self->vm, SLOT, 0);
	guest_write(self, BASE, 1);
	write_parts(self, "no longer logged", 1);
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

TEST_HARNESS_MAIN
