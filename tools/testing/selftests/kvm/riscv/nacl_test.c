// SPDX-License-Identifier: GPL-2.0
/*
 * What the Rust backend asks of SBI nested acceleration, by the counters of
 * tools/testing/nacl-sbi, the firmware that this has to run on; and what becomes
 * of it when that firmware does not do as it should.
 */
#include "run_guest.h"
#include "nacl_sbi.h"

/* Exits of a short run; a long one has twice as many. */
#define EXITS		16
/*
 * Runs, of which the one with the least interruptions counts; and how many there
 * may be on a machine so slow that each is interrupted.
 */
#define RUNS		100
#define MOST_RUNS	2000
/* More fences than there are places in the queue. */
#define FENCES		80
#define PAGES		64
#define MMIO_GPA	0x70000000UL
#define MEM_GPA		0x90000000UL
#define MEM_SLOT	7
#define RFENCE_ALL	-1UL

#define SBI_EXT_TIME		0x54494d45
#define SBI_EXT_RFENCE		0x52464e43
#define SBI_REMOTE_SFENCE_VMA	1
#define SBI_REMOTE_SFENCE_VMA_ASID	2

/* What is counted of a run, and so of an exit. */
struct counts {
	/* Of the world switch: entries by SRET, by NACL, and exits. */
	u64 srets;
	u64 sync_srets;
	u64 exits;
	u64 sync_csrs;
	u64 sync_hfences;
	/* Calls of all extensions, these included. */
	u64 calls;
	/* Instructions that NACL is there to save. */
	u64 csrs;
	u64 hfences;
	/* Fences that were handed over. */
	u64 queued;
};

static struct counts counts_now(void)
{
	struct counts now = {
		.srets = nacl_event(NACL_SRET),
		.sync_srets = nacl_calls(NACL_DO_SYNC_SRET),
		.exits = nacl_event(NACL_GUEST_EXIT),
		.sync_csrs = nacl_calls(NACL_DO_SYNC_CSR),
		.sync_hfences = nacl_calls(NACL_DO_SYNC_HFENCE),
		.calls = nacl_event(NACL_ALL_CALLS),
		.csrs = nacl_all_csr_accesses(),
		.hfences = nacl_hfences(),
		.queued = nacl_event(NACL_HFENCE_SYNCHRONIZED),
	};

	return now;
}

#define NR_COUNTS	(sizeof(struct counts) / sizeof(u64))

static struct counts counts_less(struct counts a, struct counts b)
{
	u64 *x = (u64 *)&a, *y = (u64 *)&b;
	int i;

	for (i = 0; i < NR_COUNTS; i++)
		x[i] -= y[i];
	return a;
}

static struct counts counts_min(struct counts a, struct counts b)
{
	u64 *x = (u64 *)&a, *y = (u64 *)&b;
	int i;

	for (i = 0; i < NR_COUNTS; i++)
		x[i] = min(x[i], y[i]);
	return a;
}

FIXTURE(nacl)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 features;
	/* Of the hart that the test runs on. */
	u64 hart;
	u64 strays;
};

/* HFENCE.VVMA that were for somebody else. */
static u64 strays(void)
{
	return nacl_event(NACL_VVMA_OF_ANOTHER_VMID) +
	       nacl_event(NACL_VVMA_AHEAD_OF_HGATP);
}

static void disarm(void)
{
	u64 misuse;

	for (misuse = 0; misuse < NACL_NR_MISUSES; misuse++) {
		nacl_misuse(misuse, 0);
		nacl_misuse_skip(misuse, 0);
	}
}

FIXTURE_SETUP(nacl)
{
	if (!nacl_sbi_is_there())
		SKIP(return, "the firmware is not nacl-sbi");
	/* A test that has failed has not come to its end. */
	disarm();
	self->features = nacl_features();
	self->vm = vm_with_vcpus(1, NULL, &self->vcpu);
	pin_self_to_cpu(0);
	self->hart = nacl_this_hart();
	self->strays = strays();
}

FIXTURE_TEARDOWN(nacl)
{
	if (!nacl_sbi_is_there())
		return;
	disarm();
	kvm_vm_free(self->vm);
	TEST_ASSERT_EQ(strays(), self->strays);
}

static u64 guest_exits;

#define GUEST_LOOP(name, exit)						\
static void name(void)							\
{									\
	u64 i;								\
									\
	for (;;) {							\
		for (i = 0; i < READ_ONCE(guest_exits); i++)		\
			exit;						\
		GUEST_SYNC(0);						\
	}								\
}

/* The kernel answers this alone. */
GUEST_LOOP(guest_sbi_call,
	   sbi_ecall(SBI_EXT_BASE, SBI_EXT_BASE_GET_SPEC_VERSION,
		     0, 0, 0, 0, 0, 0))
GUEST_LOOP(guest_fence,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA,
		     1, 0, 0, RFENCE_ALL, 0, 0))
/* WRS.NTO. QEMU does not tell which instruction it was. */
GUEST_LOOP(guest_wrs, asm volatile(".4byte 0x00d00073" : : : "memory"))
GUEST_LOOP(guest_mmio, READ_ONCE(*(u64 *)MMIO_GPA))

static struct counts run_counted(struct kvm_vcpu *vcpu, u64 exits)
{
	struct counts before;

	guest_exits = exits;
	sync_global_to_guest(vcpu->vm, guest_exits);
	before = counts_now();
	do
		vcpu_run(vcpu);
	while (vcpu->run->exit_reason == KVM_EXIT_MMIO &&
	       vcpu->run->mmio.phys_addr == MMIO_GPA);
	TEST_ASSERT(!guest_is_done(vcpu), "the guest has come to an end");
	return counts_less(counts_now(), before);
}

/* The cost of EXITS exits: what a run has more that has so many more. */
static struct counts cost(struct kvm_vcpu *vcpu, void *guest)
{
	struct counts few, many;
	int i;

	vcpu_arch_set_entry_point(vcpu, guest);
	run_counted(vcpu, 1);
	few = run_counted(vcpu, EXITS);
	many = run_counted(vcpu, 2 * EXITS);
	for (i = 0; i < RUNS || (many.exits - few.exits != EXITS && i < MOST_RUNS); i++) {
		few = counts_min(few, run_counted(vcpu, EXITS));
		many = counts_min(many, run_counted(vcpu, 2 * EXITS));
	}
	return counts_less(many, few);
}

/* Accesses to CSRs that an exit cannot do without: HSTATUS, there and back. */
static u64 csrs_of_exit(u64 features)
{
	return features & NACL_SYNC_SRET &&
	       features & (NACL_SYNC_CSR | NACL_AUTOSWAP_CSR) ? 0 : 2;
}

static void check_switches(u64 features, struct counts *c)
{
	bool by_call = features & NACL_SYNC_SRET;

	TEST_ASSERT_EQ(c->exits, EXITS);
	TEST_ASSERT_EQ(c->sync_srets, by_call ? EXITS : 0);
	TEST_ASSERT_EQ(c->srets, by_call ? 0 : EXITS);
	TEST_ASSERT_EQ(c->csrs, csrs_of_exit(features) * EXITS);
	TEST_ASSERT_EQ(c->sync_csrs, 0);
	/* Nothing else of the SBI is called. */
	TEST_ASSERT_EQ(c->calls, c->sync_srets + c->sync_hfences);
}

TEST_F(nacl, exit_in_kernel)
{
	struct counts c = cost(self->vcpu, guest_sbi_call);

	check_switches(self->features, &c);
	TEST_ASSERT_EQ(c.hfences, 0);
	TEST_ASSERT_EQ(c.queued, 0);
	TEST_ASSERT_EQ(c.sync_hfences, 0);
}

/* The guest's registers stay on the hart when user space is asked. */
TEST_F(nacl, exit_to_user)
{
	struct counts c;
	u64 hart;

	virt_pg_map(self->vm, MMIO_GPA, MMIO_GPA);
	c = cost(self->vcpu, guest_mmio);
	TEST_ASSERT_EQ(c.exits, EXITS);
	TEST_ASSERT_EQ(c.hfences, 0);
	/* Nobody is to swap the host's HSTATUS. */
	for (hart = 0; hart < NACL_HARTS; hart++)
		TEST_ASSERT(!nacl_shmem(hart) ||
			    !nacl_word(hart, NACL_AUTOSWAP_FLAGS),
			    "hart %lu is left with autoswap", hart);
	TEST_ASSERT_EQ(c.sync_hfences, 0);
	if (self->features & NACL_SYNC_SRET)
		TEST_ASSERT_EQ(c.sync_srets, EXITS);
	if (self->features & NACL_SYNC_CSR) {
		/* Written to shared memory only, and due before the host's SRET. */
		bool due = self->features & NACL_SYNC_SRET &&
			   !(self->features & NACL_AUTOSWAP_CSR);

		TEST_ASSERT_EQ(c.csrs, (csrs_of_exit(self->features) + due) * EXITS);
		TEST_ASSERT_EQ(c.sync_csrs,
			       self->features & NACL_SYNC_SRET ? 0 : EXITS);
	} else {
		/* The guest's timer is switched off, and on again. */
		TEST_ASSERT_EQ(c.csrs, (csrs_of_exit(self->features) + 2) * EXITS);
		TEST_ASSERT_EQ(c.sync_csrs, 0);
	}
	TEST_ASSERT_EQ(c.calls, c.sync_srets + c.sync_csrs);
}

/*
 * The guest's instruction is fetched with its HSTATUS on the hart, wherever the
 * host's was before. After that the host's is there: its interrupts come in at
 * once, and end by SRET.
 */
TEST_F(nacl, fetch)
{
	struct timespec start = {}, passed;
	struct counts c;

	__TEST_REQUIRE(__vcpu_has_ext(self->vcpu,
				      RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_ZAWRS)),
		       "the hart has no Zawrs");
	c = cost(self->vcpu, guest_wrs);
	TEST_ASSERT_EQ(c.exits, EXITS);
	TEST_ASSERT_EQ(c.csrs, (csrs_of_exit(self->features) + 2) * EXITS);
	TEST_ASSERT_EQ(c.hfences, 0);
	TEST_ASSERT_EQ(c.sync_csrs, 0);
	TEST_ASSERT_EQ(c.calls, c.sync_srets);

	/* Long enough for many ticks of the host. */
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		run_counted(self->vcpu, EXITS);
		passed = timespec_elapsed(start);
	} while (!passed.tv_sec);
}

/* A fence of the guest is done, once: by a call, or by an instruction. */
TEST_F(nacl, fence)
{
	struct counts c = cost(self->vcpu, guest_fence);
	bool queues = self->features & NACL_SYNC_HFENCE;
	bool by_call = self->features & NACL_SYNC_SRET;

	TEST_ASSERT_EQ(c.hfences, queues ? 0 : EXITS);
	TEST_ASSERT_EQ(c.queued, queues ? EXITS : 0);
	TEST_ASSERT_EQ(c.sync_hfences, queues && !by_call ? EXITS : 0);
	check_switches(self->features, &c);
}

/* The same, but for all that is not the fence: it is done, in whatever way. */
TEST_F(nacl, fences_are_done)
{
	struct counts c = cost(self->vcpu, guest_fence);

	TEST_ASSERT_EQ(c.hfences + c.queued, EXITS);
}

/* --- What fences are about ----------------------------------------------- */

#define FENCED_GVA	0x12345000UL
#define FENCED_BYTES	(3 * 4096UL)
#define FENCED_ASID	0x5a5UL

GUEST_LOOP(guest_fence_range,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA,
		     1, 0, FENCED_GVA, FENCED_BYTES, 0, 0))
GUEST_LOOP(guest_fence_asid_range,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA_ASID,
		     1, 0, FENCED_GVA, FENCED_BYTES, FENCED_ASID, 0))
GUEST_LOOP(guest_fence_asid,
	   sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA_ASID,
		     1, 0, 0, RFENCE_ALL, FENCED_ASID, 0))

/*
 * What the guest asks for is done, and no more: in one entry of the queue, or by
 * an instruction for each page.
 */
static void check_guest_fence(FIXTURE_DATA(nacl) *self, void *guest,
			      u64 asid, u64 address, u64 bytes)
{
	bool queues = self->features & NACL_SYNC_HFENCE;
	u64 end = address + bytes;
	struct nacl_fence fence;
	u64 n;

	vcpu_arch_set_entry_point(self->vcpu, guest);
	/* What is due at a first entry is no matter. */
	run_counted(self->vcpu, 1);
	n = nacl_fences(self->hart);
	run_counted(self->vcpu, 1);
	for (;;) {
		TEST_ASSERT(n < nacl_fences(self->hart), "pages are missing from 0x%lx on",
			    address);
		fence = nacl_get_fence(self->hart, n++);
		TEST_ASSERT_EQ(fence.kind, NACL_VVMA);
		TEST_ASSERT_EQ(fence.how, queues ? NACL_BY_QUEUE : NACL_BY_INSTRUCTION);
		TEST_ASSERT_EQ(fence.vmid, nacl_guest_vmid(self->hart));
		TEST_ASSERT_EQ(fence.asid, asid);
		TEST_ASSERT_EQ(fence.address, address);
		if (address == NACL_ANY)
			break;
		TEST_ASSERT_EQ(fence.bytes, queues ? bytes : 4096);
		address += fence.bytes;
		if (address == end)
			break;
	}
	TEST_ASSERT_EQ(nacl_fences(self->hart), n);
}

TEST_F(nacl, fence_is_of_range)
{
	check_guest_fence(self, guest_fence_range,
			  NACL_ANY, FENCED_GVA, FENCED_BYTES);
}

TEST_F(nacl, fence_is_of_asid_and_range)
{
	check_guest_fence(self, guest_fence_asid_range,
			  FENCED_ASID, FENCED_GVA, FENCED_BYTES);
}

TEST_F(nacl, fence_is_of_asid)
{
	check_guest_fence(self, guest_fence_asid, FENCED_ASID, NACL_ANY, 0);
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

/* Whether the guest's page was forgotten since so many fences, before an entry. */
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

static void guest_new_pages(void)
{
	u64 i;

	for (i = 0; i < PAGES; i++)
		WRITE_ONCE(*(u64 *)(MEM_GPA + i * 4096), i);
	GUEST_DONE();
}

/* A page that was not there needs no fence, and no CSR of the guest. */
TEST_F(nacl, page_fault)
{
	/* For a vCPU that was taken off the hart, as a few times it may be. */
	u64 loads = self->features & NACL_SYNC_CSR ? 8 : PAGES / 2;
	struct counts before, c;

	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, MEM_GPA,
				    MEM_SLOT, PAGES, 0);
	virt_map(self->vm, MEM_GPA, MEM_GPA, PAGES);
	/* From the hart's memory, so that each page is a fault. */
	vcpu_arch_set_entry_point(self->vcpu, guest_new_pages);
	before = counts_now();
	run_until_done(self->vcpu);
	c = counts_less(counts_now(), before);
	TEST_ASSERT(c.exits >= PAGES, "%lu exits", c.exits);
	/* One for a VMID or hart that is new to the vCPU, and its VS-stage. */
	TEST_ASSERT(c.hfences + c.queued <= 2 * 8, "%lu fences for %lu exits",
		    c.hfences + c.queued, c.exits);
	if (self->features & NACL_SYNC_HFENCE)
		TEST_ASSERT_EQ(c.hfences, 0);
	TEST_ASSERT(c.csrs <= csrs_of_exit(self->features) * c.exits + loads,
		    "%lu accesses to CSRs for %lu exits", c.csrs, c.exits);
}

/* Whatever else is done: each entry is one call, or one SRET, and no other. */
TEST_F(nacl, entries)
{
	struct counts before = counts_now(), c;
	u64 probes = nacl_calls(NACL_PROBE_FEATURE);
	u64 sets = nacl_calls(NACL_SET_SHMEM);
	int i;

	vcpu_arch_set_entry_point(self->vcpu, guest_sbi_call);
	for (i = 0; i < RUNS; i++) {
		pin_self_to_cpu(i & 1);
		run_counted(self->vcpu, EXITS);
		vcpu_set_reg(self->vcpu, RISCV_GENERAL_CSR_REG(sscratch), i);
	}
	pin_self_to_cpu(0);
	c = counts_less(counts_now(), before);
	TEST_ASSERT_EQ(nacl_calls(NACL_PROBE_FEATURE), probes);
	TEST_ASSERT_EQ(nacl_calls(NACL_SET_SHMEM), sets);
	if (self->features & NACL_SYNC_SRET) {
		TEST_ASSERT_EQ(c.sync_srets, c.exits);
		TEST_ASSERT_EQ(c.srets, 0);
		TEST_ASSERT_EQ(c.sync_hfences, 0);
		/*
		 * The call that enters does all that there is to be done. But
		 * a fence by instruction wants HGATP on the hart before it.
		 */
		TEST_ASSERT(c.sync_csrs <= (self->features & NACL_SYNC_HFENCE ? 0 : RUNS),
			    "%lu calls to synchronize CSRs", c.sync_csrs);
	} else {
		TEST_ASSERT_EQ(c.srets, c.exits);
		TEST_ASSERT_EQ(c.sync_srets, 0);
	}
	if (!(self->features & NACL_SYNC_CSR))
		TEST_ASSERT_EQ(c.sync_csrs, 0);
	if (self->features & NACL_SYNC_HFENCE)
		TEST_ASSERT_EQ(c.hfences, 0);
	else
		TEST_ASSERT_EQ(c.queued, 0);
	if (self->features & NACL_SYNC_CSR && self->features & NACL_SYNC_SRET) {
		/* HSTATUS, when the vCPU is put: each run ends in user space. */
		u64 most = self->features & NACL_AUTOSWAP_CSR ? 0 : 2 * RUNS;

		TEST_ASSERT(c.csrs <= most, "%lu accesses to CSRs", c.csrs);
	}
}

/* --- Firmware that does not do as it should ------------------------------ */

#define MISUSES		3
/* Calls that go well before one does not. */
#define SKIPPED		20
/* Guests whose CSRs are lost. */
#define GARBLED		30

static void guest_counts(void)
{
	u64 i;

	for (i = 0; i < FENCES; i++) {
		GUEST_ASSERT_EQ(sbi_ecall(SBI_EXT_BASE, SBI_EXT_BASE_PROBE_EXT,
					  SBI_EXT_TIME, 0, 0, 0, 0, 0).value, 1);
		sbi_ecall(SBI_EXT_RFENCE, SBI_REMOTE_SFENCE_VMA,
			  1, 0, 0, RFENCE_ALL, 0, 0);
		/* Then KVM writes CSRs: those of a vCPU that is loaded. */
		GUEST_SYNC(i);
	}
	GUEST_DONE();
}

/*
 * Runs the guest to its end while something goes wrong, after so many times that
 * it has gone well. Returns how often KVM refused to go on; what is wrong with the
 * host is seen in its log.
 */
static int run_through(struct kvm_vcpu *vcpu, u64 misuse, u64 skip, u64 times)
{
	int errors = 0;

	vcpu_arch_set_entry_point(vcpu, guest_counts);
	nacl_misuse_skip(misuse, skip);
	nacl_misuse(misuse, times);
	for (;;) {
		if (!__vcpu_run(vcpu)) {
			if (guest_is_done(vcpu))
				break;
			continue;
		}
		TEST_ASSERT_EQ(errno, EIO);
		errors++;
	}
	TEST_ASSERT_EQ(nacl_misuse(misuse, 0), 0);
	return errors;
}

/* From the first call on, and in the middle; and then the guest runs. */
static void check_run_through(struct kvm_vcpu *vcpu, u64 misuse)
{
	TEST_ASSERT_EQ(run_through(vcpu, misuse, 0, MISUSES), MISUSES);
	TEST_ASSERT_EQ(run_through(vcpu, misuse, SKIPPED, MISUSES), MISUSES);
	run_guest(vcpu, guest_counts);
}

/* The guest is not entered with what an error has left, and then it is. */
TEST_F(nacl, sync_sret_fails)
{
	if (!(self->features & NACL_SYNC_SRET))
		SKIP(return, "NACL has no sync_sret");
	check_run_through(self->vcpu, NACL_DO_SYNC_SRET);
}

/* The same, with all of the guest's state on the hart. */
TEST_F(nacl, sync_sret_fails_late)
{
	if (!(self->features & NACL_SYNC_SRET))
		SKIP(return, "NACL has no sync_sret");
	check_run_through(self->vcpu, NACL_SRET_FAILS_LATE);
}

/* A call that returns has not run the guest, whatever it says. */
TEST_F(nacl, sync_sret_returns)
{
	if (!(self->features & NACL_SYNC_SRET))
		SKIP(return, "NACL has no sync_sret");
	check_run_through(self->vcpu, NACL_SRET_RETURNS);
}

TEST_F(nacl, sync_csr_fails)
{
	u64 skip, left;
	int errors;

	if (!(self->features & NACL_SYNC_CSR))
		SKIP(return, "NACL has no sync_csr");
	if (self->features & NACL_SYNC_SRET) {
		/* It is called for what cannot wait for the entry, and has another way. */
		vcpu_arch_set_entry_point(self->vcpu, guest_counts);
		nacl_misuse(NACL_DO_SYNC_CSR, -1UL);
		run_until_done(self->vcpu);
		left = nacl_misuse(NACL_DO_SYNC_CSR, 0);
		/* A fence by instruction is what cannot wait. */
		TEST_ASSERT(self->features & NACL_SYNC_HFENCE || left != -1UL,
			    "nothing was called");
		return;
	}
	/* Where a fence needs HGATP on the hart, it gets there another way. */
	for (skip = 0; skip <= SKIPPED; skip += SKIPPED) {
		errors = run_through(self->vcpu, NACL_DO_SYNC_CSR, skip, MISUSES);
		TEST_ASSERT(errors > 0 && errors <= MISUSES, "%d errors", errors);
	}
}

TEST_F(nacl, sync_hfence_fails)
{
	if (self->features & NACL_SYNC_SRET || !(self->features & NACL_SYNC_HFENCE))
		SKIP(return, "NACL has no sync_hfence, or nobody calls it");
	check_run_through(self->vcpu, NACL_DO_SYNC_HFENCE);
}

/* Where nobody does the fences, no guest is run that may depend on them. */
TEST_F(nacl, hfences_stay)
{
	int i;

	if (!(self->features & NACL_SYNC_HFENCE))
		SKIP(return, "NACL has no sync_hfence");
	vcpu_arch_set_entry_point(self->vcpu, guest_counts);
	nacl_misuse(NACL_HFENCES_STAY, -1UL);
	for (i = 0; i < MISUSES; i++) {
		TEST_ASSERT(__vcpu_run(self->vcpu), "the guest has gone on");
		TEST_ASSERT_EQ(errno, EIO);
	}
	TEST_ASSERT(nacl_misuse(NACL_HFENCES_STAY, 0), "all were done");
	run_until_done(self->vcpu);
}

/*
 * A fence that was left pending is done, in whatever way, before a guest is
 * entered for which it was not left again. Where SYNC_SRET has left it, the
 * entry by that call comes in between: nobody can prevent that one. The next
 * one can be prevented, as the fences are then done by another call first.
 */
static void expect_done(u64 hart, u64 n, bool by_call)
{
	struct nacl_fence left = nacl_get_fence(hart, n), fence;
	u64 entries = left.entries + by_call;

	while (++n < nacl_fences(hart)) {
		fence = nacl_get_fence(hart, n);
		if (fence.entries > entries)
			break;
		if (fence.kind != left.kind || fence.vmid != left.vmid)
			continue;
		/* The guest fences all of its addresses. */
		if (fence.asid != NACL_ANY || fence.address != NACL_ANY)
			continue;
		if (fence.how != NACL_LEFT)
			return;
		entries = fence.entries;
	}
	TEST_FAIL("a fence was left pending, and the guest has gone on");
}

TEST_F(nacl, hfences_are_done_later)
{
	u64 n, all, left = 0;
	struct nacl_fence fence;

	if (!(self->features & NACL_SYNC_HFENCE))
		SKIP(return, "NACL has no sync_hfence");
	vcpu_arch_set_entry_point(self->vcpu, guest_fence);
	run_counted(self->vcpu, 1);
	n = nacl_fences(self->hart);
	guest_exits = EXITS;
	sync_global_to_guest(self->vm, guest_exits);
	nacl_misuse_skip(NACL_HFENCES_STAY, 1);
	nacl_misuse(NACL_HFENCES_STAY, MISUSES);
	while (__vcpu_run(self->vcpu))
		TEST_ASSERT_EQ(errno, EIO);
	TEST_ASSERT(!guest_is_done(self->vcpu), "the guest has come to an end");
	TEST_ASSERT_EQ(nacl_misuse(NACL_HFENCES_STAY, 0), 0);

	all = nacl_fences(self->hart);
	for (; n < all; n++) {
		fence = nacl_get_fence(self->hart, n);
		if (fence.how == NACL_LEFT) {
			left++;
			expect_done(self->hart, n, self->features & NACL_SYNC_SRET);
		}
	}
	TEST_ASSERT(left >= MISUSES, "%lu fences were left", left);
}

TEST_F(nacl, scribbled_on)
{
	if (!self->features)
		SKIP(return, "NACL has no features, so nobody calls it");
	vcpu_arch_set_entry_point(self->vcpu, guest_counts);
	nacl_misuse(NACL_SCRIBBLE, -1UL);
	run_until_done(self->vcpu);
	/* Swapping alone takes no call. */
	TEST_ASSERT(self->features == NACL_AUTOSWAP_CSR ||
		    nacl_misuse(NACL_SCRIBBLE, 0) != -1UL, "nothing was written");
}

static void *run_anything(void *arg)
{
	struct vcpu_thread *t = arg;

	while (!READ_ONCE(t->stop))
		__vcpu_run(t->vcpu);
	return NULL;
}

/* The guest is lost. Nobody else must be. */
TEST_F(nacl, garbage_in_csrs)
{
	struct kvm_vcpu *vcpu;
	struct sigaction action = { .sa_handler = vcpu_thread_kicked };
	struct kvm_vm *vm;
	struct vcpu_thread t;
	u64 garbled = 0;
	int i;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < GARBLED; i++) {
		vm = vm_with_vcpus(1, NULL, &vcpu);
		vcpu_arch_set_entry_point(vcpu, guest_sbi_call);
		guest_exits = EXITS;
		sync_global_to_guest(vm, guest_exits);
		nacl_misuse(NACL_CSR_GARBAGE, EXITS);
		/* It may do anything, but it can be stopped. */
		t = (struct vcpu_thread) { .vcpu = vcpu };
		t.thread = thread_start(run_anything, &t);
		usleep(1000 + 500 * i);
		vcpu_thread_stop(&t);
		kvm_vm_free(vm);
		garbled += EXITS - nacl_misuse(NACL_CSR_GARBAGE, 0);
	}
	/* The first ones may not have got so far; a guest may exit but once. */
	TEST_ASSERT(garbled >= GARBLED / 2, "%lu exits with garbage", garbled);
	run_guest(self->vcpu, guest_counts);
}

TEST_HARNESS_MAIN
