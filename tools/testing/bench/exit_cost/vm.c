// SPDX-License-Identifier: GPL-2.0
/* Making the VM, and running its vCPUs from one question to the next. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "guest.h"
#include "vm.h"

#define CODE_BYTES	(2 * PAGE_SIZE)
#define SLOT_PAGES	(2 * DATA_PAGES)
#define DATA_BYTES	(SLOT_PAGES * PAGE_SIZE)
#define LONG_BITS	64

enum { CODE_SLOT, DATA_SLOT, LARGE_SLOT };

int kvm_fd, vm_fd;
struct vcpu vcpus[NR_VCPUS];

static void *data, *large;

int must_ioctl(int fd, unsigned long request, const void *arg,
	       const char *what)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", what);
	return ret;
}

static void *host_pages(size_t bytes, int sharing)
{
	/* Populated: the fault that is measured is the G-stage's alone. */
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       sharing | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap of %zu bytes of guest memory", bytes);
	/* Fails where the kernel has no huge pages to avoid. */
	if (madvise(p, bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		err(1, "madvise(MADV_NOHUGEPAGE)");
	memset(p, 0x5a, bytes);
	return p;
}

static void set_slot(unsigned int slot, uint32_t flags, uint64_t gpa, void *hva,
		     size_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)hva,
	};

	must_ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region,
		   "KVM_SET_USER_MEMORY_REGION");
}

void set_data_slot_flags(uint32_t flags)
{
	set_slot(DATA_SLOT, flags, DATA_GPA, data, DATA_BYTES);
}

void replace_data_slot(void)
{
	set_slot(DATA_SLOT, 0, DATA_GPA, data, 0);
	set_data_slot_flags(0);
}

void share_data_pages(void)
{
	set_slot(DATA_SLOT, 0, DATA_GPA, data, 0);
	data = host_pages(DATA_BYTES, MAP_SHARED);
	set_data_slot_flags(0);
}

void drop_data_pages(void)
{
	if (madvise(data, DATA_BYTES, MADV_DONTNEED))
		err(1, "madvise(MADV_DONTNEED)");
}

static unsigned int take_dirty(unsigned int slot, uint64_t *bitmap, unsigned int words)
{
	struct kvm_dirty_log log = {
		.slot = slot,
		.dirty_bitmap = bitmap,
	};
	unsigned int i, pages = 0;

	must_ioctl(vm_fd, KVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG");
	for (i = 0; i < words; i++)
		pages += __builtin_popcountll(bitmap[i]);
	return pages;
}

unsigned int take_dirty_pages(void)
{
	uint64_t bitmap[SLOT_PAGES / LONG_BITS + 1] = { 0 };

	return take_dirty(DATA_SLOT, bitmap, sizeof(bitmap) / sizeof(bitmap[0]));
}

void add_large_slot(void)
{
	large = host_pages(LARGE_PAGES * PAGE_SIZE, MAP_PRIVATE);
	set_large_slot_flags(0);
}

void set_large_slot_flags(uint32_t flags)
{
	set_slot(LARGE_SLOT, flags, LARGE_GPA, large, LARGE_PAGES * PAGE_SIZE);
}

void protect_large_slot(int prot)
{
	if (mprotect(large, LARGE_PAGES * PAGE_SIZE, prot))
		err(1, "mprotect");
}

unsigned int take_dirty_large_pages(void)
{
	uint64_t bitmap[LARGE_PAGES / LONG_BITS] = { 0 };

	return take_dirty(LARGE_SLOT, bitmap, sizeof(bitmap) / sizeof(bitmap[0]));
}

void clear_dirty_pages(unsigned int pages)
{
	uint64_t bitmap[SLOT_PAGES / LONG_BITS + 1] = { 0 };
	struct kvm_clear_dirty_log log = {
		.slot = DATA_SLOT,
		.num_pages = (pages + LONG_BITS - 1) / LONG_BITS * LONG_BITS,
		.dirty_bitmap = bitmap,
	};
	unsigned int i;

	for (i = 0; i < pages; i++)
		bitmap[i / LONG_BITS] |= 1UL << i % LONG_BITS;
	must_ioctl(vm_fd, KVM_CLEAR_DIRTY_LOG, &log, "KVM_CLEAR_DIRTY_LOG");
}

void protect_by_hand(void)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};

	must_ioctl(vm_fd, KVM_ENABLE_CAP, &cap, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
}

static void load_guest(void)
{
	size_t bytes = __stop_guest_code - __start_guest_code;
	void *code = host_pages(CODE_BYTES, MAP_PRIVATE);

	if (bytes > CODE_BYTES)
		errx(1, "the guest's loops take %zu bytes, CODE_BYTES is %lu",
		     bytes, CODE_BYTES);
	memcpy(code, __start_guest_code, bytes);
	set_slot(CODE_SLOT, 0, CODE_GPA, code, CODE_BYTES);

	data = host_pages(DATA_BYTES, MAP_PRIVATE);
	set_data_slot_flags(0);
}

int get_reg(struct vcpu *vcpu, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

	return ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg);
}

void set_reg(struct vcpu *vcpu, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };

	must_ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg, "KVM_SET_ONE_REG");
}

static void create_vcpu(struct vcpu *vcpu, unsigned long id)
{
	int bytes = must_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL,
			       "KVM_GET_VCPU_MMAP_SIZE");

	vcpu->fd = must_ioctl(vm_fd, KVM_CREATE_VCPU, (void *)id,
			      "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		err(1, "mmap of kvm_run");
}

static void start_vcpu(struct vcpu *vcpu)
{
	struct kvm_mp_state started = { .mp_state = KVM_MP_STATE_RUNNABLE };

	/* All but the first wait for the guest to start them. */
	must_ioctl(vcpu->fd, KVM_SET_MP_STATE, &started, "KVM_SET_MP_STATE");
	set_reg(vcpu, KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE |
		KVM_REG_RISCV_CORE_REG(regs.pc), gpa_of(guest_start));
	if (!run_once(vcpu))
		errx(1, "the guest did not start: exit reason %u",
		     vcpu->run->exit_reason);
}

const char *create_vm(const char *(*set_up)(void))
{
	const char *reason = NULL;
	int i;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		err(1, "/dev/kvm: is kvm.ko loaded, and does the hart have the H extension?");
	vm_fd = must_ioctl(kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	load_guest();
	for (i = 0; i < NR_VCPUS; i++)
		create_vcpu(&vcpus[i], i);
	if (set_up)
		reason = set_up();
	for (i = 0; !reason && i < NR_VCPUS; i++)
		start_vcpu(&vcpus[i]);
	return reason;
}

void answer(struct vcpu *vcpu, const char *loop, unsigned int rounds)
{
	vcpu->run->riscv_sbi.ret[0] = gpa_of(loop);
	vcpu->run->riscv_sbi.ret[1] = rounds;
}

static int serve_sbi(struct kvm_run *run)
{
	if (run->riscv_sbi.extension_id != SBI_USER)
		errx(1, "the guest called SBI extension 0x%lx",
		     run->riscv_sbi.extension_id);
	switch (run->riscv_sbi.function_id) {
	case SBI_USER_QUESTION:
		return 1;
	case SBI_USER_NOTHING:
		run->riscv_sbi.ret[0] = 0;
		return 0;
	default:
		errx(1, "the guest took a trap: scause %lu, sepc 0x%lx",
		     run->riscv_sbi.args[0], run->riscv_sbi.args[1]);
	}
}

int run_once(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (ioctl(vcpu->fd, KVM_RUN, NULL))
		err(1, "KVM_RUN");
	switch (run->exit_reason) {
	case KVM_EXIT_RISCV_SBI:
		return serve_sbi(run);
	case KVM_EXIT_MMIO:
		return 0;
	case KVM_EXIT_RISCV_CSR:
		run->riscv_csr.ret_value = SEED;
		return 0;
	default:
		errx(1, "the guest left with exit reason %u", run->exit_reason);
	}
}

void run_loop(struct vcpu *vcpu, const char *loop, unsigned int rounds)
{
	answer(vcpu, loop, rounds);
	while (!run_once(vcpu))
		;
}

uint64_t complaint(const struct vcpu *vcpu)
{
	return vcpu->run->riscv_sbi.args[0];
}
