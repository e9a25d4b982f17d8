// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of SBI nested acceleration when the firmware does not do as it
 * should.
 */
#include "nacl_guest.h"

/* More fences than there are places in the queue. */
#define FENCES		80
#define SBI_EXT_TIME	0x54494d45

/* Exits of a guest whose entries are made to fail. */
#define EXITS		16
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
 * Runs the guest to its end while something goes wrong `times` times, after it has
 * gone well `skip` times. Returns how often KVM refused to go on. What is wrong with
 * the host is seen in its log.
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
	/* The first guests may end before that, and a guest may exit only once. */
	TEST_ASSERT(garbled >= GARBLED / 2, "%lu exits with garbage", garbled);
	run_guest(self->vcpu, guest_counts);
}

TEST_HARNESS_MAIN
