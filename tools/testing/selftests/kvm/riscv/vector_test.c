// SPDX-License-Identifier: GPL-2.0
/*
 * Vector registers of guest and host: each keeps its own, whoever ran last.
 *
 * Which break each case notices:
 *
 *  kept
 *	A register or a vector CSR of the guest lost on the way out or in, also
 *	when another thread of the host uses vectors on the same CPU; or those
 *	of that thread.
 *  one_reg
 *	What user space reads or sets is not what the guest has.
 *  two_vcpus
 *	The registers of one vCPU that show up in another on the same CPU.
 *  untouched
 *	A guest that has never used vectors finds what others left in them.
 *  host_sees_nothing
 *	The guest's registers left to user space after KVM_RUN.
 *  bad_values
 *	A value of user space that makes the hart trap in the host's kernel.
 *  refused
 *	Identifiers and sizes that are wrong, and a vCPU that has lost V.
 *  interrupted
 *	The kernel takes the vector unit in an interrupt, and does not save the
 *	guest's registers first. It needs a kernel that does, which is for
 *	whoever runs the program to provide.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"
#include "ucall_common.h"

/* An extension that KVM hands to user space, apart from that of ucalls. */
#define FORWARD_EXT	SBI_EXT_EXPERIMENTAL_START

#define ROUNDS		200
#define NR_V		32
#define MAX_VLENB	128

enum { VSTART, VL, VTYPE, VCSR, NR_CSR };

struct vectors {
	u64 csr[NR_CSR];
	u8 v[NR_V * MAX_VLENB];
};

/* Loads vl, vtype and all vector registers from a struct vectors. */
#define LOAD_FROM_A0						\
	"	ld	t0, 8(a0)\n"				\
	"	ld	t1, 16(a0)\n"				\
	"	vsetvl	x0, t0, t1\n"				\
	"	csrr	t1, vlenb\n"				\
	"	slli	t1, t1, 3\n"				\
	"	addi	t0, a0, 32\n"				\
	".irp n,0,8,16,24\n"					\
	"	vl8re8.v v\\n, (t0)\n"				\
	"	add	t0, t0, t1\n"				\
	".endr\n"

/*
 * Loads all vector registers, does an ECALL, and stores them again. In the host
 * that is a system call, in the guest an SBI call.
 *
 * QEMU (10.0) takes a write of a vector CSR by a guest for a change of
 * VSSTATUS.VS alone, so the hypervisor does not see that there is state to save
 * if it gets the hart right then. So vcsr and vstart, which all instructions
 * clear, are only ever written by user space.
 */
asm(".pushsection .text\n"
	".balign 4\n"
	".option push\n"
	".option arch, +v\n"
	"vector_ecall:\n"
	"	addi	sp, sp, -16\n"
	"	sd	s1, 0(sp)\n"
	"	mv	s1, a1\n"
	LOAD_FROM_A0
	"	mv	a7, a2\n"
	"	li	a6, 0\n"
	"	mv	a0, a3\n"
	"	mv	a1, a4\n"
	"	li	a2, 0\n"
	"	ecall\n"
	"vector_store:\n"
	"	csrr	t0, vstart\n"
	"	sd	t0, 0(s1)\n"
	"	csrr	t0, vcsr\n"
	"	sd	t0, 24(s1)\n"
	"	csrr	t0, vl\n"
	"	sd	t0, 8(s1)\n"
	"	csrr	t1, vtype\n"
	"	sd	t1, 16(s1)\n"
	"	vsetvl	x0, t0, t1\n"
	"	csrr	t1, vlenb\n"
	"	slli	t1, t1, 3\n"
	"	addi	t0, s1, 32\n"
	".irp n,0,8,16,24\n"
	"	vs8r.v	v\\n, (t0)\n"
	"	add	t0, t0, t1\n"
	".endr\n"
	"	ld	s1, 0(sp)\n"
	"	addi	sp, sp, 16\n"
	"	ret\n"
	/* Stores them as they are. */
	"vector_look:\n"
	"	addi	sp, sp, -16\n"
	"	sd	s1, 0(sp)\n"
	"	mv	s1, a0\n"
	"	j	vector_store\n"
	".option pop\n"
	".popsection\n");
long vector_ecall(const struct vectors *load, struct vectors *saved, long nr,
		  long arg0, long arg1);
void vector_look(struct vectors *saved);

/*
 * Loads all vector registers, keeps them for some time, and stores them again,
 * without an exit of its own.
 */
asm(".pushsection .text\n"
	".balign 4\n"
	".option push\n"
	".option arch, +v\n"
	"vector_hold:\n"
	LOAD_FROM_A0
	"1:	addi	a2, a2, -1\n"
	"	bnez	a2, 1b\n"
	"	mv	a0, a1\n"
	"	j	vector_look\n"
	".option pop\n"
	".popsection\n");
void vector_hold(const struct vectors *load, struct vectors *saved, u64 turns);

/* Known to the guest, too. */
static u64 vlenb;

static u8 byte_of(u64 seed, int i)
{
	return (seed + 1) * 0x9e3779b97f4a7c15ULL >> 56 ^ (i * 37 + i / 256);
}

/* Vectors of 32-bit elements, in groups of two: vill is clear. */
#define VTYPE_E32_M2	(2 << 3 | 1)

/* What a vCPU has in vcsr. */
static u64 vcsr_of(int me)
{
	return me ? 2 : 5;
}

static void fill(struct vectors *v, u64 seed, u64 vcsr)
{
	int i;

	v->csr[VSTART] = 0;
	v->csr[VL] = 2 + seed % 3;
	v->csr[VTYPE] = VTYPE_E32_M2;
	v->csr[VCSR] = vcsr;
	for (i = 0; i < NR_V * vlenb; i++)
		v->v[i] = byte_of(seed, i);
}

/* The first byte that differs, or -1. The CSRs have negative numbers below. */
static int difference(const struct vectors *a, const struct vectors *b)
{
	int i;

	for (i = 0; i < NR_CSR; i++)
		if (a->csr[i] != b->csr[i])
			return -2 - i;
	for (i = 0; i < NR_V * vlenb; i++)
		if (a->v[i] != b->v[i])
			return i;
	return -1;
}

/* Too large for a guest's stack; one for each vCPU. */
static struct vectors guest_load[2], guest_saved[2];

static void guest_keep(int me, u64 seed, int rounds)
{
	struct vectors *load = &guest_load[me], *saved = &guest_saved[me];
	u64 spin;
	int i, at;

	csr_set(CSR_SSTATUS, SR_VS_INITIAL);
	for (i = 0; i < rounds; i++) {
		fill(load, seed + i, vcsr_of(me));
		vector_ecall(load, saved, i & 1 ? SBI_EXT_BASE : FORWARD_EXT, 0, 0);
		at = difference(load, saved);
		__GUEST_ASSERT(at == -1, "round %d: guest's vectors differ at %d: 0x%lx, not 0x%lx",
			       i, at, at < 0 ? 0 : *(u64 *)&saved->v[at & ~7],
			       at < 0 ? 0 : *(u64 *)&load->v[at & ~7]);
		/* Time for the other thread to be scheduled. */
		for (spin = 0; spin < 20000; spin++)
			barrier();
	}
	GUEST_DONE();
}

static bool stop;

static void *vector_thread(void *unused)
{
	static struct vectors load, saved;
	u64 seed;
	int i;

	pin_self_to_cpu(0);
	for (seed = 5000; !READ_ONCE(stop); seed++) {
		/*
		 * A system call loses vectors, and vector_ecall() does one, of a
		 * number that is none: so they are loaded for some time first.
		 */
		fill(&load, seed, 0);
		vector_ecall(&load, &saved, -1, 0, 0);
		for (i = 0; i < 100; i++) {
			u8 v0[MAX_VLENB];
			u64 spin;

			asm volatile(".option push\n"
				     ".option arch, +v\n"
				     "csrw	vstart, x0\n"
				     "vl1re8.v	v0, (%0)\n"
				     ".option pop\n"
				     : : "r" (load.v) : "memory");
			for (spin = 0; spin < 2000; spin++)
				barrier();
			asm volatile(".option push\n"
				     ".option arch, +v\n"
				     "vs1r.v	v0, (%0)\n"
				     ".option pop\n"
				     : : "r" (v0) : "memory");
			TEST_ASSERT(!memcmp(v0, load.v, vlenb),
				    "the other thread's v0 has changed");
		}
		sched_yield();
	}
	return NULL;
}

static u64 csr_id(int csr)
{
	return KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_VECTOR | csr;
}

FIXTURE(vector)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[2];
};

FIXTURE_SETUP(vector)
{
	struct kvm_vcpu *vcpu;
	int i;

	self->vm = vm_with_vcpus(2, guest_keep, self->vcpu);
	vcpu = self->vcpu[0];
	if (!__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_V))
		SKIP(return, "the hart has no V extension");
	for (i = 0; i < 2; i++)
		vcpu_set_reg(self->vcpu[i], csr_id(VCSR), vcsr_of(i));
	vlenb = vcpu_get_reg(vcpu, KVM_REG_RISCV | KVM_REG_SIZE_U64 |
				   KVM_REG_RISCV_VECTOR |
				   KVM_REG_RISCV_VECTOR_CSR_REG(vlenb));
	TEST_ASSERT(vlenb >= 16 && vlenb <= MAX_VLENB, "vlenb is %lu", vlenb);
	sync_global_to_guest(self->vm, vlenb);
}

FIXTURE_TEARDOWN(vector)
{
	kvm_vm_free(self->vm);
}

static u64 register_id(int num)
{
	return KVM_REG_RISCV | (u64)__builtin_ctzl(vlenb) << KVM_REG_SIZE_SHIFT |
	       KVM_REG_RISCV_VECTOR | KVM_REG_RISCV_VECTOR_REG(num);
}

static void read_regs(struct kvm_vcpu *vcpu, struct vectors *v)
{
	int i;

	for (i = 0; i < NR_CSR; i++)
		v->csr[i] = vcpu_get_reg(vcpu, csr_id(i));
	for (i = 0; i < NR_V; i++) {
		struct kvm_one_reg reg = {
			.id = register_id(i), .addr = (u64)&v->v[i * vlenb],
		};

		vcpu_ioctl(vcpu, KVM_GET_ONE_REG, &reg);
	}
}

static void write_regs(struct kvm_vcpu *vcpu, struct vectors *v)
{
	int i;

	for (i = 0; i < NR_CSR; i++)
		vcpu_set_reg(vcpu, csr_id(i), v->csr[i]);
	for (i = 0; i < NR_V; i++) {
		struct kvm_one_reg reg = {
			.id = register_id(i), .addr = (u64)&v->v[i * vlenb],
		};

		vcpu_ioctl(vcpu, KVM_SET_ONE_REG, &reg);
	}
}

/* Runs until the guest calls user space. Returns false once it is done. */
static bool run_to_call(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_RISCV_SBI);
	if (vcpu->run->riscv_sbi.extension_id == FORWARD_EXT)
		return true;
	TEST_ASSERT(guest_is_done(vcpu), "an exit that is neither");
	return false;
}

TEST_F(vector, kept)
{
	pthread_t other;
	int calls = 0;

	pin_self_to_cpu(0);
	other = thread_start(vector_thread, NULL);
	vcpu_args_set(self->vcpu[0], 3, 0, 0, ROUNDS);
	while (run_to_call(self->vcpu[0]))
		calls++;
	TEST_ASSERT_EQ(calls, ROUNDS / 2);
	WRITE_ONCE(stop, true);
	pthread_join(other, NULL);
}

TEST_F(vector, one_reg)
{
	static struct vectors expected, found;
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int round;

	vcpu_args_set(vcpu, 3, 0, 0, ROUNDS);
	/* The guest checks itself that it has what was set here. */
	for (round = 0; run_to_call(vcpu); round += 2) {
		fill(&expected, round, vcsr_of(0));
		read_regs(vcpu, &found);
		TEST_ASSERT(difference(&expected, &found) == -1,
			    "round %d: user space reads others, at %d", round,
			    difference(&expected, &found));

		fill(&expected, 777 + round, vcsr_of(0));
		expected.csr[VSTART] = 1;
		write_regs(vcpu, &expected);
		read_regs(vcpu, &found);
		TEST_ASSERT(difference(&expected, &found) == -1,
			    "round %d: user space reads others than it set, at %d",
			    round, difference(&expected, &found));
		memcpy(addr_gva2hva(self->vm, (u64)&guest_load[0]), &expected,
		       sizeof(expected));
	}
	TEST_ASSERT_EQ(round, ROUNDS);
}

TEST_F(vector, two_vcpus)
{
	bool more[2] = { true, true };
	int i, calls[2] = {};

	pin_self_to_cpu(0);
	for (i = 0; i < 2; i++)
		vcpu_args_set(self->vcpu[i], 3, i, 3000 * i, ROUNDS / 2);
	while (more[0] || more[1])
		for (i = 0; i < 2; i++) {
			more[i] = more[i] && run_to_call(self->vcpu[i]);
			calls[i] += more[i];
		}
	for (i = 0; i < 2; i++)
		TEST_ASSERT_EQ(calls[i], ROUNDS / 4);
}

static void guest_untouched(void)
{
	int i;

	csr_set(CSR_SSTATUS, SR_VS_INITIAL);
	vector_look(&guest_saved[1]);
	for (i = 0; i < NR_V * vlenb; i++)
		GUEST_ASSERT_EQ(guest_saved[1].v[i], 0);
	GUEST_DONE();
}

TEST_F(vector, untouched)
{
	vcpu_args_set(self->vcpu[0], 3, 0, 0, 10);
	pin_self_to_cpu(0);
	TEST_ASSERT(run_to_call(self->vcpu[0]), "no call");
	/* The hart's registers are those of the first vCPU, or its memory was. */
	vcpu_arch_set_entry_point(self->vcpu[1], guest_untouched);
	vcpu_run(self->vcpu[1]);
	TEST_ASSERT(guest_is_done(self->vcpu[1]), "not reached");
}

/* Whether any word of these registers is one of the others. */
static bool has_words_of(const struct vectors *v, const struct vectors *others)
{
	const u64 *word = (void *)v->v, *other = (void *)others->v;
	u64 i, k, words = NR_V * vlenb / sizeof(*word);

	for (i = 0; i < words; i++)
		for (k = 0; k < words; k++)
			if (word[i] == other[k])
				return true;
	return false;
}

TEST_F(vector, host_sees_nothing)
{
	static struct vectors load, saved, guests;
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int round = 0;

	vcpu_args_set(vcpu, 3, 0, 0, ROUNDS);
	fill(&load, 4321, 0);
	do {
		fill(&guests, round, vcsr_of(0));
		TEST_ASSERT_EQ(vector_ecall(&load, &saved, SYS_ioctl, vcpu->fd,
					    KVM_RUN), 0);
		/* A system call may lose all vectors of its caller. */
		TEST_ASSERT(!has_words_of(&saved, &guests),
			    "round %d: user space has vectors of the guest", round);
		round += 2;
	} while (vcpu->run->riscv_sbi.extension_id == FORWARD_EXT);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
	TEST_ASSERT_EQ(round, ROUNDS + 2);
}

static void guest_look(void)
{
	csr_set(CSR_SSTATUS, SR_VS_INITIAL);
	vector_look(&guest_saved[0]);
	GUEST_DONE();
}

TEST_F(vector, bad_values)
{
	struct kvm_vcpu *vcpu = self->vcpu[0];
	int i;

	for (i = 0; i < NR_CSR; i++)
		vcpu_set_reg(vcpu, csr_id(i), -1UL);
	vcpu_arch_set_entry_point(vcpu, guest_look);
	vcpu_run(vcpu);
	TEST_ASSERT(guest_is_done(vcpu), "not reached");
	/* The hart made of them what it has: no type, hence no elements. */
	sync_global_from_guest(self->vm, guest_saved);
	TEST_ASSERT_EQ(guest_saved[0].csr[VTYPE], BIT(63));
	TEST_ASSERT_EQ(guest_saved[0].csr[VL], 0);
	TEST_ASSERT_EQ(guest_saved[0].csr[VCSR], 7);
	TEST_ASSERT(guest_saved[0].csr[VSTART] < 8 * vlenb, "vstart is 0x%lx",
		    guest_saved[0].csr[VSTART]);
}

static int get_errno(struct kvm_vcpu *vcpu, u64 id)
{
	static u8 value[1 << 15];

	return __vcpu_get_reg(vcpu, id, value) ? errno : 0;
}

TEST_F(vector, refused)
{
	const u64 isa_v = RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_V);
	const u64 size = KVM_REG_SIZE_MASK;
	struct kvm_vcpu *vcpu = self->vcpu[0];
	u64 other = vlenb + 1;
	int log2;

	for (log2 = 0; log2 < 16; log2++) {
		u64 bits = (u64)log2 << KVM_REG_SIZE_SHIFT;

		TEST_ASSERT_EQ(get_errno(vcpu, (register_id(31) & ~size) | bits),
			       1UL << log2 == vlenb ? 0 : EINVAL);
		TEST_ASSERT_EQ(get_errno(vcpu, (csr_id(VL) & ~size) | bits),
			       log2 == 3 ? 0 : EINVAL);
	}
	/* The kernel's own pointer, and the register behind the last. */
	TEST_ASSERT_EQ(get_errno(vcpu, csr_id(5)), ENOENT);
	TEST_ASSERT_EQ(get_errno(vcpu, register_id(32)), ENOENT);

	TEST_ASSERT(__vcpu_set_reg(vcpu, csr_id(4), other) && errno == EINVAL,
		    "a hart got other registers");
	vcpu_set_reg(vcpu, csr_id(4), vlenb);

	vcpu_set_reg(vcpu, isa_v, 0);
	TEST_ASSERT_EQ(get_errno(vcpu, csr_id(VL)), ENOENT);
	TEST_ASSERT_EQ(get_errno(vcpu, register_id(0)), ENOENT);
	vcpu_set_reg(vcpu, isa_v, 1);
	TEST_ASSERT_EQ(get_errno(vcpu, register_id(0)), 0);
}

/* Longer than the time between two interrupts that use vectors. */
#define HOLD	300000

static void guest_holds(int me, u64 seed, int rounds)
{
	struct vectors *load = &guest_load[0], *saved = &guest_saved[0];
	int i, at;

	csr_set(CSR_SSTATUS, SR_VS_INITIAL);
	for (i = 0; i < rounds; i++) {
		fill(load, seed + i, vcsr_of(0));
		vector_hold(load, saved, HOLD);
		at = difference(load, saved);
		__GUEST_ASSERT(at == -1, "round %d: guest's vectors differ at %d: 0x%lx, not 0x%lx",
			       i, at, at < 0 ? 0 : *(u64 *)&saved->v[at & ~7],
			       at < 0 ? 0 : *(u64 *)&load->v[at & ~7]);
	}
	GUEST_DONE();
}

TEST_F(vector, interrupted)
{
	vcpu_args_set(self->vcpu[0], 3, 0, 0, ROUNDS / 4);
	run_guest(self->vcpu[0], guest_holds);
}

TEST_HARNESS_MAIN
