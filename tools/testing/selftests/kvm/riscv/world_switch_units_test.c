// SPDX-License-Identifier: GPL-2.0
/*
 * The floating-point and the vector unit in a switch between host and guest.
 *
 * Which break each case notices:
 *
 *  no_vector
 *	The vector unit left on for a guest that has none.
 *  svadu
 *	The hart sets bits in the page tables of a guest that wants faults for that.
 *  float
 *	Floating-point registers of host or guest lost or mixed, also when a
 *	third owner of them runs in between.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "world_switch.h"

static void guest_no_vector(void)
{
	csr_write(CSR_SCAUSE, 0);
	csr_set(CSR_SSTATUS, SR_VS_INITIAL);
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	csrr	t0, " __stringify(CSR_VLENB) "\n"
		     "	.balign	4\n"
		     "1:\n"
		     : : : "t0", "memory");
	GUEST_ASSERT_EQ(csr_read(CSR_SCAUSE), EXC_INST_ILLEGAL);
	GUEST_DONE();
}

/* The vector unit has what the host left in it: not for a guest without V. */
TEST_F(world_switch, no_vector)
{
	const u64 vector = RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_V);

	if (!is_rust_backend())
		SKIP(return, "the C backend leaves the vector unit on for a guest without V");
	if (__vcpu_has_ext(self->vcpu[0], vector))
		vcpu_set_reg(self->vcpu[0], vector, 0);
	vcpu_arch_set_entry_point(self->vcpu[0], guest_no_vector);
	vcpu_run(self->vcpu[0]);
	TEST_ASSERT(guest_is_done(self->vcpu[0]), "not reached");
}

static u64 guest_accessed_page;

static void guest_read_not_accessed(void)
{
	u64 cause;

	csr_write(CSR_SCAUSE, 0);
	asm volatile("	la	t0, 1f\n"
		     "	csrw	stvec, t0\n"
		     "	ld	t0, 0(%1)\n"
		     "	.balign	4\n"
		     "1:	csrr	%0, scause\n"
		     : "=r" (cause) : "r" (guest_accessed_page) : "t0", "memory");
	GUEST_SYNC(cause);
}

/* With Svadu, the hart sets the accessed bit; without, the guest takes a page fault. */
TEST_F(world_switch, svadu)
{
	const u64 svadu = RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_SVADU);
	struct ucall uc;
	int on;

	if (!__vcpu_has_ext(self->vcpu[0], svadu))
		SKIP(return, "the hart has no Svadu");
	for (on = 0; on < 2; on++) {
		u64 cause = on ? 0 : EXC_LOAD_PAGE_FAULT;
		struct kvm_vcpu *vcpu[2];
		struct area *area[2];
		struct kvm_vm *vm = create_vm(vcpu, area);
		u64 *pte;

		guest_accessed_page = vm_alloc_page(vm);
		pte = pte_of(vm, guest_accessed_page);
		*pte &= ~PGTBL_PTE_ACCESSED_MASK;
		sync_global_to_guest(vm, guest_accessed_page);
		vcpu_set_reg(vcpu[0], svadu, on);
		vcpu_arch_set_entry_point(vcpu[0], guest_read_not_accessed);
		vcpu_run(vcpu[0]);
		TEST_ASSERT_EQ(get_ucall(vcpu[0], &uc), UCALL_SYNC);
		TEST_ASSERT_EQ(uc.args[1], cause);
		TEST_ASSERT_EQ(!!(*pte & PGTBL_PTE_ACCESSED_MASK), on);
		kvm_vm_free(vm);
	}
}

/*
 * Loads f0 to f31 and FCSR, does an ECALL, stores them again. In the host that
 * is a system call, in the guest an SBI call: both take a7, a0, a1 and a2.
 *
 * FCSR is last because QEMU (10.0) takes a write of it by a guest for a change
 * of VSSTATUS.FS alone. An exit right after it, with no other floating-point
 * register written, would not show the hypervisor that there is state to save.
 */
asm(".pushsection .text\n"
	".balign 4\n"
	"float_ecall:\n"
	"	addi	sp, sp, -16\n"
	"	sd	s1, 0(sp)\n"
	"	mv	s1, a0\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
	"25,26,27,28,29,30,31\n"
	"	fld	f\\n, 8 * \\n(a0)\n"
	".endr\n"
	"	ld	t0, 32 * 8(a0)\n"
	"	fscsr	t0\n"
	"	mv	a7, a1\n"
	"	li	a6, 0\n"
	"	mv	a0, a2\n"
	"	mv	a1, a3\n"
	"	li	a2, 0\n"
	"	ecall\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,"
	"25,26,27,28,29,30,31\n"
	"	fsd	f\\n, 33 * 8 + 8 * \\n(s1)\n"
	".endr\n"
	"	frcsr	t0\n"
	"	sd	t0, (33 + 32) * 8(s1)\n"
	"	ld	s1, 0(sp)\n"
	"	addi	sp, sp, 16\n"
	"	ret\n"
	".popsection\n");

#define NR_F	33	/* FCSR is the last */

struct floats {
	u64 load[NR_F];
	u64 saved[NR_F];
};

long float_ecall(struct floats *f, long nr, long arg0, long arg1);

static void float_fill(struct floats *f, u64 seed)
{
	int i;

	for (i = 0; i < NR_F - 1; i++)
		f->load[i] = pattern(seed, 100 + i);
	/* Rounding mode and accrued flags: any of the defined values. */
	f->load[NR_F - 1] = (seed % 5) << 5 | seed % 32;
}

static void float_check(struct floats *f, const char *whose)
{
	int i;

	for (i = 0; i < NR_F; i++)
		TEST_ASSERT(f->saved[i] == f->load[i], "%s f%d was 0x%lx and is 0x%lx",
			    whose, i, f->load[i], f->saved[i]);
}

static void guest_float(int rounds)
{
	struct floats f;
	u64 seed, spin;
	int i;

	csr_set(CSR_SSTATUS, SR_FS_INITIAL);
	for (seed = 0; seed < rounds; seed++) {
		float_fill(&f, seed);
		float_ecall(&f, seed & 1 ? SBI_EXT_BASE : FORWARD_EXT, 0, 0);
		for (i = 0; i < NR_F; i++)
			__GUEST_ASSERT(f.saved[i] == f.load[i],
				       "guest's f%d was 0x%lx and is 0x%lx", i,
				       f.load[i], f.saved[i]);
		/* Time for the other thread to be scheduled. */
		for (spin = 0; spin < 20000; spin++)
			barrier();
	}
	GUEST_DONE();
}

static bool stop;

static void *float_thread(void *unused)
{
	struct floats f;
	u64 seed;

	pin_self_to_cpu(0);
	for (seed = 5000; !READ_ONCE(stop); seed++) {
		float_fill(&f, seed);
		float_ecall(&f, SYS_sched_yield, 0, 0);
		float_check(&f, "the other thread's");
	}
	return NULL;
}

TEST_F(world_switch, float)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	struct kvm_run *run = vcpu->run;
	struct floats f;
	pthread_t other;
	u64 seed;
	int i;

	if (!__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_D))
		SKIP(return, "the hart has no D extension");

	pin_self_to_cpu(0);
	other = thread_start(float_thread, NULL);
	vcpu_arch_set_entry_point(vcpu, guest_float);
	vcpu_args_set(vcpu, 1, 5 * ROUNDS);

	for (seed = 0; ; seed++) {
		float_fill(&f, 9000 + seed);
		TEST_ASSERT_EQ(float_ecall(&f, SYS_ioctl, vcpu->fd, KVM_RUN), 0);
		float_check(&f, "the host's");

		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
		if (run->riscv_sbi.extension_id != FORWARD_EXT)
			break;

		/* The guest's, while they are not in the hart. */
		float_fill(&f, 2 * seed);
		for (i = 0; i < NR_F - 1; i++)
			TEST_ASSERT_EQ(vcpu_get_reg(vcpu, __kvm_reg_id(KVM_REG_RISCV_FP_D, 0,
								       i, KVM_REG_SIZE_U64)),
				       f.load[i]);
	}
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
	TEST_ASSERT_EQ(2 * seed, 5 * ROUNDS);
	WRITE_ONCE(stop, true);
	pthread_join(other, NULL);
}

TEST_HARNESS_MAIN
