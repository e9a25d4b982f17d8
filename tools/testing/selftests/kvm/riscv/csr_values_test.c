// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes of a value that user space gives for a CSR of the guest.
 *
 * Which break each case notices:
 *
 *  legal
 *	A register that holds what no write of the guest could have left there.
 *  neighbour
 *	The value of a guest of another VM, which ran on the hart before, in place
 *	of one that the hart cannot have.
 *  turns
 *	The same for any values of all registers, in two VMs by turns.
 *  host_survives
 *	Bits of sstatus that act on the host.
 */
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "run_guest.h"

#define TURNS		300
#define SATP_MODE(mode)	((u64)(mode) << 60)
#define MODE_OF(satp)	((satp) >> 60)

#define SSTATUS_FIELDS	(SR_SIE | SR_SPIE | SR_SPP | SR_VS | SR_FS | SR_SUM | SR_MXR)
#define SR_MXR		(1UL << 19)

#define SSTATUS_UXL_64	(2UL << 32)
#define SSTATUS_SD	(1UL << 63)

/* The registers, in the order in which the guest reports them. */
enum {
	SSTATUS, SIE, STVEC, SSCRATCH, SEPC, SCAUSE, STVAL, SATP, SCOUNTEREN,
	SENVCFG, NR_CSRS,
};

static u64 id(int csr)
{
	const u64 ids[NR_CSRS] = {
		RISCV_GENERAL_CSR_REG(sstatus), RISCV_GENERAL_CSR_REG(sie),
		RISCV_GENERAL_CSR_REG(stvec), RISCV_GENERAL_CSR_REG(sscratch),
		RISCV_GENERAL_CSR_REG(sepc), RISCV_GENERAL_CSR_REG(scause),
		RISCV_GENERAL_CSR_REG(stval), RISCV_GENERAL_CSR_REG(satp),
		RISCV_GENERAL_CSR_REG(scounteren), RISCV_GENERAL_CSR_REG(senvcfg),
	};

	return ids[csr];
}

static const char *const name[NR_CSRS] = {
	"sstatus", "sie", "stvec", "sscratch", "sepc", "scause", "stval", "satp",
	"scounteren", "senvcfg",
};

/* What the guest has, written by the guest at each of its exits. */
static u64 seen[NR_CSRS];

static void guest_report(void)
{
	for (;;) {
		WRITE_ONCE(seen[SSTATUS], csr_read(CSR_SSTATUS));
		WRITE_ONCE(seen[SIE], csr_read(CSR_SIE));
		WRITE_ONCE(seen[STVEC], csr_read(CSR_STVEC));
		WRITE_ONCE(seen[SSCRATCH], csr_read(CSR_SSCRATCH));
		WRITE_ONCE(seen[SEPC], csr_read(CSR_SEPC));
		WRITE_ONCE(seen[SCAUSE], csr_read(CSR_SCAUSE));
		WRITE_ONCE(seen[STVAL], csr_read(CSR_STVAL));
		WRITE_ONCE(seen[SATP], csr_read(CSR_SATP));
		WRITE_ONCE(seen[SCOUNTEREN], csr_read(CSR_SCOUNTEREN));
		WRITE_ONCE(seen[SENVCFG], csr_read(CSR_SENVCFG));
		GUEST_SYNC(0);
	}
}

/* One VM with one vCPU. */
struct vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 *seen;
	bool zicbom, zicboz, ssnpm, sscofpmf;
};

static struct vm vm_start(void)
{
	struct vm m = {};

	m.vm = vm_with_vcpus(1, guest_report, &m.vcpu);
	m.seen = addr_gva2hva(m.vm, (u64)&seen);
	m.zicbom = __vcpu_has_ext(m.vcpu, RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_ZICBOM));
	m.zicboz = __vcpu_has_ext(m.vcpu, RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_ZICBOZ));
	m.ssnpm = __vcpu_has_ext(m.vcpu, RISCV_ISA_EXT_REG(KVM_RISCV_ISA_EXT_SSNPM));
	m.sscofpmf = __vcpu_has_isa_ext(m.vcpu, KVM_RISCV_ISA_EXT_SSCOFPMF);
	return m;
}

static u64 get(struct vm *m, int csr)
{
	return vcpu_get_reg(m->vcpu, id(csr));
}

static u64 sstatus_legal(u64 value)
{
	bool dirty = (value & SR_FS) == SR_FS || (value & SR_VS) == SR_VS;

	return (value & SSTATUS_FIELDS) | SSTATUS_UXL_64 | (dirty ? SSTATUS_SD : 0);
}

static u64 senvcfg_legal(struct vm *m, u64 value)
{
	u64 legal = value & 1;

	if (m->zicbom) {
		legal |= value & (1UL << 6);
		if ((value >> 4 & 3) != 2)
			legal |= value & (3UL << 4);
	}
	if (m->zicboz)
		legal |= value & (1UL << 7);
	if (m->ssnpm && (value >> 32 & 3) != 1)
		legal |= value & (3UL << 32);
	return legal;
}

/* What the register holds after `value` is set, if it held `old`. */
static u64 legal(struct vm *m, int csr, u64 old, u64 value)
{
	switch (csr) {
	case SSTATUS:
		return sstatus_legal(value);
	case SIE:
		return value & (IE_SIE | IE_TIE | IE_EIE | (m->sscofpmf ? SIP_LCOFIP : 0));
	case STVEC:
		return value & 2 ? old : value;
	case SEPC:
		return value & ~1UL;
	case SCAUSE:
		return value & (1UL << 63 | 63);
	case SCOUNTEREN:
		return value & 0xffffffff;
	case SENVCFG:
		return senvcfg_legal(m, value);
	default:
		return value;
	}
}

/* Sets the register, and checks what it says that it holds. */
static u64 set(struct vm *m, int csr, u64 value)
{
	u64 expected = legal(m, csr, get(m, csr), value), got;

	vcpu_set_reg(m->vcpu, id(csr), value);
	got = get(m, csr);
	TEST_ASSERT(got == expected, "%s: 0x%lx was given, 0x%lx is there, and not 0x%lx",
		    name[csr], value, got, expected);
	return got;
}

static u64 any_value(void)
{
	u64 value = (u64)random() << 42 ^ (u64)random() << 21 ^ random();

	/* Few bits, many bits, and what lies around the ends. */
	switch (random() & 3) {
	case 0:
		return 1UL << (random() & 63);
	case 1:
		return ~(1UL << (random() & 63));
	default:
		return value;
	}
}

FIXTURE(csr_values) {
	struct vm a, b;
	unsigned int seed;
};

FIXTURE_SETUP(csr_values)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend takes any value for a CSR");
	/* Both VMs have the same hart. */
	pin_self_to_cpu(0);
	self->seed = time(NULL);
	srandom(self->seed);
	ksft_print_msg("seed %u\n", self->seed);
	self->a = vm_start();
	self->b = vm_start();
}

FIXTURE_TEARDOWN(csr_values)
{
	if (!self->a.vm)
		return;
	kvm_vm_free(self->a.vm);
	kvm_vm_free(self->b.vm);
}

TEST_F(csr_values, legal)
{
	struct vm *m = &self->a;
	u64 satp = get(m, SATP), mode, got;
	int csr, i;

	TEST_ASSERT_EQ(get(m, SSTATUS), SSTATUS_UXL_64);
	for (csr = 0; csr < NR_CSRS; csr++) {
		if (csr == SATP)
			continue;
		set(m, csr, ~0UL);
		set(m, csr, 0);
		for (i = 0; i < 64; i++)
			set(m, csr, 1UL << i);
		for (i = 0; i < 1000; i++)
			set(m, csr, any_value());
	}

	/* A mode is there or is not; ASID may have fewer than 16 bits. */
	for (mode = 0; mode < 16; mode++) {
		vcpu_set_reg(m->vcpu, id(SATP), satp);
		vcpu_set_reg(m->vcpu, id(SATP), SATP_MODE(mode) | 0x0ffff00000012345);
		got = get(m, SATP);
		if (!mode)
			TEST_ASSERT_EQ(got, 0);
		else if (mode < 8 || mode > 10)
			TEST_ASSERT_EQ(got, satp);
		else if (got != satp)
			TEST_ASSERT_EQ(got & ~0x0ffff00000000000, SATP_MODE(mode) | 0x12345);
		else
			TEST_ASSERT(mode > MODE_OF(satp), "the hart has mode %lu", mode);
	}
}

TEST_F(csr_values, neighbour)
{
	struct vm *a = &self->a, *b = &self->b;
	const u64 secret = 0xffffffff81234560;
	u64 stvec, satp;

	/* A has run on the hart, with what is its own. */
	vcpu_run(a->vcpu);
	set(a, STVEC, secret);
	set(a, SSCRATCH, secret);
	vcpu_run(a->vcpu);
	TEST_ASSERT_EQ(a->seen[STVEC], secret);

	/* The hart has none of these values. */
	stvec = get(b, STVEC);
	satp = get(b, SATP);
	vcpu_set_reg(b->vcpu, id(STVEC), 2);
	vcpu_set_reg(b->vcpu, id(SATP), SATP_MODE(15));
	TEST_ASSERT_EQ(get(b, STVEC), stvec);
	TEST_ASSERT_EQ(get(b, SATP), satp);
	vcpu_run(b->vcpu);
	TEST_ASSERT_EQ(b->seen[STVEC], stvec);
	TEST_ASSERT_EQ(b->seen[SATP], satp);
	TEST_ASSERT_EQ(get(b, STVEC), stvec);
	TEST_ASSERT_EQ(get(b, SATP), satp);
	TEST_ASSERT(get(b, SSCRATCH) != secret, "sscratch is that of another VM");
}

/* Sets some registers, and runs the guest, which has to find all of them. */
static void turn(struct vm *m, u64 *held)
{
	u64 fixed;
	int csr, i;

	for (i = 0; i < 3; i++) {
		csr = random() % NR_CSRS;
		if (csr == SATP) {
			/* The guest's page table stays, whatever is tried. */
			vcpu_set_reg(m->vcpu, id(SATP),
				     SATP_MODE(1 + random() % 7) | any_value() >> 4);
			continue;
		}
		held[csr] = set(m, csr, any_value());
	}
	/* No interrupt is pending. A trap would lose the guest. */
	vcpu_run(m->vcpu);
	TEST_ASSERT(!guest_is_done(m->vcpu), "the guest has ended");
	for (csr = 0; csr < NR_CSRS; csr++) {
		/* The hart decides how much of these it can hold. */
		fixed = csr == SCOUNTEREN ? 7 : csr == SENVCFG ? 1 :
			csr == SSTATUS ? SSTATUS_FIELDS | SSTATUS_UXL_64 : ~0UL;
		if (csr == STVEC && m->seen[STVEC] != held[STVEC]) {
			TEST_ASSERT_EQ(m->seen[STVEC], 0);
			held[STVEC] = 0;
		}
		TEST_ASSERT((m->seen[csr] & fixed) == (held[csr] & fixed),
			    "%s: the guest has 0x%lx, and not 0x%lx", name[csr],
			    m->seen[csr], held[csr]);
		/* SD and XS are read-only: QEMU (10.0) shows SD in sstatus alone. */
		fixed = csr == SSTATUS ? SSTATUS_FIELDS | SSTATUS_UXL_64 : ~0UL;
		if (csr != SCOUNTEREN && csr != SENVCFG)
			TEST_ASSERT_EQ(get(m, csr) & fixed, held[csr] & fixed);
	}
}

TEST_F(csr_values, turns)
{
	u64 held[2][NR_CSRS];
	int i, csr;

	for (csr = 0; csr < NR_CSRS; csr++) {
		held[0][csr] = get(&self->a, csr);
		held[1][csr] = get(&self->b, csr);
	}
	for (i = 0; i < TURNS; i++) {
		turn(&self->a, held[0]);
		turn(&self->b, held[1]);
	}
}

TEST_F(csr_values, host_survives)
{
	struct vm *m = &self->a;
	int bit;

	for (bit = 0; bit < 64; bit++) {
		set(m, SSTATUS, 1UL << bit);
		vcpu_run(m->vcpu);
		/* The host idles on this hart. */
		usleep(2000);
	}
}

TEST_HARNESS_MAIN
