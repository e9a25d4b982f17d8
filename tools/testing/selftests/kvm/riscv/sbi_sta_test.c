// SPDX-License-Identifier: GPL-2.0
/*
 * Steal time: the record that tells a guest how long its vCPU has waited for a CPU.
 */
#include <sched.h>
#include <sys/syscall.h>

#include "expect_errno.h"
#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "sbi_call.h"
#include "ucall_common.h"

#define STA_SET_SHMEM	0

/* struct sbi_sta_struct */
struct record {
	u32 sequence;
	u32 flags;
	u64 steal;
	u8 preempted;
	u8 pad[47];
};

static_assert(sizeof(struct record) == 64);

/* Memory of the record, and read-only memory. */
#define RECORD_GPA	0x40000000UL
#define READONLY_GPA	0x41000000UL
#define RECORD_SLOT	10
#define READONLY_SLOT	11

static u64 sta_reg(int number)
{
	return KVM_REG_RISCV | KVM_REG_SIZE_ULONG | KVM_REG_RISCV_SBI_STATE |
	       KVM_REG_RISCV_SBI_STA | number;
}

#define SHMEM_LO	sta_reg(0)
#define SHMEM_HI	sta_reg(1)

FIXTURE(sta)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct record *record;
};

FIXTURE_SETUP(sta)
{
	self->vm = vm_with_vcpus(1, NULL, &self->vcpu);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, RECORD_GPA, RECORD_SLOT, 1, 0);
	vm_userspace_mem_region_add(self->vm, VM_MEM_SRC_ANONYMOUS, READONLY_GPA, READONLY_SLOT, 1,
				    KVM_MEM_READONLY);
	self->record = addr_gpa2hva(self->vm, RECORD_GPA);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_STA)), 1);
}

FIXTURE_TEARDOWN(sta)
{
	kvm_vm_free(self->vm);
}

static long guest_set(u64 lo, u64 hi, u64 flags)
{
	return CALL(EXT_STA, STA_SET_SHMEM, lo, hi, flags).error;
}

static void guest_refused(void)
{
	GUEST_ASSERT_EQ(guest_set(RECORD_GPA, 0, 1), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_set(-1UL, -1UL, 1), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_set(RECORD_GPA + 32, 0, 0), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_set(-1UL, 0, 0), SBI_ERR_INVALID_PARAM);
	GUEST_ASSERT_EQ(guest_set(RECORD_GPA, 1, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set(RECORD_GPA, -1UL, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set(UNBACKED_GPA, 0, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set(-64UL, 0, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_EQ(guest_set(READONLY_GPA, 0, 0), SBI_ERR_INVALID_ADDRESS);
	GUEST_ASSERT_ERROR(SBI_ERR_NOT_SUPPORTED, CALL(EXT_STA, 1, RECORD_GPA, 0, 0));
	GUEST_DONE();
}

TEST_F(sta, refused)
{
	run_guest(self->vcpu, guest_refused);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, SHMEM_LO), -1UL);
}

/* The flags are 32 bits wide. */
static void guest_begin(void)
{
	GUEST_ASSERT_EQ(guest_set(RECORD_GPA + 64, 0, 1UL << 32), 0);
	for (;;)
		GUEST_SYNC(0);
}

static void guest_begin_and_end(void)
{
	GUEST_ASSERT_EQ(guest_set(RECORD_GPA + 64, 0, 0), 0);
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(guest_set(-1UL, -1UL, 0), 0);
	for (;;)
		GUEST_SYNC(0);
}

TEST_F(sta, begins_empty)
{
	struct record empty = {}, *record = self->record;

	memset(record, 0xff, 3 * sizeof(*record));
	vcpu_arch_set_entry_point(self->vcpu, guest_begin);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!guest_is_done(self->vcpu), "too early");
	/* What the vCPU has waited meanwhile may be there already. */
	TEST_ASSERT_EQ(record[1].sequence % 2, 0);
	TEST_ASSERT_EQ(record[1].flags, 0);
	TEST_ASSERT(!memcmp(&record[1].preempted, &empty.preempted, 48), "not cleared");
	/* And nothing around it. */
	TEST_ASSERT_EQ(record[0].pad[46], 0xff);
	TEST_ASSERT_EQ(record[2].sequence, -1U);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, SHMEM_LO), RECORD_GPA + 64);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, SHMEM_HI), 0);
}

/* How long this thread has waited for a CPU, in nanoseconds. */
static u64 run_delay(void)
{
	char text[128];
	u64 ran, waited;
	int fd = open("/proc/thread-self/schedstat", O_RDONLY);
	ssize_t len;

	TEST_ASSERT(fd >= 0, "schedstat: %s", strerror(errno));
	len = read(fd, text, sizeof(text) - 1);
	TEST_ASSERT(len > 0, "schedstat is empty");
	text[len] = '\0';
	if (sscanf(text, "%lu %lu", &ran, &waited) != 2)
		TEST_FAIL("schedstat: %s", text);
	close(fd);
	return waited;
}

/*
 * How long this thread had waited at the latest update of the record, which is at some time
 * while the vCPU is run.
 */
struct update {
	u64 earliest;
	u64 latest;
};

static struct update run_once(struct kvm_vcpu *vcpu)
{
	struct update update;

	update.earliest = run_delay();
	vcpu_run(vcpu);
	update.latest = run_delay();
	return update;
}

/*
 * Runs the vCPU beside another thread on one CPU, until it has waited that long. At its end
 * the record is up to date.
 */
static struct update run_beside_hog(struct kvm_vcpu *vcpu, u64 nanoseconds)
{
	u64 begin = run_delay();
	bool stop = false;
	pthread_t thread;

	thread = thread_start(hog, &stop);
	while (run_delay() - begin < nanoseconds)
		vcpu_run(vcpu);
	WRITE_ONCE(stop, true);
	pthread_join(thread, NULL);
	return run_once(vcpu);
}

#define WAITED	500000000UL

/* The record agrees with the host's own measure. */
TEST_F(sta, counts)
{
	struct record *record = self->record + 1;
	struct update first, last;
	u64 least, most, steal;
	u32 sequence;

	pin_self_to_cpu(0);
	vcpu_arch_set_entry_point(self->vcpu, guest_begin);
	vcpu_run(self->vcpu);
	first = run_once(self->vcpu);
	sequence = record->sequence;
	steal = record->steal;
	last = run_beside_hog(self->vcpu, WAITED);
	least = last.earliest - first.latest;
	most = last.latest - first.earliest;
	steal = record->steal - steal;
	printf("# waited %lu to %lu us, stolen %lu us\n", least / 1000, most / 1000, steal / 1000);
	TEST_ASSERT(steal >= least && steal <= most, "stolen %lu ns, waited %lu to %lu ns", steal,
		    least, most);
	TEST_ASSERT(record->sequence > sequence, "the sequence number stays");
	TEST_ASSERT_EQ(record->sequence % 2, 0);
}

TEST_F(sta, ends)
{
	struct record *record = self->record + 1, last;

	pin_self_to_cpu(0);
	vcpu_arch_set_entry_point(self->vcpu, guest_begin_and_end);
	vcpu_run(self->vcpu);
	run_beside_hog(self->vcpu, WAITED / 10);
	last = *record;
	run_beside_hog(self->vcpu, WAITED / 10);
	TEST_ASSERT(!memcmp(record, &last, sizeof(last)), "the record goes on");
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, SHMEM_LO), -1UL);
}

/* The memory goes, and nothing happens to the vCPU, nor to the host. */
TEST_F(sta, memory_goes)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend warns of memory that cannot be written");
	pin_self_to_cpu(0);
	vcpu_arch_set_entry_point(self->vcpu, guest_begin);
	vcpu_run(self->vcpu);
	TEST_ASSERT(!mprotect(self->record, getpagesize(), PROT_READ), "%s", strerror(errno));
	run_beside_hog(self->vcpu, WAITED / 10);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, SHMEM_LO), -1UL);
	TEST_ASSERT(!mprotect(self->record, getpagesize(), PROT_READ | PROT_WRITE), "%s",
		    strerror(errno));

	vcpu_set_reg(self->vcpu, SHMEM_LO, RECORD_GPA);
	vm_mem_region_delete(self->vm, RECORD_SLOT);
	run_beside_hog(self->vcpu, WAITED / 10);
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, SHMEM_LO), -1UL);
}

/* A vCPU that is restored goes on counting from where the record is. */
TEST_F(sta, restored)
{
	struct record *record = self->record + 1;
	u64 steal, before;

	if (!is_rust_backend())
		SKIP(return, "the C backend ends the record when its address is restored");
	pin_self_to_cpu(0);
	vcpu_arch_set_entry_point(self->vcpu, guest_begin);
	vcpu_run(self->vcpu);
	run_beside_hog(self->vcpu, WAITED);
	steal = record->steal;
	vcpu_set_reg(self->vcpu, SHMEM_LO, vcpu_get_reg(self->vcpu, SHMEM_LO));
	vcpu_set_reg(self->vcpu, SHMEM_HI, vcpu_get_reg(self->vcpu, SHMEM_HI));
	before = run_delay();
	vcpu_run(self->vcpu);
	vcpu_run(self->vcpu);
	TEST_ASSERT(record->steal - steal <= run_delay() - before,
		    "%lu ns more than waited", record->steal - steal);
	steal = record->steal;
	run_beside_hog(self->vcpu, WAITED / 10);
	TEST_ASSERT(record->steal - steal > WAITED / 20, "only %lu ns more",
		    record->steal - steal);
}

TEST_F(sta, wrong_registers)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	u64 value;

	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, SHMEM_LO, RECORD_GPA + 1));
	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, SHMEM_LO, -2UL));
	EXPECT_ERRNO(EINVAL, __vcpu_set_reg(vcpu, SHMEM_HI, 1));
	EXPECT_ERRNO(ENOENT, __vcpu_get_reg(vcpu, sta_reg(2), &value));
	vcpu_set_reg(vcpu, RISCV_SBI_EXT_REG(KVM_RISCV_SBI_EXT_STA), 0);
	EXPECT_ERRNO(EINVAL, __vcpu_get_reg(vcpu, SHMEM_LO, &value));
}

TEST_HARNESS_MAIN
