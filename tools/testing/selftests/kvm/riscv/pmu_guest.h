/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The PMU as a guest has it through its SBI, and a VM whose vCPUs use it.
 *
 * Where the C backend answers in another way than the SBI specification says, a
 * test asks for the answer of the Rust backend alone.
 */
#ifndef SELFTEST_KVM_RISCV_PMU_GUEST_H
#define SELFTEST_KVM_RISCV_PMU_GUEST_H

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "sbi_call.h"
#include "ucall_common.h"

/* What the library's sbi.h has no name for. */
#define PMU_EVENT_GET_INFO	8
#define SBI_ERR_NO_SHMEM	-9

#define CFG_RESERVED		BIT(8)
#define CYCLE			0
#define TIME			1
#define INSTRET			2

#define NR_VCPUS		2

/* Memory that the guest shares with its SBI, a page that it cannot write, and no memory. */
#define SHMEM_GPA		0x40000000UL
#define READONLY_GPA		0x41000000UL
#define SHMEM_SLOT		10
#define READONLY_SLOT		11

FIXTURE(pmu)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[NR_VCPUS];
	struct riscv_pmu_snapshot_data *shmem;
};

static inline bool has_pmu(struct kvm_vcpu *vcpu)
{
	return __vcpu_has_sbi_ext(vcpu, KVM_RISCV_SBI_EXT_PMU);
}

FIXTURE_SETUP(pmu)
{
	self->vm = vm_with_vcpus(NR_VCPUS, NULL, self->vcpu);
	if (!has_pmu(self->vcpu[0]))
		SKIP(return, "the host has no PMU for guests");
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, SHMEM_GPA, SHMEM_SLOT, 2, 0);
	virt_map(self->vm, SHMEM_GPA, SHMEM_GPA, 2);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, READONLY_GPA, READONLY_SLOT, 1,
				    KVM_MEM_READONLY);
	self->shmem = addr_gpa2hva(self->vm, SHMEM_GPA);
	tell_guest_backend(self->vm);
}

FIXTURE_TEARDOWN(pmu)
{
	kvm_vm_free(self->vm);
}

#define PMU(fid, args...)	CALL(SBI_EXT_PMU, fid, ##args)

/* Event N of the firmware. */
static inline u64 fw(u64 n)
{
	return SBI_PMU_EVENT_TYPE_FW << 16 | n;
}

static inline u64 guest_count(void)
{
	struct sbiret ret = PMU(SBI_EXT_PMU_NUM_COUNTERS);

	GUEST_ASSERT_EQ(ret.error, 0);
	return ret.value;
}

/* All counters that there are. */
static inline u64 guest_all(void)
{
	return GENMASK(guest_count() - 1, 0) & ~BIT(TIME);
}

/* The first counter of the firmware. */
static inline u64 guest_first_fw(void)
{
	return guest_count() - SBI_PMU_FW_MAX;
}

static inline struct sbiret guest_match(u64 mask, u64 flags, u64 event)
{
	return PMU(SBI_EXT_PMU_COUNTER_CFG_MATCH, 0, mask, flags, event, 0);
}

/* Configures a counter for an event that can be counted. */
static inline u64 guest_configure(u64 mask, u64 flags, u64 event)
{
	struct sbiret ret = guest_match(mask, flags, event);

	__GUEST_ASSERT(!ret.error, "event 0x%lx: error %ld", event, ret.error);
	GUEST_ASSERT(ret.value < 64 && (mask & BIT(ret.value)));
	return ret.value;
}

static inline long guest_start(u64 counter, u64 flags, u64 value)
{
	return PMU(SBI_EXT_PMU_COUNTER_START, counter, 1, flags, value).error;
}

static inline void guest_start_at(u64 counter, u64 value)
{
	GUEST_ASSERT_EQ(guest_start(counter, SBI_PMU_START_FLAG_SET_INIT_VALUE, value), 0);
}

static inline long guest_stop_counter(u64 counter, u64 flags)
{
	return PMU(SBI_EXT_PMU_COUNTER_STOP, counter, 1, flags).error;
}

static inline u64 guest_read_fw(u64 counter)
{
	struct sbiret ret = PMU(SBI_EXT_PMU_COUNTER_FW_READ, counter);

	GUEST_ASSERT_EQ(ret.error, 0);
	return ret.value;
}

/* Reads a counter of the hardware by its CSR, the first 8 of which will do. */
static inline u64 guest_read_csr(u64 counter)
{
	switch (counter) {
	case 0: return csr_read(CSR_CYCLE);
	case 2: return csr_read(CSR_INSTRET);
	case 3: return csr_read(CSR_HPMCOUNTER3);
	case 4: return csr_read(CSR_HPMCOUNTER4);
	case 5: return csr_read(CSR_HPMCOUNTER5);
	case 6: return csr_read(CSR_HPMCOUNTER6);
	case 7: return csr_read(CSR_HPMCOUNTER7);
	default: GUEST_FAIL("counter %lu", counter);
	}
	return 0;
}

static inline long guest_set_snapshot(u64 lo, u64 hi, u64 flags)
{
	return PMU(SBI_EXT_PMU_SNAPSHOT_SET_SHMEM, lo, hi, flags).error;
}

/* Does something for a while. */
static inline void guest_work(u64 rounds)
{
	while (rounds--)
		asm volatile("nop" ::: "memory");
}

#endif /* SELFTEST_KVM_RISCV_PMU_GUEST_H */
