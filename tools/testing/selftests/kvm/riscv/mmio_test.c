// SPDX-License-Identifier: GPL-2.0
/*
 * MMIO: every load and store that KVM emulates, with every register.
 *
 * There is no guest program. User space writes one instruction after another
 * into a page, sets all registers through ONE_REG, runs the vCPU to the MMIO
 * exit, answers, and compares all registers with what the ISA says.
 */
#include <sys/eventfd.h>

#include "kvm_test_harness.h"
#include "kvm_util.h"
#include "processor.h"
#include "run_guest.h"

#define MMIO_GPA	0x10000000UL
#define MMIO_GVA	0x40000000UL
#define CODE_GVA	0x50000000UL
#define CODE_PAGES	4

#define NR_X		32
#define X_SP		2

/* Fields of an instruction. */
#define OPCODE_LOAD	0x03
#define OPCODE_STORE	0x23
#define OPCODE_LOAD_FP	0x07
#define OPCODE_STORE_FP	0x27
#define OPCODE_AMO	0x2f

static u32 encode_load(u32 funct3, u32 rd, u32 rs1, int imm)
{
	return (imm & 0xfff) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | OPCODE_LOAD;
}

static u32 encode_store(u32 funct3, u32 rs2, u32 rs1, int imm)
{
	return ((imm >> 5) & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 |
	       (imm & 0x1f) << 7 | OPCODE_STORE;
}

/* c.lw, c.ld, c.sw, c.sd: registers x8 to x15, an unsigned offset. */
static u32 encode_c_reg(u32 funct3, u32 reg, u32 rs1, u32 imm, u32 len)
{
	u32 low = len == 4 ? ((imm >> 2) & 1) << 1 | ((imm >> 6) & 1) : (imm >> 6) & 3;

	return funct3 << 13 | ((imm >> 3) & 7) << 10 | (rs1 - 8) << 7 | low << 5 |
	       (reg - 8) << 2;
}

/* c.lwsp, c.ldsp. */
static u32 encode_c_load_sp(u32 funct3, u32 rd, u32 imm, u32 len)
{
	u32 low = len == 4 ? ((imm >> 2) & 7) << 2 | ((imm >> 6) & 3) :
			     ((imm >> 3) & 3) << 3 | ((imm >> 6) & 7);

	return funct3 << 13 | ((imm >> 5) & 1) << 12 | rd << 7 | low << 2 | 2;
}

/* c.swsp, c.sdsp. */
static u32 encode_c_store_sp(u32 funct3, u32 rs2, u32 imm, u32 len)
{
	u32 offset = len == 4 ? ((imm >> 2) & 15) << 2 | ((imm >> 6) & 3) :
				((imm >> 3) & 7) << 3 | ((imm >> 6) & 7);

	return funct3 << 13 | offset << 7 | rs2 << 2 | 2;
}

/*
 * c.lbu, c.lhu, c.lh, c.sb, c.sh of Zcb: an offset of up to three bytes. A half word
 * has one bit of it, and the other one tells c.lh from c.lhu.
 */
static u32 encode_c_zcb(u32 funct6, u32 reg, u32 rs1, u32 imm, u32 len, bool is_signed)
{
	u32 high = len == 1 ? imm & 1 : is_signed;

	return funct6 << 10 | (rs1 - 8) << 7 | high << 6 | (imm >> 1 & 1) << 5 |
	       (reg - 8) << 2;
}

struct access {
	const char *name;
	u32 insn;
	u32 insn_len;
	u32 reg;	/* loaded or stored */
	u32 rs1;
	int imm;
	u32 len;
	bool is_write;
	bool is_signed;
};

FIXTURE(mmio)
{
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 x[NR_X];		/* what the guest's registers should hold */
	u64 pc;
	u64 end;		/* of the code written so far */
	unsigned int count;
};

FIXTURE_SETUP(mmio)
{
	gva_t code;
	int i;

	self->vm = vm_create_with_one_vcpu(&self->vcpu, NULL);
	virt_pg_map(self->vm, MMIO_GVA, MMIO_GPA);
	for (i = 0; i < CODE_PAGES; i++) {
		code = vm_alloc_page(self->vm);
		virt_pg_map(self->vm, CODE_GVA + i * 4096, addr_gva2gpa(self->vm, code));
	}
	self->end = CODE_GVA;
	self->count = 0;
}

FIXTURE_TEARDOWN(mmio)
{
	kvm_vm_free(self->vm);
}

/* Byte by byte, since an instruction may lie across two pages. */
static void write_code(struct kvm_vm *vm, u64 gva, u32 insn, u32 len)
{
	u32 i;

	for (i = 0; i < len; i++)
		*(u8 *)addr_gva2hva(vm, gva + i) = insn >> (8 * i);
}

/* Each instruction has an address of its own: nothing is ever rewritten. */
static u64 append_code(FIXTURE_DATA(mmio) *self, u32 insn, u32 len)
{
	u64 pc = self->end;

	TEST_ASSERT(pc + len <= CODE_GVA + CODE_PAGES * 4096, "no room for more code");
	write_code(self->vm, pc, insn, len);
	self->end += len;
	return pc;
}

static void set_registers(FIXTURE_DATA(mmio) *self, u64 pc)
{
	int i;

	self->pc = pc;
	vcpu_set_reg(self->vcpu, RISCV_CORE_REG(regs.pc), pc);
	for (i = 1; i < NR_X; i++)
		vcpu_set_reg(self->vcpu, core_reg(i), self->x[i]);
}

static void check_registers(FIXTURE_DATA(mmio) *self, const char *what)
{
	int i;

	for (i = 1; i < NR_X; i++) {
		u64 value = vcpu_get_reg(self->vcpu, core_reg(i));

		TEST_ASSERT(value == self->x[i], "%s: x%d is 0x%lx, not 0x%lx",
			    what, i, value, self->x[i]);
	}
	TEST_ASSERT_EQ(vcpu_get_reg(self->vcpu, RISCV_CORE_REG(regs.pc)), self->pc);
}

static u64 extend(u64 data, u32 len, bool is_signed)
{
	int unused = 64 - 8 * len;

	if (is_signed)
		return (s64)(data << unused) >> unused;
	return data << unused >> unused;
}

/* Runs one access at `pc`, where its instruction is. */
static void run_access(FIXTURE_DATA(mmio) *self, const struct access *a, u64 pc)
{
	struct kvm_run *run = self->vcpu->run;
	u64 offset = 1024 + (self->count++ * 8) % 2048;
	u64 data = 0, answer = kvm_random_u64(&kvm_rng);
	char what[64];
	int i;

	snprintf(what, sizeof(what), "%s x%u, %d(x%u)", a->name, a->reg, a->imm, a->rs1);
	for (i = 1; i < NR_X; i++)
		self->x[i] = kvm_random_u64(&kvm_rng);
	self->x[0] = 0;
	self->x[a->rs1] = MMIO_GVA + offset - a->imm;
	set_registers(self, pc);

	vcpu_run(self->vcpu);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO, "%s: exit reason %u (%s)", what,
		    run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->mmio.phys_addr == MMIO_GPA + offset, "%s: address 0x%llx",
		    what, run->mmio.phys_addr);
	TEST_ASSERT(run->mmio.len == a->len, "%s: length %u", what, run->mmio.len);
	TEST_ASSERT(run->mmio.is_write == a->is_write, "%s: is_write %u", what,
		    run->mmio.is_write);
	check_registers(self, what);

	if (a->is_write) {
		memcpy(&data, run->mmio.data, a->len);
		TEST_ASSERT(data == extend(self->x[a->reg], a->len, false),
			    "%s: 0x%lx is written, not 0x%lx", what, data,
			    extend(self->x[a->reg], a->len, false));
	} else {
		memcpy(run->mmio.data, &answer, 8);
		self->x[a->reg] = extend(answer, a->len, a->is_signed);
		self->x[0] = 0;
	}
	vcpu_run_complete_io(self->vcpu);
	self->pc += a->insn_len;
	check_registers(self, what);
}

static void try_access(FIXTURE_DATA(mmio) *self, struct access a)
{
	run_access(self, &a, append_code(self, a.insn, a.insn_len));
}

static const int offsets[] = { 0, 1, -1, 8, 2047, -2048 };

static int some_offset(FIXTURE_DATA(mmio) *self)
{
	return offsets[self->count % ARRAY_SIZE(offsets)];
}

/* A base register that goes through all of them, the target's own included. */
static u32 some_base(u32 reg)
{
	return 1 + (reg * 7) % 31;
}

TEST_F(mmio, load)
{
	static const struct {
		const char *name;
		u32 funct3, len;
		bool is_signed;
	} loads[] = {
		{ "lb", 0, 1, true }, { "lh", 1, 2, true }, { "lw", 2, 4, true },
		{ "ld", 3, 8, true }, { "lbu", 4, 1, false }, { "lhu", 5, 2, false },
		{ "lwu", 6, 4, false },
	};
	int i;
	u32 rd;

	for (i = 0; i < ARRAY_SIZE(loads); i++)
		for (rd = 0; rd < NR_X; rd++) {
			int imm = some_offset(self);
			u32 rs1 = some_base(rd);

			try_access(self, (struct access){
				.name = loads[i].name, .insn_len = 4, .reg = rd,
				.rs1 = rs1, .imm = imm, .len = loads[i].len,
				.is_signed = loads[i].is_signed,
				.insn = encode_load(loads[i].funct3, rd, rs1, imm) });
		}
}

TEST_F(mmio, store)
{
	static const struct {
		const char *name;
		u32 funct3, len;
	} stores[] = { { "sb", 0, 1 }, { "sh", 1, 2 }, { "sw", 2, 4 }, { "sd", 3, 8 } };
	int i;
	u32 rs2;

	for (i = 0; i < ARRAY_SIZE(stores); i++)
		for (rs2 = 0; rs2 < NR_X; rs2++) {
			int imm = some_offset(self);
			u32 rs1 = some_base(rs2);

			try_access(self, (struct access){
				.name = stores[i].name, .insn_len = 4, .reg = rs2,
				.rs1 = rs1, .imm = imm, .len = stores[i].len,
				.is_write = true,
				.insn = encode_store(stores[i].funct3, rs2, rs1, imm) });
		}
}

/* x0 stays zero, whatever a device answers to a load into it. */
TEST_F(mmio, zero_register)
{
	struct access load = {
		.name = "ld", .insn_len = 4, .reg = 0, .rs1 = 5, .len = 8,
		.insn = encode_load(3, 0, 5, 0),
	};
	struct access store = {
		.name = "sd", .insn_len = 4, .reg = 0, .rs1 = 5, .len = 8,
		.is_write = true, .insn = encode_store(3, 0, 5, 0),
	};

	if (!is_rust_backend())
		SKIP(return, "the C backend stores what a load into x0 has got");
	try_access(self, load);
	try_access(self, store);
}

TEST_F(mmio, compressed)
{
	static const struct {
		const char *name;
		u32 funct3, len;
		bool is_write;
	} forms[] = {
		{ "c.lw", 2, 4, false }, { "c.ld", 3, 8, false },
		{ "c.sw", 6, 4, true }, { "c.sd", 7, 8, true },
	};
	int i;
	u32 reg;

	for (i = 0; i < ARRAY_SIZE(forms); i++)
		for (reg = 8; reg < 16; reg++) {
			u32 rs1 = 8 + (reg * 3) % 8;
			u32 imm = (self->count % 16) * forms[i].len;

			try_access(self, (struct access){
				.name = forms[i].name, .insn_len = 2, .reg = reg,
				.rs1 = rs1, .imm = imm, .len = forms[i].len,
				.is_write = forms[i].is_write, .is_signed = true,
				.insn = encode_c_reg(forms[i].funct3, reg, rs1, imm,
						     forms[i].len) });
		}
}

TEST_F(mmio, compressed_stack)
{
	u32 reg, len, imm;

	for (len = 4; len <= 8; len += 4) {
		u32 funct3 = len == 4 ? 2 : 3;

		for (reg = 1; reg < NR_X; reg++) {
			imm = reg * len;
			try_access(self, (struct access){
				.name = len == 4 ? "c.lwsp" : "c.ldsp", .insn_len = 2,
				.reg = reg, .rs1 = X_SP, .imm = imm, .len = len,
				.is_signed = true,
				.insn = encode_c_load_sp(funct3, reg, imm, len) });
		}
		/* The destination of a load is never x0, the source of a store may be. */
		for (reg = 0; reg < NR_X; reg++) {
			imm = reg * len;
			try_access(self, (struct access){
				.name = len == 4 ? "c.swsp" : "c.sdsp", .insn_len = 2,
				.reg = reg, .rs1 = X_SP, .imm = imm, .len = len,
				.is_write = true,
				.insn = encode_c_store_sp(funct3 + 4, reg, imm, len) });
		}
	}
}

/* QEMU does not report these in htinst, so that KVM fetches them. */
TEST_F(mmio, compressed_zcb)
{
	static const struct {
		const char *name;
		u32 funct6, len;
		bool is_write, is_signed;
	} forms[] = {
		{ "c.lbu", 0x20, 1, false, false }, { "c.lhu", 0x21, 2, false, false },
		{ "c.lh", 0x21, 2, false, true }, { "c.sb", 0x22, 1, true, false },
		{ "c.sh", 0x23, 2, true, false },
	};
	int i;
	u32 reg, imm;

	if (!__vcpu_has_isa_ext(self->vcpu, KVM_RISCV_ISA_EXT_ZCB))
		SKIP(return, "the hart has no Zcb");
	if (!is_rust_backend())
		SKIP(return, "the C backend does not emulate the accesses of Zcb");

	for (i = 0; i < ARRAY_SIZE(forms); i++)
		for (reg = 8; reg < 16; reg++)
			for (imm = 0; imm < 4; imm += forms[i].len) {
				u32 rs1 = 8 + (reg * 3) % 8;

				try_access(self, (struct access){
					.name = forms[i].name, .insn_len = 2, .reg = reg,
					.rs1 = rs1, .imm = imm, .len = forms[i].len,
					.is_write = forms[i].is_write,
					.is_signed = forms[i].is_signed,
					.insn = encode_c_zcb(forms[i].funct6, reg, rs1, imm,
							     forms[i].len,
							     forms[i].is_signed) });
			}
}

/* The instruction itself lies in two pages, then its neighbours. */
TEST_F(mmio, instruction_across_pages)
{
	int i;

	for (i = 0; i < 3; i++) {
		struct access load = {
			.name = "lwu", .insn_len = 4, .reg = 10, .rs1 = 11, .len = 4,
			.insn = encode_load(6, 10, 11, 0),
		};
		struct access store = {
			.name = "sd", .insn_len = 4, .reg = 10, .rs1 = 11, .len = 8,
			.is_write = true, .insn = encode_store(3, 10, 11, 0),
		};
		u64 pc = CODE_GVA + 4096 * (i + 1) - 2;

		write_code(self->vm, pc, load.insn, 4);
		write_code(self->vm, pc + 4, store.insn, 4);
		run_access(self, &load, pc);
		run_access(self, &store, pc + 4);
	}
}

#define X_HANDLER	31

static u64 append_handler(FIXTURE_DATA(mmio) *self)
{
	self->end = (self->end + 3) & ~3UL;
	return append_code(self, encode_store(0, 0, X_HANDLER, 0), 4);
}

/*
 * Runs the instruction at `pc`, which must end in an exception of the guest's own,
 * with `gva` in x11. The handler is a store to a device, so that user space looks
 * at the guest there. Neither a register nor a device has changed until then, and
 * an access to a device works afterwards.
 */
static void expect_fault_at(FIXTURE_DATA(mmio) *self, const char *what, u64 handler,
			    u64 pc, u64 gva, u64 cause, u64 stval)
{
	struct access after = {
		.name = "lw", .insn_len = 4, .reg = 10, .rs1 = 11, .len = 4,
		.is_signed = true, .insn = encode_load(2, 10, 11, 0),
	};
	struct kvm_vcpu *vcpu = self->vcpu;
	struct kvm_run *run = vcpu->run;
	u64 value;
	int i;

	for (i = 1; i < NR_X; i++)
		self->x[i] = kvm_random_u64(&kvm_rng);
	self->x[11] = gva;
	self->x[X_HANDLER] = MMIO_GVA + 0x800;
	set_registers(self, pc);
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(stvec), handler);

	TEST_ASSERT(!__vcpu_run(vcpu), "%s: errno %d", what, errno);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_MMIO, "%s: exit reason %u (%s)", what,
		    run->exit_reason, exit_reason_str(run->exit_reason));
	TEST_ASSERT(run->mmio.phys_addr == MMIO_GPA + 0x800,
		    "%s: it gets to the device, at 0x%llx, length %u", what,
		    run->mmio.phys_addr, run->mmio.len);
	self->pc = handler;
	check_registers(self, what);
	value = vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(scause));
	TEST_ASSERT(value == cause, "%s: scause %lu, not %lu", what, value, cause);
	value = vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(stval));
	TEST_ASSERT(value == stval, "%s: stval 0x%lx, not 0x%lx", what, value, stval);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, RISCV_GENERAL_CSR_REG(sepc)), pc);
	vcpu_run_complete_io(vcpu);

	try_access(self, after);
}

static void expect_fault(FIXTURE_DATA(mmio) *self, const char *what, u32 insn,
			 u32 insn_len, u64 gva, u64 cause, u64 stval)
{
	u64 handler = append_handler(self);
	u64 pc = append_code(self, insn, insn_len);

	expect_fault_at(self, what, handler, pc, gva, cause, stval);
}

static void expect_load_fault(FIXTURE_DATA(mmio) *self, const char *what, u32 insn,
			      u32 insn_len, u64 gva, u64 stval)
{
	expect_fault(self, what, insn, insn_len, gva, EXC_LOAD_ACCESS, stval);
}

static void expect_store_fault(FIXTURE_DATA(mmio) *self, const char *what, u32 insn,
			       u32 insn_len, u64 gva, u64 stval)
{
	expect_fault(self, what, insn, insn_len, gva, EXC_STORE_ACCESS, stval);
}

/* Nobody reads beyond an instruction that ends where memory does. */
TEST_F(mmio, instruction_at_the_end_of_memory)
{
	struct access last = {
		.name = "c.lw", .insn_len = 2, .reg = 10, .rs1 = 11, .len = 4,
		.is_signed = true, .insn = encode_c_reg(2, 10, 11, 0, 4),
	};
	u64 edge = CODE_GVA + CODE_PAGES * 4096;

	virt_pg_map(self->vm, edge, MMIO_GPA);
	write_code(self->vm, edge - 2, last.insn, 2);
	run_access(self, &last, edge - 2);
}

/* Half an instruction is there. The other half is where the fault is. */
TEST_F(mmio, second_half_of_an_instruction)
{
	u64 edge = CODE_GVA + CODE_PAGES * 4096, handler;

	handler = append_handler(self);
	virt_pg_map(self->vm, edge, MMIO_GPA);
	write_code(self->vm, edge - 2, encode_load(2, 10, 11, 0), 2);
	expect_fault_at(self, "half a lw", handler, edge - 2, MMIO_GVA,
			EXC_INST_ACCESS, edge);
}

/* What a bus does not do for a device is an access fault of the guest. */
TEST_F(mmio, refused)
{
	struct kvm_vcpu *vcpu = self->vcpu;
	u64 gva = MMIO_GVA;

	if (!is_rust_backend())
		SKIP(return, "the C backend ends KVM_RUN with an error");

	expect_load_fault(self, "misaligned lh", encode_load(1, 10, 11, 0), 4, gva + 1, gva + 1);
	expect_load_fault(self, "misaligned lw", encode_load(2, 10, 11, 2), 4, gva, gva + 2);
	expect_load_fault(self, "misaligned ld", encode_load(3, 10, 11, 0), 4, gva + 4, gva + 4);
	expect_store_fault(self, "misaligned sh", encode_store(1, 10, 11, 0), 4, gva + 3, gva + 3);
	expect_store_fault(self, "misaligned sd", encode_store(3, 10, 11, 0), 4,
			   gva + 12, gva + 12);

	/* amoadd.w x10, x12, (x11); lr.w x10, (x11) */
	expect_store_fault(self, "AMO", 12 << 20 | 11 << 15 | 2 << 12 | 10 << 7 | OPCODE_AMO,
			   4, gva + 16, gva + 16);
	expect_load_fault(self, "LR", 2U << 28 >> 1 | 11 << 15 | 2 << 12 | 10 << 7 | OPCODE_AMO,
			  4, gva + 16, gva + 16);

	/* flw f10, 0(x11); fsw f10, 0(x11) */
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sstatus), SR_FS_INITIAL | SR_VS_INITIAL);
	expect_load_fault(self, "floating-point load",
			  11 << 15 | 2 << 12 | 10 << 7 | OPCODE_LOAD_FP, 4, gva, gva);
	expect_store_fault(self, "floating-point store",
			   10 << 20 | 11 << 15 | 2 << 12 | OPCODE_STORE_FP, 4, gva, gva);

	if (__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_V)) {
		/* vl1re8.v v8, (x11); vs1r.v v8, (x11) */
		expect_load_fault(self, "vector load", 0x02800407 | 11 << 15, 4, gva, gva);
		expect_store_fault(self, "vector store", 0x02800427 | 11 << 15, 4, gva, gva);
	}
	if (__vcpu_has_isa_ext(vcpu, KVM_RISCV_ISA_EXT_ZICBOZ))
		/* cbo.zero (x11) */
		expect_store_fault(self, "cbo.zero", 0x0040200f | 11 << 15, 4, gva, gva);
}

/*
 * A table of the guest's own page tables is where no memory is. The walk faults
 * there, and not the access, so that the device must not see an access, and the
 * guest gets the access fault of the access that it has made.
 */
TEST_F(mmio, page_table_in_a_device)
{
	struct kvm_vm *vm = self->vm;
	unsigned int shift = PGTBL_PAGE_SIZE_SHIFT + 9 * (vm->mmu.pgtable_levels - 1);
	u64 *root = addr_gpa2hva(vm, vm->mmu.pgd);
	/* The middle of the lower half, which nothing else is in. */
	u64 gva = 128UL << shift;
	u64 handler;

	if (!is_rust_backend())
		SKIP(return, "the C backend emulates the access where the walk has faulted");

	TEST_ASSERT(!root[128], "there is a table already");
	root[128] = MMIO_GPA >> PGTBL_PAGE_SIZE_SHIFT << PGTBL_PTE_ADDR_SHIFT |
		    PGTBL_PTE_VALID_MASK;

	expect_load_fault(self, "lw", encode_load(2, 10, 11, 0), 4, gva, gva);
	expect_load_fault(self, "ld", encode_load(3, 10, 11, 8), 4, gva, gva + 8);
	expect_load_fault(self, "c.lw", encode_c_reg(2, 10, 11, 0, 4), 2, gva + 4, gva + 4);
	expect_store_fault(self, "sb", encode_store(0, 10, 11, 1), 4, gva, gva + 1);
	expect_store_fault(self, "sd", encode_store(3, 10, 11, 0), 4, gva + 16, gva + 16);
	expect_store_fault(self, "c.sd", encode_c_reg(7, 10, 11, 0, 8), 2, gva, gva);

	/* What is fetched is not there either. x11 has the address of a device. */
	handler = append_handler(self);
	expect_fault_at(self, "a fetch", handler, gva, MMIO_GVA, EXC_INST_ACCESS, gva);
}

#define EDGE_GVA	0x60000000UL
#define READONLY_GPA	0x90000000UL
#define READONLY_SLOT	10

/*
 * An access that begins in memory and ends in a device faults where the device
 * begins. That address is aligned, but neither is the access, nor is all of it
 * the device's.
 */
static void try_edges(FIXTURE_DATA(mmio) *self, u64 edge, bool loads_fault)
{
	/* c.ld, c.sd, c.lw, c.sw x10, 0(x11); c.lhu, c.sh x10, 0(x11) */
	u32 c_ld = encode_c_reg(3, 10, 11, 0, 8), c_sd = encode_c_reg(7, 10, 11, 0, 8);
	u32 c_lw = encode_c_reg(2, 10, 11, 0, 4), c_sw = encode_c_reg(6, 10, 11, 0, 4);
	u32 c_lhu = 0x8588, c_sh = 0x8d88;
	u64 before;

	for (before = 1; before < 8; before++) {
		u64 gva = edge - before;

		expect_store_fault(self, "sd across", encode_store(3, 10, 11, 0), 4, gva, edge);
		expect_store_fault(self, "c.sd across", c_sd, 2, gva, edge);
		if (!loads_fault)
			continue;
		expect_load_fault(self, "ld across", encode_load(3, 10, 11, 0), 4, gva, edge);
		expect_load_fault(self, "c.ld across", c_ld, 2, gva, edge);
	}
	for (before = 1; before < 4; before++) {
		u64 gva = edge - before;

		expect_store_fault(self, "sw across", encode_store(2, 10, 11, 8), 4, gva - 8, edge);
		expect_store_fault(self, "c.sw across", c_sw, 2, gva, edge);
		if (!loads_fault)
			continue;
		expect_load_fault(self, "lw across", encode_load(2, 10, 11, -8), 4, gva + 8, edge);
		expect_load_fault(self, "c.lw across", c_lw, 2, gva, edge);
	}
	expect_store_fault(self, "sh across", encode_store(1, 10, 11, 0), 4, edge - 1, edge);
	if (loads_fault)
		expect_load_fault(self, "lhu across", encode_load(5, 10, 11, 0), 4, edge - 1, edge);

	/* QEMU does not report these, so that KVM fetches them. */
	if (!__vcpu_has_isa_ext(self->vcpu, KVM_RISCV_ISA_EXT_ZCB))
		return;
	expect_store_fault(self, "c.sh across", c_sh, 2, edge - 1, edge);
	if (loads_fault)
		expect_load_fault(self, "c.lhu across", c_lhu, 2, edge - 1, edge);
}

TEST_F(mmio, from_memory_into_a_device)
{
	struct kvm_vm *vm = self->vm;
	u64 edge = EDGE_GVA + 4096;

	if (!is_rust_backend())
		SKIP(return, "the C backend takes a part of an access for all of it");

	virt_pg_map(vm, EDGE_GVA, addr_gva2gpa(vm, vm_alloc_page(vm)));
	virt_pg_map(vm, edge, MMIO_GPA);
	try_edges(self, edge, true);

	/* From a device into memory: the first part faults. */
	virt_pg_map(vm, edge + 4096, addr_gva2gpa(vm, vm_alloc_page(vm)));
	edge += 4096;
	expect_store_fault(self, "sd into memory", encode_store(3, 10, 11, 0), 4, edge - 4,
			   edge - 4);
	expect_load_fault(self, "ld into memory", encode_load(3, 10, 11, 0), 4, edge - 4, edge - 4);
}

/* To a store, a read-only slot is a device. */
TEST_F(mmio, from_memory_into_a_readonly_slot)
{
	struct kvm_vm *vm = self->vm;
	u64 edge = EDGE_GVA + 4096;
	u64 *readonly;

	if (!is_rust_backend())
		SKIP(return, "the C backend takes a part of an access for all of it");

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, READONLY_GPA, READONLY_SLOT, 1,
				    KVM_MEM_READONLY);
	virt_pg_map(vm, EDGE_GVA, addr_gva2gpa(vm, vm_alloc_page(vm)));
	virt_pg_map(vm, edge, READONLY_GPA);
	readonly = addr_gpa2hva(vm, READONLY_GPA);
	*readonly = 0x0123456789abcdef;
	try_edges(self, edge, false);
	TEST_ASSERT_EQ(*readonly, 0x0123456789abcdef);
}

TEST_F(mmio, ioeventfd)
{
	struct kvm_ioeventfd event = { .addr = MMIO_GPA + 64, .len = 4 };
	struct access elsewhere = {
		.name = "sw", .insn_len = 4, .reg = 10, .rs1 = 11, .len = 4,
		.is_write = true, .insn = encode_store(2, 10, 11, 0),
	};
	struct kvm_run *run = self->vcpu->run;
	u64 count, pc;

	if (!kvm_has_cap(KVM_CAP_IOEVENTFD))
		SKIP(return, "KVM has no ioeventfd");

	event.fd = eventfd(0, EFD_NONBLOCK);
	TEST_ASSERT(event.fd >= 0, "eventfd: %s", strerror(errno));
	vm_ioctl(self->vm, KVM_IOEVENTFD, &event);

	/* Three stores to it, finished in the kernel, then one beside it. */
	pc = append_code(self, encode_store(2, 10, 11, 0), 4);
	append_code(self, encode_store(2, 0, 11, 0), 4);
	append_code(self, encode_store(2, 31, 11, 0), 4);
	append_code(self, encode_store(3, 10, 11, 0), 4);
	self->x[11] = MMIO_GVA + 64;
	set_registers(self, pc);
	vcpu_run(self->vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(self->vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.len, 8);
	self->pc += 3 * 4;
	check_registers(self, "ioeventfd");
	vcpu_run_complete_io(self->vcpu);

	TEST_ASSERT(read(event.fd, &count, sizeof(count)) == sizeof(count),
		    "the eventfd was not signalled");
	TEST_ASSERT_EQ(count, 3);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu, mmio_exit_kernel), 3);
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu, mmio_exit_user), 1);

	event.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	vm_ioctl(self->vm, KVM_IOEVENTFD, &event);
	try_access(self, elsewhere);
	close(event.fd);
}

/*
 * Each store gets to the device that it is for, whichever the one before was
 * for, and wherever on the bus a device has come to lie meanwhile.
 */
TEST_F(mmio, ioeventfd_among_others)
{
	/* In the order of their addresses, two at one address. */
	struct kvm_ioeventfd events[] = {
		{ .addr = MMIO_GPA + 56, .len = 4 },
		{ .addr = MMIO_GPA + 64, .len = 4, .datamatch = 1,
		  .flags = KVM_IOEVENTFD_FLAG_DATAMATCH },
		{ .addr = MMIO_GPA + 64, .len = 4, .datamatch = 2,
		  .flags = KVM_IOEVENTFD_FLAG_DATAMATCH },
		{ .addr = MMIO_GPA + 72, .len = 4 },
	};
	/* Which of them is there, by a bit, in each of the rounds. */
	static const u32 there[] = { 0x8, 0xa, 0xe, 0xf, 0xd, 0x4 };
	/* What is stored where: offset from the second, value, who gets it. */
	static const struct {
		int offset;
		u64 value;
		int event;
	} stores[] = {
		{ 0, 1, 1 }, { 0, 1, 1 }, { 0, 2, 2 }, { 0, 1, 1 }, { 8, 7, 3 },
		{ 0, 2, 2 }, { -8, 1, 0 }, { -8, 2, 0 }, { 8, 1, 3 }, { 0, 1, 1 },
	};
	struct kvm_run *run = self->vcpu->run;
	unsigned int i, round, user = 0;
	u64 pc, count, wanted[ARRAY_SIZE(events)];
	u32 now = 0;

	if (!kvm_has_cap(KVM_CAP_IOEVENTFD))
		SKIP(return, "KVM has no ioeventfd");

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		events[i].fd = eventfd(0, EFD_NONBLOCK);
		TEST_ASSERT(events[i].fd >= 0, "eventfd: %s", strerror(errno));
	}

	for (round = 0; round < ARRAY_SIZE(there); round++) {
		for (i = 0; i < ARRAY_SIZE(events); i++) {
			struct kvm_ioeventfd event = events[i];

			if (!((now ^ there[round]) & BIT(i)))
				continue;
			if (now & BIT(i))
				event.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
			vm_ioctl(self->vm, KVM_IOEVENTFD, &event);
		}
		now = there[round];
		memset(wanted, 0, sizeof(wanted));

		for (i = 0; i < ARRAY_SIZE(stores); i++) {
			bool in_kernel = now & BIT(stores[i].event);

			pc = append_code(self, encode_store(2, 10, 11, 0), 4);
			append_code(self, encode_store(3, 10, 12, 0), 4);
			self->x[10] = stores[i].value;
			self->x[11] = MMIO_GVA + 64 + stores[i].offset;
			self->x[12] = MMIO_GVA + 256;
			set_registers(self, pc);
			vcpu_run(self->vcpu);
			TEST_ASSERT_KVM_EXIT_REASON(self->vcpu, KVM_EXIT_MMIO);
			TEST_ASSERT(run->mmio.len == (in_kernel ? 8 : 4),
				    "round %u, store %u: it %s the kernel", round,
				    i, in_kernel ? "left" : "did not leave");
			vcpu_run_complete_io(self->vcpu);
			wanted[stores[i].event] += in_kernel;
			user++;
		}

		for (i = 0; i < ARRAY_SIZE(events); i++) {
			if (read(events[i].fd, &count, sizeof(count)) < 0)
				count = 0;
			TEST_ASSERT(count == wanted[i],
				    "round %u, event %u: %lu, not %lu", round, i,
				    count, wanted[i]);
		}
	}
	TEST_ASSERT_EQ(vcpu_get_stat(self->vcpu, mmio_exit_user), user);

	for (i = 0; i < ARRAY_SIZE(events); i++)
		close(events[i].fd);
}

TEST_HARNESS_MAIN
