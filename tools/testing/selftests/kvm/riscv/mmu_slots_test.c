// SPDX-License-Identifier: GPL-2.0
/*
 * Slots that are read-only, that move, and that come and go, also while the guest
 * runs.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "ask_guest.h"
#include "mmu_guest.h"

#define SLOT_IS_GONE	0x5555UL

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

	/* KVM does not change it in place. It may be deleted and made again. */
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
	/* Each time, all pages are mapped again, one by one or with their neighbours. */
	TEST_ASSERT(vcpu_get_stat(self->vcpu, exits) > 30 * 2,
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
 * host's own page tables, and so its own TLB flushes, have no part in it. QEMU
 * empties a hart's TLB whenever the hart leaves a guest, so this shows that the
 * vCPU has left it before the memory goes, and not that it has fenced.
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

/* Registers that QEMU's machine "virt" has, and that have no effect when they are read. */
#define VIRTIO_MMIO		0x10001000UL
#define VIRTIO_MAGIC		0x74726976U

/* Maps a page of what the machine has at an address; MAP_FAILED, if that cannot be. */
static u32 *map_device(u64 address)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	u32 *device;

	if (fd < 0)
		return MAP_FAILED;
	device = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, address);
	close(fd);
	return device;
}

static void guest_read_magic(void)
{
	for (;;) {
		GUEST_ASSERT_EQ(READ_ONCE(*(u32 *)BASE), VIRTIO_MAGIC);
		GUEST_SYNC(0);
	}
}

/*
 * Memory that the host maps without a struct page, as that of a device is: a
 * guest reads it, writes to it cannot be logged, and it goes with its mapping.
 */
#define GIB		(1UL << 30)
#define PLACES		64

static void set_page(FIXTURE_DATA(mmu) *self, u32 slot, u64 gpa, void *memory)
{
	vm_set_user_memory_region(self->vm, slot, 0, gpa, memory ? PAGE : 0, memory);
}

/*
 * A guest that is given memory here and there, and has it taken away again, does not
 * take ever more memory of the host's.
 */
TEST_F(mmu, tables_go_with_their_slot)
{
	void *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u64 place, gpa, exits, faults = 0, before = 0;

	if (!is_rust_backend())
		SKIP(return, "the C backend keeps page tables until the VM goes");
	TEST_ASSERT(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	for (place = 0; place <= PLACES; place++)
		virt_map(self->vm, (4 + place) * GIB, (4 + place) * GIB, 2);
	start_obeying(self->vcpu);
	for (place = 0; place <= PLACES; place++) {
		gpa = (4 + place) * GIB;
		set_page(self, SLOT, gpa, memory);
		set_page(self, SLOT + 1, gpa + PAGE, memory + PAGE);
		guest_write(self, gpa, place);
		guest_write(self, gpa + PAGE, ~place);
		/* What the other slot still needs stays: the order is the only exit. */
		set_page(self, SLOT, gpa, NULL);
		exits = vcpu_get_stat(self->vcpu, exits);
		TEST_ASSERT_EQ(guest_read(self, gpa + PAGE), ~place);
		faults += vcpu_get_stat(self->vcpu, exits) - exits - 1;
		set_page(self, SLOT, gpa, memory);
		TEST_ASSERT_EQ(guest_read(self, gpa), place);
		set_page(self, SLOT, gpa, NULL);
		set_page(self, SLOT + 1, gpa + PAGE, NULL);
		/* The first time, the guest's own tables are mapped as well. */
		if (!place)
			before = page_tables();
	}
	/* Some exits are ticks of the host. */
	TEST_ASSERT(faults < PLACES / 2, "%lu faults on what %d slots had mapped", faults,
		    PLACES);
	/* Each place takes two at least. They are freed by the dozen. */
	TEST_ASSERT(page_tables() <= before + PLACES / 2, "%lu page tables, then %lu",
		    before, page_tables());
}

TEST_F(mmu, memory_of_a_device)
{
	struct kvm_userspace_memory_region region = {
		.slot = SLOT, .guest_phys_addr = BASE, .memory_size = PAGE,
	};
	u32 *device = map_device(VIRTIO_MMIO);

	if (device == MAP_FAILED)
		SKIP(return, "/dev/mem: %s", strerror(errno));
	if (READ_ONCE(*device) != VIRTIO_MAGIC)
		SKIP(return, "the host is not QEMU's machine virt");

	region.userspace_addr = (u64)device;
	region.flags = KVM_MEM_LOG_DIRTY_PAGES;
	TEST_ASSERT(ioctl(self->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) == -1 &&
		    errno == EINVAL, "a slot that is logged: errno %d", errno);
	region.flags = 0;
	TEST_ASSERT(!ioctl(self->vm->fd, KVM_SET_USER_MEMORY_REGION, &region),
		    "a slot: errno %d", errno);
	virt_pg_map(self->vm, BASE, BASE);
	vcpu_arch_set_entry_point(self->vcpu, guest_read_magic);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "not reached");

	region.flags = KVM_MEM_LOG_DIRTY_PAGES;
	TEST_ASSERT(ioctl(self->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) == -1 &&
		    errno == EINVAL, "a slot that is to be logged: errno %d", errno);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "not reached");

	munmap(device, PAGE);
	TEST_ASSERT(__vcpu_run(self->vcpu) == -1 && errno == EFAULT,
		    "the mapping is gone: errno %d", errno);
}

static u64 magic_seen;

static void guest_read_magic_on(void)
{
	for (;;) {
		GUEST_ASSERT_EQ(READ_ONCE(*(u32 *)BASE), VIRTIO_MAGIC);
		WRITE_ONCE(magic_seen, magic_seen + 1);
	}
}

/* Runs a vCPU that never leaves by itself. Returns the error that ends it. */
static void *run_until_error(void *vcpu)
{
	int ret = __vcpu_run(vcpu), error = errno;

	/* It has left by a ucall: this says which. */
	if (!ret)
		guest_is_done(vcpu);
	return (void *)(long)(ret ? error : 0);
}

/* The mapping goes while a vCPU reads there: no access is made to what comes after. */
TEST_F(mmu, memory_of_a_device_goes)
{
	u64 *seen = addr_gva2hva(self->vm, (gva_t)&magic_seen);
	u32 *device = map_device(VIRTIO_MMIO);
	int round;

	if (device == MAP_FAILED)
		SKIP(return, "/dev/mem: %s", strerror(errno));
	if (READ_ONCE(*device) != VIRTIO_MAGIC)
		SKIP(return, "the host is not QEMU's machine virt");

	virt_pg_map(self->vm, BASE, BASE);
	vcpu_arch_set_entry_point(self->vcpu, guest_read_magic_on);
	for (round = 0; round < 5; round++) {
		pthread_t thread;
		void *error;
		u64 before;
		int tries;

		if (round)
			device = map_device(VIRTIO_MMIO);
		TEST_ASSERT(device != MAP_FAILED, "/dev/mem: %s", strerror(errno));
		vm_set_user_memory_region(self->vm, SLOT, 0, BASE, PAGE, device);
		before = READ_ONCE(*seen);
		thread = thread_start(run_until_error, self->vcpu);
		for (tries = 0; tries < 10000 && READ_ONCE(*seen) < before + 100; tries++)
			usleep(1000);
		TEST_ASSERT(READ_ONCE(*seen) >= before + 100, "the guest does not read");
		munmap(device, PAGE);
		pthread_join(thread, &error);
		TEST_ASSERT((long)error == EFAULT, "round %d: errno %ld", round, (long)error);
		vm_set_user_memory_region(self->vm, SLOT, 0, BASE, 0, NULL);
	}

	/* At last, the slot outlives its mapping, until the VM is closed. */
	device = map_device(VIRTIO_MMIO);
	TEST_ASSERT(device != MAP_FAILED, "/dev/mem: %s", strerror(errno));
	vm_set_user_memory_region(self->vm, SLOT, 0, BASE, PAGE, device);
	munmap(device, PAGE);
	TEST_ASSERT(__vcpu_run(self->vcpu) == -1 && errno == EFAULT,
		    "the mapping is gone: errno %d", errno);
}

/* Between the timers and the interrupt controllers of QEMU's machine virt. */
#define NOTHING_THERE		0x08000000UL

static void guest_access_nothing(void)
{
	u64 cause;

	csr_write(CSR_SCAUSE, 0);
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	lw	t0, 0(%1)\n"
		     "	.balign	4\n"
		     "1:	csrr	%0, scause\n"
		     : "=r" (cause) : "r" (BASE) : "t0", "memory");
	GUEST_ASSERT_EQ(cause, EXC_LOAD_ACCESS);
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	sw	zero, 0(%1)\n"
		     "	.balign	4\n"
		     "1:	csrr	%0, scause\n"
		     : "=r" (cause) : "r" (BASE) : "t0", "memory");
	GUEST_ASSERT_EQ(cause, EXC_STORE_ACCESS);
	GUEST_DONE();
}

/* An access that the bus refuses is the guest's exception, which the host counts. */
TEST_F(mmu, access_fault)
{
	u32 *device = map_device(VIRTIO_MMIO);

	if (device == MAP_FAILED)
		SKIP(return, "/dev/mem: %s", strerror(errno));
	if (READ_ONCE(*device) != VIRTIO_MAGIC)
		SKIP(return, "the host is not QEMU's machine virt");
	munmap(device, PAGE);
	device = map_device(NOTHING_THERE);
	TEST_ASSERT(device != MAP_FAILED, "/dev/mem: %s", strerror(errno));

	vm_set_user_memory_region(self->vm, SLOT, 0, BASE, PAGE, device);
	virt_pg_map(self->vm, BASE, BASE);
	run_guest(self->vcpu, guest_access_nothing);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu, load_access_exits), 1);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu, store_access_exits), 1);
}

/* The guest's physical addresses are as wide as the scheme of the host's own. */
TEST_F(mmu, address_bits)
{
	static const struct {
		u64 satp, bits;
	} modes[] = { { 8, 41 }, { 9, 50 }, { 10, 59 } };
	u64 satp = vcpu_get_reg(self->vcpu, RISCV_CONFIG_REG(satp_mode));
	u64 bits = vm_check_cap(self->vm, KVM_CAP_VM_GPA_BITS);
	int i, known = 0;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (modes[i].satp == satp) {
			TEST_ASSERT_EQ(bits, modes[i].bits);
			known++;
		}
	TEST_ASSERT(known, "satp has the mode %lu, which the test does not know", satp);
}

TEST_HARNESS_MAIN
