// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of the PMU extension: each with every flag, and with arguments that make no
 * sense. What counters count is up to sbi_pmu_counting_test.
 */
#include "expect_errno.h"
#include "pmu_guest.h"

#define HARDWARE_WIDTH	63

static void guest_counters(void)
{
	u64 count = guest_count(), first_fw = guest_first_fw(), i;

	GUEST_ASSERT(count > SBI_PMU_FW_MAX + 2 && count < 64);
	for (i = 0; i < count; i++) {
		struct sbiret ret = PMU(SBI_EXT_PMU_COUNTER_GET_INFO, i);
		union sbi_pmu_ctr_info info = { .value = ret.value };

		if (i == TIME) {
			GUEST_ASSERT_EQ(ret.error, SBI_ERR_INVALID_PARAM);
			continue;
		}
		GUEST_ASSERT_EQ(ret.error, 0);
		GUEST_ASSERT_EQ((u64)info.reserved, 0);
		if (i < first_fw) {
			GUEST_ASSERT_EQ((u64)info.type, SBI_PMU_CTR_TYPE_HW);
			GUEST_ASSERT_EQ((u64)info.csr, CSR_CYCLE + i);
		} else {
			GUEST_ASSERT_EQ((u64)info.type, SBI_PMU_CTR_TYPE_FW);
		}
		if (i <= INSTRET || i >= first_fw)
			GUEST_ASSERT_EQ((u64)info.width, HARDWARE_WIDTH);
	}
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, PMU(SBI_EXT_PMU_COUNTER_GET_INFO, 64));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, PMU(SBI_EXT_PMU_COUNTER_GET_INFO, 1UL << 32));
	GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, PMU(SBI_EXT_PMU_COUNTER_GET_INFO, -1UL));
	/* The C backend knows more counters than it says that there are. */
	if (guest_is_under_rust)
		GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM,
				   PMU(SBI_EXT_PMU_COUNTER_GET_INFO, count));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, PMU(9));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, PMU(-1UL));
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, PMU(1UL << 32));
	GUEST_DONE();
}

TEST_F(pmu, counters)
{
	run_guest(self->vcpu[0], guest_counters);
}

/* Sets of counters that are none, in each call that takes one. */
static void guest_sets(void)
{
	static const u64 fids[] = {
		SBI_EXT_PMU_COUNTER_CFG_MATCH, SBI_EXT_PMU_COUNTER_START, SBI_EXT_PMU_COUNTER_STOP,
	};
	u64 count = guest_count(), i;

	for (i = 0; i < ARRAY_SIZE(fids); i++) {
		const struct { u64 base, mask; } sets[] = {
			{ 0, 0 }, { count, 1 }, { 0, BIT(count) }, { 0, -1UL },
			{ 1, BIT(count - 1) }, { -1UL, 1 },
			{ -1UL, 3 }, { -63UL, -1UL }, { 1UL << 32, 1 },
		};
		int n;

		for (n = 0; n < ARRAY_SIZE(sets); n++)
			GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM,
					   PMU(fids[i], sets[n].base, sets[n].mask, 0,
					       SBI_PMU_HW_CPU_CYCLES));
	}
	/* Old kernels name the index of time as well. */
	GUEST_ASSERT_EQ(guest_configure(GENMASK(count - 1, 0), 0, SBI_PMU_HW_CPU_CYCLES), CYCLE);
	GUEST_ASSERT_EQ(guest_match(BIT(TIME), 0, SBI_PMU_HW_INSTRUCTIONS).error,
			guest_is_under_rust ? SBI_ERR_NOT_SUPPORTED : 0);
	GUEST_DONE();
}

TEST_F(pmu, sets)
{
	run_guest(self->vcpu[0], guest_sets);
}

static void guest_no_events(void)
{
	static const u64 unknown[] = {
		SBI_PMU_HW_GENERAL_MAX, 0xffff,
		/* Caches 7 and up; operation 3. */
		1 << 16 | 7 << 3, 1 << 16 | 0xffff, 1 << 16 | 3 << 1,
		/* Types that there are not. */
		4 << 16, 0xe << 16,
		/* Of the firmware: reserved, of the implementation, and of the platform. */
		0xf << 16 | SBI_PMU_FW_MAX, 0xf << 16 | 256, 0xf << 16 | 0xffff,
	};
	static const u64 taken_by_c[] = {
		SBI_PMU_HW_NO_EVENT, 2 << 16 | 1, 3 << 16 | 1, 1 << 20 | SBI_PMU_HW_CPU_CYCLES,
		1UL << 32 | SBI_PMU_HW_CPU_CYCLES, -1UL,
	};
	u64 all = guest_all();
	int i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++)
		__GUEST_ASSERT(guest_match(all, 0, unknown[i]).error == SBI_ERR_NOT_SUPPORTED,
			       "event 0x%lx", unknown[i]);
	if (guest_is_under_rust)
		for (i = 0; i < ARRAY_SIZE(taken_by_c); i++)
			__GUEST_ASSERT(guest_match(all, 0, taken_by_c[i]).error ==
				       SBI_ERR_NOT_SUPPORTED, "event 0x%lx", taken_by_c[i]);
	GUEST_DONE();
}

TEST_F(pmu, no_events)
{
	run_guest(self->vcpu[0], guest_no_events);
}

/* Flags that are reserved, or that contradict each other. */
static void guest_flags(void)
{
	u64 counter, bit;

	for (bit = 8; bit < 64; bit++)
		GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM,
				   guest_match(guest_all(), BIT(bit), SBI_PMU_HW_CPU_CYCLES));
	counter = guest_configure(guest_all(), 0, SBI_PMU_HW_CPU_CYCLES);
	for (bit = 2; bit < 64; bit++) {
		GUEST_ASSERT_EQ(guest_start(counter, BIT(bit), 0), SBI_ERR_INVALID_PARAM);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, BIT(bit)), SBI_ERR_INVALID_PARAM);
	}
	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 0), 0);
	GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_SET_INIT_VALUE |
				    SBI_PMU_START_FLAG_INIT_SNAPSHOT, 0), SBI_ERR_INVALID_PARAM);
	/* None of this has started it. */
	GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), SBI_ERR_ALREADY_STOPPED);
	GUEST_DONE();
}

TEST_F(pmu, flags)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend takes flags that are reserved");
	run_guest(self->vcpu[0], guest_flags);
}

/* A counter is chosen from the set, and not twice. */
static void guest_choice(void)
{
	u64 all = guest_all(), first_fw = guest_first_fw(), used = 0, i;

	GUEST_ASSERT_EQ(guest_configure(all, 0, SBI_PMU_HW_CPU_CYCLES), CYCLE);
	GUEST_ASSERT_EQ(guest_configure(all, 0, SBI_PMU_HW_INSTRUCTIONS), INSTRET);
	/* Each counter of the firmware once, whatever it counts. */
	for (i = 0; i < SBI_PMU_FW_MAX; i++) {
		u64 counter = guest_configure(all, 0, fw(SBI_PMU_FW_SET_TIMER));

		GUEST_ASSERT(counter >= first_fw && !(used & BIT(counter)));
		used |= BIT(counter);
	}
	GUEST_ASSERT_EQ(guest_match(all, 0, fw(SBI_PMU_FW_SET_TIMER)).error, SBI_ERR_NOT_SUPPORTED);
	/* No counter of the other kind. */
	GUEST_ASSERT_EQ(guest_match(used, 0, 1 << 16).error, SBI_ERR_NOT_SUPPORTED);
	GUEST_ASSERT_EQ(guest_match(BIT(3), 0, fw(0)).error, SBI_ERR_NOT_SUPPORTED);
	/* One that counts nothing any more is free. */
	GUEST_ASSERT_EQ(guest_stop_counter(first_fw + 5, SBI_PMU_STOP_FLAG_RESET),
			SBI_ERR_ALREADY_STOPPED);
	GUEST_ASSERT_EQ(guest_configure(all, 0, fw(SBI_PMU_FW_IPI_SENT)), first_fw + 5);
	if (!guest_is_under_rust)
		GUEST_DONE();

	/* The same event again, in another counter. */
	GUEST_ASSERT_EQ(guest_configure(all, 0, SBI_PMU_HW_CPU_CYCLES), 3);
	GUEST_ASSERT_EQ(guest_configure(BIT(5) | BIT(6), 0, SBI_PMU_HW_INSTRUCTIONS), 5);
	GUEST_ASSERT_EQ(guest_match(BIT(3), 0, SBI_PMU_HW_INSTRUCTIONS).error,
			SBI_ERR_NOT_SUPPORTED);
	/* The first of the set, free or not, if it can count the event. */
	GUEST_ASSERT_EQ(guest_configure(BIT(3) | BIT(4), SBI_PMU_CFG_FLAG_SKIP_MATCH,
					SBI_PMU_HW_INSTRUCTIONS), 3);
	GUEST_ASSERT_EQ(guest_configure(BIT(7), SBI_PMU_CFG_FLAG_SKIP_MATCH,
					SBI_PMU_HW_INSTRUCTIONS), 7);
	GUEST_ASSERT_EQ(guest_match(BIT(CYCLE) | BIT(INSTRET), SBI_PMU_CFG_FLAG_SKIP_MATCH,
				    SBI_PMU_HW_INSTRUCTIONS).error, SBI_ERR_NOT_SUPPORTED);
	GUEST_ASSERT_EQ(guest_match(BIT(first_fw), SBI_PMU_CFG_FLAG_SKIP_MATCH,
				    SBI_PMU_HW_INSTRUCTIONS).error, SBI_ERR_NOT_SUPPORTED);
	GUEST_ASSERT_EQ(guest_configure(BIT(first_fw), SBI_PMU_CFG_FLAG_SKIP_MATCH,
					fw(SBI_PMU_FW_IPI_SENT)), first_fw);
	GUEST_DONE();
}

TEST_F(pmu, choice)
{
	run_guest(self->vcpu[0], guest_choice);
}

/* What a counter says that is started or stopped twice. */
static void guest_states(void)
{
	u64 events[] = { SBI_PMU_HW_CPU_CYCLES, fw(SBI_PMU_FW_SET_TIMER) };
	int i;

	/* One that counts nothing is left alone. */
	GUEST_ASSERT_EQ(guest_start(CYCLE, 0, 0), 0);
	GUEST_ASSERT_EQ(guest_stop_counter(CYCLE, 0), 0);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		u64 counter = guest_configure(guest_all(), 0, events[i]);

		GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), SBI_ERR_ALREADY_STOPPED);
		GUEST_ASSERT_EQ(guest_start(counter, 0, 0), 0);
		GUEST_ASSERT_EQ(guest_start(counter, 0, 0), SBI_ERR_ALREADY_STARTED);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), 0);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), SBI_ERR_ALREADY_STOPPED);
		GUEST_ASSERT_EQ(guest_start(counter, 0, 0), 0);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_RESET), 0);
		/* It counts nothing any more. */
		GUEST_ASSERT_EQ(guest_start(counter, 0, 0), 0);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), 0);

		if (!guest_is_under_rust)
			continue;
		counter = guest_configure(guest_all(), SBI_PMU_CFG_FLAG_AUTO_START, events[i]);
		GUEST_ASSERT_EQ(guest_start(counter, 0, 0), SBI_ERR_ALREADY_STARTED);
		GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_RESET), 0);
	}
	GUEST_DONE();
}

TEST_F(pmu, states)
{
	run_guest(self->vcpu[0], guest_states);
}

static void guest_firmware_reads(void)
{
	u64 counter = guest_configure(guest_all(), 0, fw(SBI_PMU_FW_SET_TIMER)), fid;

	for (fid = SBI_EXT_PMU_COUNTER_FW_READ; fid <= SBI_EXT_PMU_COUNTER_FW_READ_HI; fid++) {
		const u64 wrong[] = { CYCLE, TIME, 3, counter + 1, guest_count(), 64, -1UL };
		int i;

		GUEST_ASSERT_ERROR(0, PMU(fid, counter));
		GUEST_ASSERT_EQ(PMU(fid, counter).value, 0);
		/* The C backend reads the upper half of anything. */
		if (fid == SBI_EXT_PMU_COUNTER_FW_READ_HI && !guest_is_under_rust)
			break;
		for (i = 0; i < ARRAY_SIZE(wrong); i++)
			GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, PMU(fid, wrong[i]));
	}
	if (guest_is_under_rust) {
		guest_configure(guest_all(), 0, SBI_PMU_HW_CPU_CYCLES);
		GUEST_ASSERT_ERROR(SBI_ERR_INVALID_PARAM, PMU(SBI_EXT_PMU_COUNTER_FW_READ, CYCLE));
	}
	GUEST_DONE();
}

TEST_F(pmu, firmware_reads)
{
	run_guest(self->vcpu[0], guest_firmware_reads);
}

static void guest_snapshot_addresses(void)
{
	u64 counter = guest_configure(guest_all(), 0, SBI_PMU_HW_CPU_CYCLES);

	GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_INIT_SNAPSHOT, 0),
			SBI_ERR_NO_SHMEM);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT),
			SBI_ERR_NO_SHMEM);
	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 1), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_set_snapshot(-1UL, -1UL, 1UL << 32), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 1, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, -1UL, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set_snapshot(UNBACKED_GPA, 0, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set_snapshot(-4096UL, 0, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set_snapshot(READONLY_GPA, 0, 0), SBI_ERR_INVALID_ADDRESS);
	if (guest_is_under_rust) {
		GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA + 8, 0, 0), SBI_ERR_INVALID_PARAM);
		GUEST_ASSERT_EQ(guest_set_snapshot(-1UL, 0, 0), SBI_ERR_INVALID_PARAM);
	}
	GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_INIT_SNAPSHOT, 0),
			SBI_ERR_NO_SHMEM);
	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 0), 0);
	GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_INIT_SNAPSHOT, 0), 0);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT), 0);
	GUEST_ASSERT_EQ(guest_set_snapshot(-1UL, -1UL, 0), 0);
	GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_INIT_SNAPSHOT, 0),
			SBI_ERR_NO_SHMEM);
	GUEST_DONE();
}

TEST_F(pmu, snapshot_addresses)
{
	run_guest(self->vcpu[0], guest_snapshot_addresses);
}

/* The memory goes while it is in use. */
static void guest_snapshot_goes(void)
{
	u64 counter = guest_configure(guest_all(), 0, SBI_PMU_HW_CPU_CYCLES);

	GUEST_ASSERT_EQ(guest_set_snapshot(SHMEM_GPA, 0, 0), 0);
	GUEST_ASSERT_EQ(guest_start(counter, 0, 0), 0);
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, SBI_PMU_STOP_FLAG_TAKE_SNAPSHOT),
			SBI_ERR_FAILURE);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), SBI_ERR_ALREADY_STOPPED);
	GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_INIT_SNAPSHOT, 0), SBI_ERR_FAILURE);
	GUEST_ASSERT_EQ(guest_stop_counter(counter, 0), SBI_ERR_ALREADY_STOPPED);
	GUEST_DONE();
}

TEST_F(pmu, snapshot_goes)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];

	vcpu_arch_set_entry_point(vcpu, guest_snapshot_goes);
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "too early");
	vm_mem_region_delete(self->vm, SHMEM_SLOT);
	run_until_done(vcpu);
}

struct event_info {
	u32 event;
	u32 output;
	u64 data;
};

static long guest_event_info(u64 lo, u64 hi, u64 count, u64 flags)
{
	return PMU(PMU_EVENT_GET_INFO, lo, hi, count, flags).error;
}

static void guest_event_infos(void)
{
	static const struct { u64 event, output; } known[] = {
		{ SBI_PMU_HW_CPU_CYCLES, 1 }, { SBI_PMU_HW_INSTRUCTIONS, 1 },
		{ SBI_PMU_HW_GENERAL_MAX, 0 }, { 1 << 16 | 7 << 3, 0 }, { 4 << 16, 0 },
		{ 0xf << 16 | SBI_PMU_FW_SET_TIMER, 1 },
		/* The C backend says that there are these. */
		{ 0xf << 16 | SBI_PMU_FW_MAX, 0 }, { SBI_PMU_HW_NO_EVENT, 0 },
	};
	u64 nr = ARRAY_SIZE(known) - (guest_is_under_rust ? 0 : 2), i;
	struct event_info *info = (void *)(SHMEM_GPA + 4096 - nr / 2 * sizeof(*info));

	memset((void *)SHMEM_GPA, 0xff, 2 * 4096);
	for (i = 0; i < nr; i++)
		info[i].event = known[i].event;
	GUEST_ASSERT_EQ(guest_event_info((u64)info, 0, nr, 0), 0);
	for (i = 0; i < nr; i++) {
		GUEST_ASSERT_EQ(info[i].event, known[i].event);
		__GUEST_ASSERT(info[i].output == known[i].output, "event 0x%x: %u", info[i].event,
			       info[i].output);
		GUEST_ASSERT_EQ(info[i].data, -1UL);
	}
	GUEST_ASSERT_EQ(info[nr].output, -1U);
	GUEST_ASSERT_EQ(info[-1].output, -1U);

	GUEST_ASSERT_EQ(guest_event_info(SHMEM_GPA, 0, 1, 1), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_event_info(SHMEM_GPA + 8, 0, 1, 0), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_event_info(SHMEM_GPA, 0, 0, 0), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_event_info(SHMEM_GPA, 1, 1, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT(guest_event_info(SHMEM_GPA, 0, -1UL, 0) < 0);
	GUEST_ASSERT(guest_event_info(SHMEM_GPA, 0, 1UL << 60, 0) < 0);
	GUEST_ASSERT(guest_event_info(SHMEM_GPA, 0, 1UL << 32, 0) < 0);
	GUEST_ASSERT_EQ(guest_event_info(READONLY_GPA, 0, 1, 0), SBI_ERR_INVALID_ADDRESS);
	if (!guest_is_under_rust)
		GUEST_DONE();

	GUEST_ASSERT_EQ(guest_event_info(UNBACKED_GPA, 0, 1, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_event_info(-16UL, 0, 2, 0), SBI_ERR_INVALID_ADDRESS);
	/* A reserved bit of the event. */
	info[0].event = 1 << 20 | SBI_PMU_HW_CPU_CYCLES;
	GUEST_ASSERT_EQ(guest_event_info((u64)info, 0, 1, 0), SBI_ERR_INVALID_PARAM);
	GUEST_DONE();
}

TEST_F(pmu, event_infos)
{
	run_guest(self->vcpu[0], guest_event_infos);
}

/* User space takes the extension away. */
static void guest_without(void)
{
	u64 fid;

	for (fid = 0; fid <= PMU_EVENT_GET_INFO; fid++)
		GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, PMU(fid, 0, 1));
	GUEST_DONE();
}

TEST_F(pmu, without)
{
	vcpu_set_reg(self->vcpu[0], RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_PMU), 0);
	run_guest(self->vcpu[0], guest_without);
}

TEST_HARNESS_MAIN
