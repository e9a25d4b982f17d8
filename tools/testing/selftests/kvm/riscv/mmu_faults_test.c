// SPDX-License-Identifier: GPL-2.0
/*
 * The first access to a page: by a load, a store or a fetch, in one page or in
 * two, and where no memory is.
 */
#include "mmu_guest.h"

#define UNBACKED	0x60000000UL

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

/* Returns to the caller of the function that could not be fetched. */
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

/*
 * Makes the guest call what each page contains. Returns how many more exits the first
 * calls took than later ones, of which the shortest counts: others have ticks of the
 * host.
 */
static u64 exits_of_first_calls(FIXTURE_DATA(mmu) *self)
{
	u64 page, more = 0;

	for (page = 0; page < PAGES; page++) {
		u64 exits, first = 0, least = ~0UL;
		int i;

		for (i = 0; i < 5; i++) {
			exits = vcpu_get_stat(self->vcpu, exits);
			TEST_ASSERT_EQ(guest_call(self, BASE + page * PAGE), page);
			exits = vcpu_get_stat(self->vcpu, exits) - exits;
			if (!i)
				first = exits;
			else
				least = min(least, exits);
		}
		more += first - least;
	}
	return more;
}

/*
 * The first fetch from a page traps, even if its data are mapped already: KVM has to
 * fence what the caches of instructions hold of the frame's former contents. Emulated
 * caches follow all stores and need no fence, so that this test sees the trap alone.
 */
TEST_F(mmu, first_fetch_of_data)
{
	u64 page, more;

	if (!is_rust_backend())
		SKIP(return, "the C backend maps data so that it can be run, and does not fence");

	add_slot(self, DEFAULT_VM_MEM_SRC, PAGES, 0);
	start_obeying(self->vcpu);

	for (page = 0; page < PAGES; page++)
		guest_write(self, BASE + page * PAGE, LI_A0(page) | (u64)RET << 32);
	more = exits_of_first_calls(self);
	TEST_ASSERT(more >= PAGES, "%lu exits for first fetches of %d pages", more, PAGES);

	/* The host gives the guest other frames. */
	TEST_ASSERT(!madvise(self->memory, PAGES * PAGE, MADV_DONTNEED), "errno %d", errno);
	for (page = 0; page < PAGES; page++) {
		*host_word(self, page) = LI_A0(page) | (u64)RET << 32;
		guest_read(self, BASE + page * PAGE);
	}
	more = exits_of_first_calls(self);
	TEST_ASSERT(more >= PAGES, "%lu exits for first fetches of %d pages", more, PAGES);
}

TEST_HARNESS_MAIN
