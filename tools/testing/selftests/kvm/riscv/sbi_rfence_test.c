// SPDX-License-Identifier: GPL-2.0
/*
 * Fences that a guest asks the SBI for on other harts.
 */
#include "ask_guest.h"
#include "fenced_page.h"
#include "sbi_guest.h"

#define RFENCE_FENCE_I		0
#define RFENCE_SFENCE_VMA	1
#define RFENCE_SFENCE_VMA_ASID	2
#define RFENCE_HFENCE_FIRST	3
#define RFENCE_HFENCE_LAST	6

static void guest_fence(void)
{
	static const struct {
		const char *what;
		u64 fid, mask, base, start, size, asid;
		bool at_gva;
	} fences[] = {
		{ "one page", RFENCE_SFENCE_VMA, 2, 0, 0, 4096, 0, true },
		{ "one page, base 1", RFENCE_SFENCE_VMA, 1, 1, 0, 4096, 0, true },
		{ "one byte", RFENCE_SFENCE_VMA, 2, 0, 8, 1, 0, true },
		{ "many pages", RFENCE_SFENCE_VMA, 2, 0, 0, 4096 * 5000UL, 0, true },
		{ "all: start and size 0", RFENCE_SFENCE_VMA, 2, 0, 0, 0 },
		{ "all: size -1", RFENCE_SFENCE_VMA, 2, 0, 0, -1UL, 0, true },
		{ "a range that wraps", RFENCE_SFENCE_VMA, 2, 0, 0, -4096UL, 0, true },
		{ "all harts", RFENCE_SFENCE_VMA, 0, ALL_HARTS, 0, 4096, 0, true },
		{ "all harts and pages", RFENCE_SFENCE_VMA, 0, ALL_HARTS, 0, 0 },
		{ "one page of an ASID", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, 4096, 0, true },
		{ "an ASID", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, 0, 0 },
		{ "an ASID, size -1", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, -1UL, 0, true },
		{ "an ASID, many pages", RFENCE_SFENCE_VMA_ASID, 2, 0, 0, 4096 * 5000UL, 0, true },
	};
	int i, turn = 0, round;
	u64 value;

	for (round = 0; round < 5; round++)
		for (i = 0; i < ARRAY_SIZE(fences); i++) {
			turn ^= 1;
			WRITE_ONCE(*guest_pte, fence_ptes[turn]);
			GUEST_ASSERT_ERROR(0, call6(EXT_RFENCE, fences[i].fid,
						    fences[i].mask, fences[i].base,
						    fences[i].start +
						    (fences[i].at_gva ? fence_gva : 0),
						    fences[i].size, fences[i].asid, 0));
			value = guest_ask();
			__GUEST_ASSERT(value == fence_values[turn],
				       "fence of %s: the other hart reads 0x%lx, not 0x%lx",
				       fences[i].what, value, fence_values[turn]);
		}
	WRITE_ONCE(guest_stop, 1);
	GUEST_DONE();
}

/*
 * A fence is over when its call returns. QEMU empties a hart's TLB whenever the
 * hart leaves a guest, so this shows that the other hart has left it; the fences
 * themselves are compared by nacl_remote_fences_test.
 */
TEST_F(sbi, fence)
{
	struct vcpu_thread other;

	prepare_fence_page(self->vm);
	vcpu_arch_set_entry_point(self->vcpu[1], guest_watch);
	vcpu_args_set(self->vcpu[1], 1, fence_gva);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_fence);
	vcpu_thread_join(&other);
}

/* A function of two instructions that another hart rewrites: li a0, N; ret. */
static u32 *guest_code_page;

/*
 * Calls it only when asked: code that one hart runs while another writes it
 * stays stale for good under QEMU, which gives fence.i nothing to do.
 */
static void guest_caller(void)
{
	u64 (*function)(void) = (void *)guest_code_page;

	while (!READ_ONCE(guest_stop))
		if (guest_is_asked())
			guest_answer(function());
	GUEST_DONE();
}

static void guest_fence_i(void)
{
	u64 n;

	for (n = 1; n < 40; n++) {
		WRITE_ONCE(guest_code_page[0], LI_A0(n));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, RFENCE_FENCE_I,
					   n & 1 ? 2 : 0, n & 1 ? 0 : ALL_HARTS));
		GUEST_ASSERT_EQ(guest_ask(), n);
	}
	WRITE_ONCE(guest_stop, 1);
	GUEST_DONE();
}

TEST_F(sbi, fence_i)
{
	struct vcpu_thread other;
	u32 *code;

	guest_code_page = (u32 *)vm_alloc_page(self->vm);
	code = addr_gva2hva(self->vm, (gva_t)guest_code_page);
	code[0] = LI_A0(0);
	code[1] = RET;
	sync_global_to_guest(self->vm, guest_code_page);

	vcpu_arch_set_entry_point(self->vcpu[1], guest_caller);
	vcpu_thread_start(&other, self->vcpu[1]);
	run_guest(self->vcpu[0], guest_fence_i);
	vcpu_thread_join(&other);
}

/*
 * The C backend ignores harts of a fence's mask that do not exist, where the
 * specification wants SBI_ERR_INVALID_PARAM, which C may learn.
 */
static void guest_bad_harts(u64 fid, u64 mask, u64 base)
{
	struct sbiret ret = CALL(EXT_RFENCE, fid, mask, base, 0x1000, 0x1000, 0);

	__GUEST_ASSERT(ret.error == SBI_ERR_INVALID_PARAM ? mask != 0 :
		       !ret.error && (!guest_is_under_rust || !mask),
		       "fence %lu of harts 0x%lx + 0x%lx: error %ld", fid, mask,
		       base, ret.error);
}

static void guest_hostile_fence(void)
{
	u64 fid, i;

	for (fid = RFENCE_FENCE_I; fid <= RFENCE_SFENCE_VMA_ASID; fid++) {
		guest_bad_harts(fid, 0, 0);
		guest_bad_harts(fid, -1UL, 0);
		guest_bad_harts(fid, 1UL << 63, 0);
		guest_bad_harts(fid, 1, NO_SUCH_HART);
		guest_bad_harts(fid, -1UL, -2UL);
		guest_bad_harts(fid, -1UL, 1UL << 63);
	}
	for (fid = RFENCE_HFENCE_FIRST; fid <= RFENCE_HFENCE_LAST; fid++)
		GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED,
				   CALL(EXT_RFENCE, fid, 1, 0, 0, 0x1000, 0));

	/* Odd ranges, odd ASIDs. */
	for (fid = RFENCE_SFENCE_VMA; fid <= RFENCE_SFENCE_VMA_ASID; fid++) {
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 1, 1, -1UL));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, -1UL, 1, -1UL));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, -1UL, -2UL, 1UL << 40));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 1, -2UL, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 0, -2UL, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 0x1000, 0, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 7, 0, 1UL << 62, 0x200000, 0));
	}

	/* More than any queue of a hart that does not run can hold. */
	for (i = 0; i < 1000; i++)
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, RFENCE_SFENCE_VMA, 4, 0,
					   i << 12, 4096));
	GUEST_DONE();
}

static void guest_just_done(void)
{
	GUEST_DONE();
}

TEST_F(sbi, hostile_fence)
{
	tell_guest_backend(self->vm);
	run_guest(self->vcpu[0], guest_hostile_fence);
	/* The hart that all those fences were for. */
	run_guest(self->vcpu[2], guest_just_done);
}

/* Which harts exist has been checked for the whole mask, even if some do. */
static void guest_fence_of_nobody(void)
{
	static const struct {
		u64 mask, base;
	} harts[] = {
		{ -1UL, 0 }, { 1UL << NR_VCPUS | 1, 0 }, { 1UL << 63, 0 }, { 1, NO_SUCH_HART },
		{ 1, 1UL << 32 }, { -1UL, -2UL }, { 1, 1UL << 63 },
	};
	u64 fid;
	int i;

	for (fid = RFENCE_FENCE_I; fid <= RFENCE_SFENCE_VMA_ASID; fid++) {
		for (i = 0; i < ARRAY_SIZE(harts); i++)
			GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM,
					   CALL(EXT_RFENCE, fid, harts[i].mask, harts[i].base,
						0x1000, 0x1000, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, 0, 0, 0x1000, 0x1000, 0));
		GUEST_ASSERT_ERROR(0, CALL(EXT_RFENCE, fid, (1UL << NR_VCPUS) - 1, 0,
					   0x1000, 0x1000, 0));
	}
	GUEST_DONE();
}

TEST_F(sbi, fence_of_nobody)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend ignores harts that do not exist");
	run_guest(self->vcpu[0], guest_fence_of_nobody);
}

TEST_HARNESS_MAIN
