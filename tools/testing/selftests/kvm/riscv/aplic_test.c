// SPDX-License-Identifier: GPL-2.0
/*
 * The APLIC: each register and each source mode, as the guest has them and as user
 * space has them by attributes, with wires that user space drives.
 *
 * What a case does, it does twice: through the guest's loads and stores, and through
 * attributes of the device. So cases run in user space, and a guest does each access
 * that it is told to.
 */
#include "aia.h"
#include "expect_errno.h"

#define NR_VCPUS	2
#define SOURCES		AIA_SOURCES

/* The access that the guest is to do next. */
static struct {
	u64 offset;
	u32 value;
	bool write;
	bool done;
} guest_access;

static void guest_do_accesses(void)
{
	for (;;) {
		GUEST_SYNC(0);
		if (guest_access.write)
			aplic_write(guest_access.offset, guest_access.value);
		else
			guest_access.value = aplic_read(guest_access.offset);
	}
}

FIXTURE(aplic)
{
	struct aia aia;
	bool by_guest;
};

FIXTURE_VARIANT(aplic)
{
	bool by_guest;
};

FIXTURE_VARIANT_ADD(aplic, guest) { .by_guest = true };
FIXTURE_VARIANT_ADD(aplic, attributes) { .by_guest = false };

static void run_to_sync(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "the guest is done");
}

FIXTURE_SETUP(aplic)
{
	AIA_SETUP(&self->aia, NR_VCPUS, KVM_DEV_RISCV_AIA_MODE_EMUL);
	self->by_guest = variant->by_guest;
	vcpu_arch_set_entry_point(self->aia.vcpu[0], guest_do_accesses);
	run_to_sync(self->aia.vcpu[0]);
}

FIXTURE_TEARDOWN(aplic)
{
	aia_free(&self->aia);
}

static u32 do_access(FIXTURE_DATA(aplic) *self, u64 offset, bool write, u32 value)
{
	struct aia *aia = &self->aia;
	typeof(guest_access) *access = addr_gva2hva(aia->vm, (gva_t)&guest_access);

	if (!self->by_guest) {
		if (!write)
			return aplic_get(aia, offset);
		aplic_set(aia, offset, value);
		return 0;
	}
	access->offset = offset;
	access->write = write;
	access->value = value;
	run_to_sync(aia->vcpu[0]);
	return access->value;
}

#define READ(offset)		do_access(self, offset, false, 0)
#define WRITE(offset, value)	((void)do_access(self, offset, true, value))

#define EXPECT(offset, expected)					\
do {									\
	u32 __found = READ(offset), __wanted = (expected);		\
									\
	TEST_ASSERT(__found == __wanted, "%s is 0x%x, not 0x%x", #offset, \
		    __found, __wanted);					\
} while (0)

#define WIRE(source, level)	aia_irq_line(&self->aia, source, level)

/* A bit of an array of words. */
#define BIT_OF(array, source)						\
	(!!(READ(array((source) / 32)) & BIT((source) % 32)))
#define PENDING(source)		BIT_OF(APLIC_SETIP, source)
#define ENABLED(source)		BIT_OF(APLIC_SETIE, source)
#define INPUT(source)		BIT_OF(APLIC_IN_CLRIP, source)

/* The messages that have come to a vCPU, as bits; they are gone after that. */
static u64 messages(FIXTURE_DATA(aplic) *self, int vcpu)
{
	u64 found = imsic_get(&self->aia, vcpu, EIP(0));

	imsic_set(&self->aia, vcpu, EIP(0), 0);
	return found;
}

#define EXPECT_MESSAGES(vcpu, expected)					\
do {									\
	u64 __found = messages(self, vcpu);				\
									\
	TEST_ASSERT(__found == (expected), "vCPU %d has got 0x%lx, not 0x%lx", vcpu, \
		    __found, (u64)(expected));				\
} while (0)

/* Three sources: in the first word, at the end of one, and the last of all. */
static const u32 sources[] = { 1, 63, SOURCES };

static const u32 modes[] = {
	SM_DETACHED, SM_EDGE1, SM_EDGE0, SM_LEVEL1, SM_LEVEL0,
};

static bool is_level(u32 mode)
{
	return mode == SM_LEVEL1 || mode == SM_LEVEL0;
}

static bool is_inverted(u32 mode)
{
	return mode == SM_EDGE0 || mode == SM_LEVEL0;
}

/* The wire of a source, at rest and asserted, whatever its mode. */
#define REST(source, mode)	WIRE(source, is_inverted(mode))
#define ASSERT(source, mode)	WIRE(source, !is_inverted(mode))

TEST_F(aplic, domaincfg)
{
	EXPECT(APLIC_DOMAINCFG, DOMAINCFG_FIXED | DOMAINCFG_DM);
	WRITE(APLIC_DOMAINCFG, -1U);
	EXPECT(APLIC_DOMAINCFG, DOMAINCFG_FIXED | DOMAINCFG_DM | DOMAINCFG_IE);
	WRITE(APLIC_DOMAINCFG, 0);
	EXPECT(APLIC_DOMAINCFG, DOMAINCFG_FIXED | DOMAINCFG_DM);
	/* Big-endian, in the way that suits both byte orders. */
	WRITE(APLIC_DOMAINCFG, 0x01000001);
	EXPECT(APLIC_DOMAINCFG, DOMAINCFG_FIXED | DOMAINCFG_DM);
}

TEST_F(aplic, sourcecfg)
{
	u32 i, j;

	for (i = 1; i <= SOURCES; i++)
		EXPECT(APLIC_SOURCECFG(i), SM_INACTIVE);
	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		for (j = 0; j < ARRAY_SIZE(modes); j++) {
			WRITE(APLIC_SOURCECFG(sources[i]), modes[j]);
			EXPECT(APLIC_SOURCECFG(sources[i]), modes[j]);
			/* Bits that are reserved. */
			WRITE(APLIC_SOURCECFG(sources[i]), 0xfffff9f8 | modes[j]);
			EXPECT(APLIC_SOURCECFG(sources[i]), modes[j]);
		}
		/* There is nobody to delegate to. */
		WRITE(APLIC_SOURCECFG(sources[i]), SOURCECFG_D);
		EXPECT(APLIC_SOURCECFG(sources[i]), SM_INACTIVE);
		WRITE(APLIC_SOURCECFG(sources[i]), SM_EDGE1);
		WRITE(APLIC_SOURCECFG(sources[i]), SOURCECFG_D | SM_LEVEL1);
		EXPECT(APLIC_SOURCECFG(sources[i]), SM_INACTIVE);
	}
	EXPECT(APLIC_SOURCECFG(2), SM_INACTIVE);
}

/* A mode that is reserved is not taken on. */
TEST_F(aplic, reserved_modes)
{
	u32 mode, before;

	if (!is_rust_backend())
		SKIP(return, "the C backend takes on reserved source modes: AIA 4.5.2");
	for (mode = 2; mode <= 3; mode++) {
		for (before = 0; before < ARRAY_SIZE(modes); before++) {
			WRITE(APLIC_SOURCECFG(1), modes[before]);
			WRITE(APLIC_SOURCECFG(1), mode);
			TEST_ASSERT((READ(APLIC_SOURCECFG(1)) & ~1) != 2, "mode %u is there", mode);
		}
	}
}

/* Enable bits: by word and by number, each alone. */
TEST_F(aplic, enable)
{
	u32 i, k;

	for (i = 1; i <= SOURCES; i++)
		WRITE(APLIC_SOURCECFG(i), SM_EDGE1);
	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		WRITE(APLIC_SETIENUM, sources[i]);
		for (k = 0; k < 3; k++)
			EXPECT(APLIC_SETIE(k),
			       k == sources[i] / 32 ? BIT(sources[i] % 32) : 0);
		WRITE(APLIC_CLRIENUM, sources[i]);
		TEST_ASSERT(!ENABLED(sources[i]), "%u is enabled", sources[i]);
	}

	/* As words: bits that are written as 0 stay. Source 0 is none, nor is 71. */
	for (k = 0; k < 3; k++)
		WRITE(APLIC_SETIE(k), 0x5555aaaa);
	for (k = 0; k < 3; k++)
		WRITE(APLIC_SETIE(k), -1U);
	EXPECT(APLIC_SETIE(0), 0xfffffffe);
	EXPECT(APLIC_SETIE(1), 0xffffffff);
	EXPECT(APLIC_SETIE(2), 0x7f);
	WRITE(APLIC_CLRIE(0), 0x0000ffff);
	WRITE(APLIC_CLRIE(2), 1);
	EXPECT(APLIC_SETIE(0), 0xffff0000);
	EXPECT(APLIC_SETIE(1), 0xffffffff);
	EXPECT(APLIC_SETIE(2), 0x7e);

	/* These read as zeros. */
	for (k = 0; k < 3; k++)
		EXPECT(APLIC_CLRIE(k), 0);
	EXPECT(APLIC_SETIENUM, 0);
	EXPECT(APLIC_CLRIENUM, 0);

	/* No source. */
	WRITE(APLIC_CLRIE(1), -1U);
	WRITE(APLIC_SETIENUM, 0);
	WRITE(APLIC_SETIENUM, SOURCES + 1);
	WRITE(APLIC_SETIENUM, 1024 + 33);
	WRITE(APLIC_SETIENUM, BIT(31) | 33);
	WRITE(APLIC_CLRIENUM, 0);
	WRITE(APLIC_CLRIENUM, SOURCES + 1);
	EXPECT(APLIC_SETIE(0), 0xffff0000);
	EXPECT(APLIC_SETIE(1), 0);
	EXPECT(APLIC_SETIE(2), 0x7e);
	EXPECT_MESSAGES(0, 0);
}

/* Pending bits of what is not level-sensitive: by word, and by number in each way. */
TEST_F(aplic, pending)
{
	static const u32 by_number[] = { APLIC_SETIPNUM, APLIC_SETIPNUM_LE, APLIC_SETIPNUM_BE };
	u32 i, k, j;

	for (i = 1; i <= SOURCES; i++)
		WRITE(APLIC_SOURCECFG(i), i % 2 ? SM_DETACHED : SM_EDGE1);
	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		for (j = 0; j < ARRAY_SIZE(by_number); j++) {
			WRITE(by_number[j], by_number[j] == APLIC_SETIPNUM_BE ?
					    __builtin_bswap32(sources[i]) : sources[i]);
			for (k = 0; k < 3; k++)
				EXPECT(APLIC_SETIP(k),
				       k == sources[i] / 32 ? BIT(sources[i] % 32) : 0);
			WRITE(APLIC_CLRIPNUM, sources[i]);
			TEST_ASSERT(!PENDING(sources[i]), "%u is pending", sources[i]);
			EXPECT(by_number[j], 0);
		}
	}
	EXPECT(APLIC_CLRIPNUM, 0);

	for (k = 0; k < 3; k++)
		WRITE(APLIC_SETIP(k), 0x5555aaaa);
	for (k = 0; k < 3; k++)
		WRITE(APLIC_SETIP(k), -1U);
	EXPECT(APLIC_SETIP(0), 0xfffffffe);
	EXPECT(APLIC_SETIP(1), 0xffffffff);
	EXPECT(APLIC_SETIP(2), 0x7f);
	WRITE(APLIC_IN_CLRIP(0), 0x0000ffff);
	WRITE(APLIC_IN_CLRIP(1), -1U);
	WRITE(APLIC_IN_CLRIP(2), 1);
	EXPECT(APLIC_SETIP(0), 0xffff0000);
	EXPECT(APLIC_SETIP(1), 0);
	EXPECT(APLIC_SETIP(2), 0x7e);

	WRITE(APLIC_SETIPNUM, 0);
	WRITE(APLIC_SETIPNUM, SOURCES + 1);
	WRITE(APLIC_SETIPNUM_LE, 1024 + 33);
	WRITE(APLIC_SETIPNUM_BE, 33);
	WRITE(APLIC_CLRIPNUM, 0);
	WRITE(APLIC_CLRIPNUM, SOURCES + 1);
	EXPECT(APLIC_SETIP(0), 0xffff0000);
	EXPECT(APLIC_SETIP(1), 0);
	EXPECT(APLIC_SETIP(2), 0x7e);
}

/* What is inactive has neither bits nor a target. */
TEST_F(aplic, inactive)
{
	u32 k;

	WRITE(APLIC_SETIP(0), -1U);
	WRITE(APLIC_SETIPNUM, 1);
	WIRE(1, true);
	EXPECT(APLIC_SETIP(0), 0);
	EXPECT(APLIC_IN_CLRIP(0), 0);
	WIRE(1, false);

	if (!is_rust_backend())
		SKIP(return, "the C backend keeps bits and targets of inactive sources: "
			     "AIA 4.5.2");
	WRITE(APLIC_SETIE(0), -1U);
	WRITE(APLIC_SETIENUM, 1);
	WRITE(APLIC_TARGET(1), TARGET(1, 7));
	EXPECT(APLIC_SETIE(0), 0);
	EXPECT(APLIC_TARGET(1), 0);

	WRITE(APLIC_SOURCECFG(1), SM_DETACHED);
	WRITE(APLIC_TARGET(1), TARGET(1, 7));
	WRITE(APLIC_SETIPNUM, 1);
	WRITE(APLIC_SETIENUM, 1);
	EXPECT(APLIC_TARGET(1), TARGET(1, 7));
	for (k = 0; k < 2; k++) {
		WRITE(APLIC_SOURCECFG(1), k ? SOURCECFG_D : SM_INACTIVE);
		EXPECT(APLIC_SETIP(0), 0);
		EXPECT(APLIC_SETIE(0), 0);
		EXPECT(APLIC_TARGET(1), 0);
		WRITE(APLIC_SOURCECFG(1), SM_DETACHED);
		EXPECT(APLIC_SETIP(0), 0);
		EXPECT(APLIC_SETIE(0), 0);
	}
}

/* The wire as it is seen through the source's mode. */
TEST_F(aplic, rectified_input)
{
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		for (j = 1; j < ARRAY_SIZE(modes); j++) {
			WRITE(APLIC_SOURCECFG(sources[i]), modes[j]);
			WIRE(sources[i], false);
			TEST_ASSERT_EQ(INPUT(sources[i]), is_inverted(modes[j]));
			WIRE(sources[i], true);
			TEST_ASSERT_EQ(INPUT(sources[i]), !is_inverted(modes[j]));
		}
		WRITE(APLIC_SOURCECFG(sources[i]), SM_INACTIVE);
		TEST_ASSERT_EQ(INPUT(sources[i]), 0);
	}
}

TEST_F(aplic, detached_input)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend shows the wire of a detached source: AIA 4.5.2");
	WRITE(APLIC_SOURCECFG(1), SM_DETACHED);
	WIRE(1, true);
	EXPECT(APLIC_IN_CLRIP(0), 0);
	EXPECT(APLIC_SETIP(0), 0);
	WIRE(1, false);
	EXPECT(APLIC_SETIP(0), 0);
}

/* Edges: only the right one sets the bit, and it stays when the wire goes back. */
TEST_F(aplic, edges)
{
	u32 mode, i;

	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		for (mode = SM_EDGE1; mode <= SM_EDGE0; mode++) {
			REST(sources[i], mode);
			WRITE(APLIC_SOURCECFG(sources[i]), mode);
			WRITE(APLIC_CLRIPNUM, sources[i]);
			REST(sources[i], mode);
			TEST_ASSERT(!PENDING(sources[i]), "pending without an edge");
			ASSERT(sources[i], mode);
			TEST_ASSERT(PENDING(sources[i]), "not pending after an edge");
			REST(sources[i], mode);
			TEST_ASSERT(PENDING(sources[i]), "not pending any more");
			WRITE(APLIC_IN_CLRIP(sources[i] / 32), BIT(sources[i] % 32));
			TEST_ASSERT(!PENDING(sources[i]), "pending though cleared");
			ASSERT(sources[i], mode);
			WRITE(APLIC_CLRIPNUM, sources[i]);
			/* High still, which is no edge. */
			ASSERT(sources[i], mode);
			TEST_ASSERT(!PENDING(sources[i]), "pending without another edge");
		}
	}
}

/* Levels: set by a transition, or by a write while asserted. */
TEST_F(aplic, levels)
{
	u32 mode, i;

	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		for (mode = SM_LEVEL1; mode <= SM_LEVEL0; mode++) {
			REST(sources[i], mode);
			WRITE(APLIC_SOURCECFG(sources[i]), mode);
			WRITE(APLIC_CLRIPNUM, sources[i]);

			/* It cannot be set at rest. */
			WRITE(APLIC_SETIPNUM, sources[i]);
			WRITE(APLIC_SETIP(sources[i] / 32), BIT(sources[i] % 32));
			WRITE(APLIC_SETIPNUM_LE, sources[i]);
			TEST_ASSERT(!PENDING(sources[i]), "set at rest");
			ASSERT(sources[i], mode);
			TEST_ASSERT(PENDING(sources[i]), "not set by the level");
			WRITE(APLIC_CLRIPNUM, sources[i]);
			TEST_ASSERT(!PENDING(sources[i]), "not cleared");
			TEST_ASSERT(INPUT(sources[i]), "no input");
			WRITE(APLIC_SETIPNUM_LE, sources[i]);
			TEST_ASSERT(PENDING(sources[i]), "not set again while asserted");
			WRITE(APLIC_IN_CLRIP(sources[i] / 32), BIT(sources[i] % 32));
			TEST_ASSERT(!PENDING(sources[i]), "not cleared");
		}
	}
}

TEST_F(aplic, level_goes)
{
	u32 mode;

	if (!is_rust_backend())
		SKIP(return, "the C backend keeps the pending bit of a level that is gone: "
			     "AIA 4.7");
	for (mode = SM_LEVEL1; mode <= SM_LEVEL0; mode++) {
		REST(1, mode);
		WRITE(APLIC_SOURCECFG(1), mode);
		ASSERT(1, mode);
		TEST_ASSERT(PENDING(1), "not pending");
		REST(1, mode);
		TEST_ASSERT(!PENDING(1), "pending at rest");
		/* Another mode under which the wire is at rest. */
		ASSERT(1, mode);
		WRITE(APLIC_SOURCECFG(1), mode == SM_LEVEL1 ? SM_LEVEL0 : SM_LEVEL1);
		TEST_ASSERT(!PENDING(1), "pending at rest, in another mode");
	}
}

static void prepare(FIXTURE_DATA(aplic) *self, u32 source, u32 mode, u32 target)
{
	REST(source, mode);
	WRITE(APLIC_SOURCECFG(source), mode);
	WRITE(APLIC_CLRIPNUM, source);
	WRITE(APLIC_TARGET(source), target);
	WRITE(APLIC_SETIENUM, source);
}

/* A message is sent when all is there, whatever comes last; the bit goes with it. */
TEST_F(aplic, forwards)
{
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		for (j = 1; j < ARRAY_SIZE(modes); j++) {
			u32 source = sources[i], mode = modes[j], vcpu = j % 2;

			/* By the wire. */
			prepare(self, source, mode, TARGET(vcpu, 20 + j));
			WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
			EXPECT_MESSAGES(vcpu, 0);
			ASSERT(source, mode);
			EXPECT_MESSAGES(vcpu, BIT(20 + j));
			TEST_ASSERT(!PENDING(source), "pending though sent");
			REST(source, mode);
			EXPECT_MESSAGES(vcpu, 0);

			/* By the switch of the domain. */
			WRITE(APLIC_DOMAINCFG, 0);
			ASSERT(source, mode);
			TEST_ASSERT(PENDING(source), "not pending with IE off");
			EXPECT_MESSAGES(vcpu, 0);
			WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
			EXPECT_MESSAGES(vcpu, BIT(20 + j));
			REST(source, mode);

			/* By its enable bit. */
			WRITE(APLIC_CLRIENUM, source);
			ASSERT(source, mode);
			TEST_ASSERT(PENDING(source), "not pending while disabled");
			EXPECT_MESSAGES(vcpu, 0);
			WRITE(APLIC_SETIE(source / 32), BIT(source % 32));
			EXPECT_MESSAGES(vcpu, BIT(20 + j));

			/* By software; a level, since it is still asserted. */
			WRITE(APLIC_SETIPNUM_LE, source);
			EXPECT_MESSAGES(vcpu, BIT(20 + j));
			TEST_ASSERT(!PENDING(source), "pending though sent");
			REST(source, mode);
			WRITE(APLIC_SETIPNUM_LE, source);
			EXPECT_MESSAGES(vcpu, is_level(mode) ? 0 : BIT(20 + j));
			EXPECT_MESSAGES(!vcpu, 0);
			WRITE(APLIC_CLRIENUM, source);
			WRITE(APLIC_DOMAINCFG, 0);
		}
	}
}

/* A level is no edge: it is told once, though user space says it again. */
TEST_F(aplic, level_is_told_once)
{
	u32 mode;

	if (!is_rust_backend())
		SKIP(return, "the C backend takes each call for a transition: AIA 4.7");
	WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
	for (mode = SM_LEVEL1; mode <= SM_LEVEL0; mode++) {
		prepare(self, 1, mode, TARGET(1, 9));
		ASSERT(1, mode);
		EXPECT_MESSAGES(1, BIT(9));
		ASSERT(1, mode);
		ASSERT(1, mode);
		EXPECT_MESSAGES(1, 0);
		REST(1, mode);
		ASSERT(1, mode);
		EXPECT_MESSAGES(1, BIT(9));
	}
}

TEST_F(aplic, detached_forwards)
{
	prepare(self, 5, SM_DETACHED, TARGET(1, 11));
	WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
	WIRE(5, true);
	WIRE(5, false);
	EXPECT_MESSAGES(1, 0);
	WRITE(APLIC_SETIPNUM_BE, __builtin_bswap32(5));
	EXPECT_MESSAGES(1, BIT(11));
	EXPECT_MESSAGES(0, 0);
}

/* Those of even numbers to one vCPU, those of odd numbers to the other. */
#define EXPECT_ALL(all)							\
do {									\
	EXPECT_MESSAGES(0, (all) & 0x5555555555555555);			\
	EXPECT_MESSAGES(1, (all) & 0xaaaaaaaaaaaaaaaa);			\
} while (0)

/* Of many sources that one write makes due, each message is sent. */
TEST_F(aplic, many_at_once)
{
	const u64 all = GENMASK(60, 1);
	u32 source;

	for (source = 1; source <= 60; source++)
		prepare(self, source, SM_DETACHED, TARGET(source % 2, source));
	WRITE(APLIC_SETIP(0), -1);
	WRITE(APLIC_SETIP(1), -1);
	EXPECT_ALL(0);
	WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
	EXPECT_ALL(all);

	WRITE(APLIC_SETIP(1), -1);
	EXPECT_ALL(all & GENMASK(63, 32));
	WRITE(APLIC_SETIP(0), -1);
	EXPECT_ALL(all & GENMASK(31, 0));

	for (source = 1; source <= 60; source++)
		WRITE(APLIC_CLRIENUM, source);
	WRITE(APLIC_SETIP(0), -1);
	WRITE(APLIC_SETIP(1), -1);
	EXPECT_ALL(0);
	WRITE(APLIC_SETIE(0), -1);
	EXPECT_ALL(all & GENMASK(31, 0));
	WRITE(APLIC_SETIE(1), -1);
	EXPECT_ALL(all & GENMASK(63, 32));
}

TEST_F(aplic, target)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		WRITE(APLIC_SOURCECFG(sources[i]), SM_EDGE1);
		WRITE(APLIC_TARGET(sources[i]), TARGET(1, 0x3f));
		EXPECT(APLIC_TARGET(sources[i]), TARGET(1, 0x3f));
		/* Bit 11 is reserved. */
		WRITE(APLIC_TARGET(sources[i]), TARGET(0, 0x821));
		EXPECT(APLIC_TARGET(sources[i]), TARGET(0, 0x21));
	}

	/* Harts that there are not take it away. */
	WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
	WRITE(APLIC_SETIENUM, 1);
	WRITE(APLIC_TARGET(1), TARGET(NR_VCPUS, 1));
	WRITE(APLIC_SETIPNUM, 1);
	WRITE(APLIC_TARGET(1), TARGET(0x3fff, 1));
	WRITE(APLIC_SETIPNUM, 1);
	EXPECT(APLIC_SETIP(0), 0);
	EXPECT_MESSAGES(0, 0);
	EXPECT_MESSAGES(1, 0);
}

/* A vCPU without the H extension has no guest interrupt files. */
TEST_F(aplic, guest_index)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend keeps the guest index: AIA 4.5.16");
	WRITE(APLIC_SOURCECFG(1), SM_EDGE1);
	WRITE(APLIC_TARGET(1), TARGET(1, 5) | 0x3f << 12);
	EXPECT(APLIC_TARGET(1), TARGET(1, 5));
}

TEST_F(aplic, genmsi)
{
	EXPECT(APLIC_GENMSI, 0);
	/* With the domain switched off, too. */
	WRITE(APLIC_GENMSI, TARGET(1, 13));
	EXPECT_MESSAGES(1, BIT(13));
	EXPECT_MESSAGES(0, 0);
	/* It has left, so that it is not busy. */
	EXPECT(APLIC_GENMSI, TARGET(1, 13));
	WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
	WRITE(APLIC_GENMSI, TARGET(0, 14));
	EXPECT_MESSAGES(0, BIT(14));
	WRITE(APLIC_GENMSI, TARGET(NR_VCPUS, 14));
	WRITE(APLIC_GENMSI, TARGET(0, 0));
	EXPECT_MESSAGES(0, 0);
	EXPECT_MESSAGES(1, 0);
	/* Bits 17:12 are not a guest's index here, and read as zeros. */
	WRITE(APLIC_GENMSI, TARGET(1, 15) | 0x3f << 12);
	EXPECT_MESSAGES(1, BIT(15));
	EXPECT(APLIC_GENMSI, TARGET(1, 15));
}

TEST_F(aplic, genmsi_reserved)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend keeps a reserved bit of genmsi: AIA 4.5.15");
	WRITE(APLIC_GENMSI, TARGET(1, 15) | BIT(11));
	EXPECT(APLIC_GENMSI, TARGET(1, 15));
}

/* Of all bytes that are no register, some; among them those of sources beyond the last. */
TEST_F(aplic, reserved)
{
	static const u32 offsets[] = {
		APLIC_SOURCECFG(SOURCES + 1), APLIC_SOURCECFG(1023), 0x1000, 0x1bc0, 0x1bc4,
		0x1bc8, 0x1bcc, APLIC_SETIP(3), APLIC_SETIP(31), 0x1c80, 0x1ce0,
		APLIC_IN_CLRIP(3), 0x1d80, 0x1de0, APLIC_SETIE(31), 0x1e80, APLIC_CLRIE(31),
		0x1f80, 0x1fe0, 0x2008, 0x2ffc, APLIC_TARGET(SOURCES + 1), APLIC_TARGET(1023),
	};
	u64 value;
	u32 i;

	if (!self->by_guest) {
		/* User space asks for registers alone. */
		for (i = 0; i < ARRAY_SIZE(offsets); i++) {
			EXPECT_ERRNO(ENODEV, __aia_has(&self->aia, KVM_DEV_RISCV_AIA_GRP_APLIC,
						       offsets[i]));
			EXPECT_ERRNO(ENODEV, __aia_get(&self->aia, KVM_DEV_RISCV_AIA_GRP_APLIC,
						       offsets[i], &value));
			EXPECT_ERRNO(ENODEV, __aia_set(&self->aia, KVM_DEV_RISCV_AIA_GRP_APLIC,
						       offsets[i], 0));
		}
		return;
	}
	if (!is_rust_backend())
		SKIP(return, "the C backend leaves reserved bytes to user space: AIA 4.5");
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		EXPECT(offsets[i], 0);
		WRITE(offsets[i], -1U);
		EXPECT(offsets[i], 0);
	}
	EXPECT(APLIC_DOMAINCFG, DOMAINCFG_FIXED | DOMAINCFG_DM);
}

/* The wires stay what they are while the guest changes what they mean. */
TEST_F(aplic, level_stays)
{
	prepare(self, 3, SM_LEVEL1, TARGET(0, 3));
	WRITE(APLIC_DOMAINCFG, DOMAINCFG_IE);
	WIRE(3, true);
	EXPECT_MESSAGES(0, BIT(3));
	TEST_ASSERT(INPUT(3), "no input");

	/* As a handler does that finds the device not yet quiet. */
	WRITE(APLIC_SETIPNUM_LE, 3);
	EXPECT_MESSAGES(0, BIT(3));
	WRITE(APLIC_SETIPNUM_LE, 3);
	EXPECT_MESSAGES(0, BIT(3));
	WIRE(3, false);
	WRITE(APLIC_SETIPNUM_LE, 3);
	EXPECT_MESSAGES(0, 0);
	TEST_ASSERT(!PENDING(3), "pending at rest");
}

TEST_HARNESS_MAIN
