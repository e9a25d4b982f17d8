// SPDX-License-Identifier: GPL-2.0
/*
 * The state of the AIA as user space saves it, by registers of the vCPUs and by
 * attributes of the device; and a fresh VM that goes on with it.
 */
#include "aia.h"
#include "ask_guest.h"

#define NR_VCPUS	2

/* Of the array of priorities: AIA 5.4.1. */
#define IPRIO(k)	(0x30 + (k))

FIXTURE(aia_state)
{
	struct aia aia;
};

FIXTURE_VARIANT(aia_state)
{
	u32 mode;
};

FIXTURE_VARIANT_ADD(aia_state, emul) { .mode = KVM_DEV_RISCV_AIA_MODE_EMUL };
FIXTURE_VARIANT_ADD(aia_state, hwaccel) { .mode = KVM_DEV_RISCV_AIA_MODE_HWACCEL };
FIXTURE_VARIANT_ADD(aia_state, auto) { .mode = KVM_DEV_RISCV_AIA_MODE_AUTO };

FIXTURE_SETUP(aia_state)
{
	AIA_SETUP(&self->aia, NR_VCPUS, variant->mode);
	vm_install_exception_handler(self->aia.vm, EXC_INST_ILLEGAL, guest_count_illegal);
}

FIXTURE_TEARDOWN(aia_state)
{
	aia_free(&self->aia);
}

static void run_to_sync(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "the guest is done");
}

static void guest_siselect(void)
{
	u64 value;

	/* All values that are to be there: AIA 2.3. */
	for (value = 0; value < 0x200; value++) {
		csr_write(CSR_SISELECT, value);
		GUEST_ASSERT_EQ(csr_read(CSR_SISELECT), value);
	}
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(csr_read(CSR_SISELECT), 0xa5);
	GUEST_DONE();
}

TEST_F(aia_state, siselect)
{
	struct kvm_vcpu *vcpu = self->aia.vcpu[0];

	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, AIA_CSR_REG(siselect)), 0);
	vcpu_arch_set_entry_point(vcpu, guest_siselect);
	run_to_sync(vcpu);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, AIA_CSR_REG(siselect)), 0x1ff);
	vcpu_set_reg(vcpu, AIA_CSR_REG(siselect), 0xa5);
	TEST_ASSERT_EQ(vcpu_get_reg(vcpu, AIA_CSR_REG(siselect)), 0xa5);
	run_until_done(vcpu);
}

/* Priorities that the guest has found: of interrupts 0 to 63, a byte each. */
static u8 guest_priorities[64];

static void guest_iprio(void)
{
	u64 k;

	for (k = 0; k < 16; k += 2) {
		GUEST_ASSERT_EQ(imsic_read(IPRIO(k)), 0);
		GUEST_ASSERT_ILLEGAL(imsic_read(IPRIO(k + 1)));
		GUEST_ASSERT_ILLEGAL(imsic_write(IPRIO(k + 1), -1UL));
	}
	for (k = 0; k < 16; k += 2) {
		imsic_write(IPRIO(k), 0x0807060504030201UL * (k + 1));
		*(u64 *)&guest_priorities[4 * k] = imsic_read(IPRIO(k));
	}
	GUEST_SYNC(0);
	for (k = 0; k < 16; k += 2)
		GUEST_ASSERT_EQ(imsic_read(IPRIO(k)), *(u64 *)&guest_priorities[4 * k]);
	GUEST_SYNC(0);
	for (k = 0; k < 16; k += 2)
		GUEST_ASSERT_EQ(imsic_read(IPRIO(k)), 0);
	GUEST_DONE();
}

/*
 * The array of priorities: a byte that is no zero is of an interrupt that has one,
 * and is found in the register of user space that has the layout of hviprio1/2.
 */
TEST_F(aia_state, iprio)
{
	static const int of_register[2][8] = {
		{ 0, 1, 4, 5, 8, 13, 14, 15 }, { 16, 17, 18, 19, 20, 21, 22, 23 },
	};
	struct kvm_vcpu *vcpu = self->aia.vcpu[0];
	u8 *found = addr_gva2hva(self->aia.vm, (gva_t)guest_priorities);
	u64 value[2], irq, expected = 0;
	int i, j;

	vcpu_arch_set_entry_point(vcpu, guest_iprio);
	run_to_sync(vcpu);
	value[0] = vcpu_get_reg(vcpu, AIA_CSR_REG(iprio1));
	value[1] = vcpu_get_reg(vcpu, AIA_CSR_REG(iprio2));
	for (i = 0; i < 2; i++)
		for (j = 0; j < 8; j++) {
			irq = of_register[i][j];
			TEST_ASSERT_EQ((u8)(value[i] >> (8 * j)), found[irq]);
			expected |= BIT(irq);
		}
	for (irq = 0; irq < 64; irq++)
		TEST_ASSERT(!found[irq] || expected & BIT(irq), "interrupt %lu has a priority",
			    irq);
	/* These are reserved: AIA 6.3.1. */
	TEST_ASSERT(!found[0] && !found[4] && !found[8], "a reserved priority");

	vcpu_set_reg(vcpu, AIA_CSR_REG(iprio1), value[0]);
	vcpu_set_reg(vcpu, AIA_CSR_REG(iprio2), value[1]);
	run_to_sync(vcpu);
	vcpu_set_reg(vcpu, AIA_CSR_REG(iprio1), 0);
	vcpu_set_reg(vcpu, AIA_CSR_REG(iprio2), 0);
	run_until_done(vcpu);
}

/* Halves of registers that are whole here are zeros, if they are there. */
TEST_F(aia_state, high_halves)
{
	const u64 ids[] = {
		AIA_CSR_REG(sieh), AIA_CSR_REG(siph), AIA_CSR_REG(iprio1h), AIA_CSR_REG(iprio2h),
	};
	struct kvm_vcpu *vcpu = self->aia.vcpu[0];
	u64 value;
	int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		if (!__vcpu_get_reg(vcpu, ids[i], &value)) {
			TEST_ASSERT_EQ(value, 0);
			/* As they are written back. */
			vcpu_set_reg(vcpu, ids[i], 0);
		}
	TEST_ASSERT(__vcpu_get_reg(vcpu, AIA_CSR_REG(iprio2h) + 1, &value), "one more");
	TEST_ASSERT_EQ(errno, ENOENT);
}

static void guest_stopi(void)
{
	csr_write(CSR_SIE, IE_EIE | IE_SIE);
	imsic_enable(3);
	imsic_start();
	GUEST_ASSERT_EQ(csr_read(CSR_STOPI), 0);
	imsic_send(0, 3);
	GUEST_WAIT_FOR(csr_read(CSR_SIP) & IE_EIE);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPI) >> 16, IRQ_S_EXT);
	/* Of less priority. */
	csr_set(CSR_SIP, IE_SIE);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPI) >> 16, IRQ_S_EXT);
	GUEST_ASSERT_EQ(imsic_claim(), 3);
	GUEST_WAIT_FOR(csr_read(CSR_STOPI) >> 16 == IRQ_S_SOFT);
	csr_clear(CSR_SIP, IE_SIE);
	GUEST_WAIT_FOR(csr_read(CSR_STOPI) == 0);
	GUEST_DONE();
}

TEST_F(aia_state, stopi)
{
	run_guest(self->aia.vcpu[0], guest_stopi);
}

/* What a guest has before it is saved, and finds when it goes on. */
static u64 taken, taken_ids;

static void guest_take(struct pt_regs *regs)
{
	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_EXT);
	WRITE_ONCE(taken_ids, READ_ONCE(taken_ids) | BIT(imsic_claim()));
	WRITE_ONCE(taken, READ_ONCE(taken) + 1);
}

static void guest_saved(void)
{
	/* Wires: an edge that waits, a level that is asserted, one that is not yet. */
	aplic_write(APLIC_SOURCECFG(1), SM_EDGE1);
	aplic_write(APLIC_SOURCECFG(2), SM_LEVEL1);
	aplic_write(APLIC_SOURCECFG(AIA_SOURCES), SM_LEVEL0);
	aplic_write(APLIC_SOURCECFG(3), SM_DETACHED);
	aplic_write(APLIC_TARGET(1), TARGET(0, 11));
	aplic_write(APLIC_TARGET(2), TARGET(0, 12));
	aplic_write(APLIC_TARGET(3), TARGET(1, 13));
	aplic_write(APLIC_TARGET(AIA_SOURCES), TARGET(0, 14));
	aplic_write(APLIC_SETIENUM, 1);
	aplic_write(APLIC_SETIENUM, 2);
	aplic_write(APLIC_SETIENUM, AIA_SOURCES);
	aplic_write(APLIC_SETIPNUM, 1);
	aplic_write(APLIC_SETIPNUM, 3);

	/* Messages: one that waits, one that is not enabled, some that the APLIC sends. */
	csr_write(CSR_SIE, IE_EIE);
	imsic_write(EIE(0), 0xff << 8);
	imsic_write(EITHRESHOLD, 20);
	imsic_write(EIDELIVERY, 1);
	imsic_write(IPRIO(0), 0x0a00);
	imsic_send(0, 8);
	imsic_send(0, 7);
	GUEST_WAIT_FOR(imsic_is_pending(7) && imsic_is_pending(8));
	csr_write(CSR_SISELECT, EITHRESHOLD);
	GUEST_SYNC(0);

	GUEST_ASSERT_EQ(csr_read(CSR_SISELECT), EITHRESHOLD);
	GUEST_ASSERT_EQ(csr_read(CSR_SIREG), 20);
	GUEST_ASSERT_EQ(imsic_read(EIE(0)), 0xff << 8);
	GUEST_ASSERT_EQ(imsic_read(EIP(0)), BIT(7) | BIT(8));
	GUEST_ASSERT_EQ(imsic_read(EIDELIVERY), 1);
	GUEST_ASSERT_EQ(imsic_read(IPRIO(0)) & ~0xff00UL, 0);
	GUEST_ASSERT_EQ(aplic_read(APLIC_SETIP(0)), BIT(1) | BIT(3));
	GUEST_ASSERT_EQ(aplic_read(APLIC_SETIE(0)), BIT(1) | BIT(2));
	GUEST_ASSERT_EQ(aplic_read(APLIC_SETIE(AIA_SOURCES / 32)), BIT(AIA_SOURCES % 32));
	GUEST_ASSERT_EQ(aplic_read(APLIC_TARGET(3)), TARGET(1, 13));
	GUEST_ASSERT_EQ(READ_ONCE(taken), 0);

	local_irq_enable();
	GUEST_WAIT_FOR(READ_ONCE(taken_ids) == BIT(8));
	aplic_write(APLIC_DOMAINCFG, DOMAINCFG_IE);
	GUEST_WAIT_FOR(READ_ONCE(taken_ids) == (BIT(8) | BIT(11)));
	/* User space asserts the levels, as its devices do when they are restored. */
	GUEST_SYNC(1);
	GUEST_WAIT_FOR(READ_ONCE(taken_ids) == (BIT(8) | BIT(11) | BIT(12) | BIT(14)));
	GUEST_ASSERT_EQ(READ_ONCE(taken), 4);
	GUEST_ASSERT_EQ(imsic_read(EIP(0)), BIT(7));
	aplic_write(APLIC_SETIENUM, 3);
	GUEST_DONE();
}

static void copy_attributes(struct aia *to, struct aia *from, u32 group, u64 first, u64 last,
			    u64 step)
{
	u64 attr;

	for (attr = first; attr <= last; attr += step)
		aia_set(to, group, attr, aia_get(from, group, attr));
}

/*
 * Gives one VM the memory of another, which has been made in the same way. It is not
 * copied: ucalls have addresses of ours in the guest's memory.
 */
static void move_memory(struct kvm_vm *to, struct kvm_vm *from)
{
	struct userspace_mem_region *source = memslot2region(from, 0);
	struct userspace_mem_region *target = memslot2region(to, 0);
	u64 size = source->region.memory_size;

	TEST_ASSERT_EQ(target->region.memory_size, size);
	target->region.memory_size = 0;
	vm_ioctl(to, KVM_SET_USER_MEMORY_REGION2, &target->region);
	target->region.memory_size = size;
	target->region.userspace_addr = source->region.userspace_addr;
	target->host_mem = source->host_mem;
	vm_ioctl(to, KVM_SET_USER_MEMORY_REGION2, &target->region);
}

/*
 * A fresh VM with all that `from` has. Its configuration, addresses and registers
 * are those of the device, and nothing that this test remembers.
 */
static void copy_vm(struct aia *to, struct aia *from)
{
	struct kvm_reg_list *list;
	u64 last, reg;
	u32 ids;
	int i, j;

	copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_CONFIG, 0, 6, 1);
	copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_ADDR, 0, NR_VCPUS, 1);
	aia_init(to);

	for (i = 0; i < NR_VCPUS; i++) {
		list = vcpu_get_reg_list(from->vcpu[i]);
		for (j = 0; j < list->n; j++) {
			if (KVM_REG_SIZE(list->reg[j]) != sizeof(u64))
				continue;
			reg = vcpu_get_reg(from->vcpu[i], list->reg[j]);
			/* Some cannot be written, but those are the same in each VM. */
			if (__vcpu_set_reg(to->vcpu[i], list->reg[j], reg))
				TEST_ASSERT((list->reg[j] & KVM_REG_RISCV_TYPE_MASK) !=
					    KVM_REG_RISCV_CSR, "register 0x%llx: %s",
					    list->reg[j], strerror(errno));
		}
		free(list);
	}

	/* Modes first: what is inactive has no bits. */
	last = APLIC_SOURCECFG(AIA_SOURCES);
	copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_APLIC, APLIC_SOURCECFG(1), last, 4);
	copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_APLIC, APLIC_TARGET(1),
			APLIC_TARGET(AIA_SOURCES), 4);
	copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_APLIC, APLIC_SETIP(0),
			APLIC_SETIP(AIA_SOURCES / 32), 4);
	copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_APLIC, APLIC_SETIE(0),
			APLIC_SETIE(AIA_SOURCES / 32), 4);
	copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_APLIC, APLIC_DOMAINCFG,
			APLIC_DOMAINCFG, 4);

	ids = aia_config_of(from, KVM_DEV_RISCV_AIA_CONFIG_IDS);
	for (i = 0; i < NR_VCPUS; i++) {
		copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_IMSIC,
				KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)i, EIP(0)),
				KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)i, EIP(ids / 32 & ~1)), 2);
		copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_IMSIC,
				KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)i, EIE(0)),
				KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)i, EIE(ids / 32 & ~1)), 2);
		copy_attributes(to, from, KVM_DEV_RISCV_AIA_GRP_IMSIC,
				KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)i, EIDELIVERY),
				KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)i, EITHRESHOLD), 2);
	}
}

TEST_F(aia_state, goes_on_elsewhere)
{
	struct aia *from = &self->aia, fresh, *to = &fresh;
	struct kvm_vcpu *vcpu = from->vcpu[0];

	vm_install_interrupt_handler(from->vm, guest_take);
	vcpu_arch_set_entry_point(vcpu, guest_saved);
	/* A wire at rest is high, if it is inverted. */
	aia_irq_line(from, AIA_SOURCES, true);
	run_to_sync(vcpu);

	aia_create(to, NR_VCPUS);
	aia_map(to);
	copy_vm(to, from);
	/* The old one is gone, with its guest interrupt file. */
	close(from->fd);
	kvm_vm_release(from->vm);
	move_memory(to->vm, from->vm);
	aia_irq_line(to, AIA_SOURCES, true);
	run_to_sync(to->vcpu[0]);
	aia_irq_line(to, 2, true);
	aia_irq_line(to, AIA_SOURCES, false);
	run_until_done(to->vcpu[0]);
	/* The other vCPU has not run at all. */
	TEST_ASSERT_EQ(imsic_get(to, 1, EIP(0)), BIT(13));

	self->aia = fresh;
}

static void guest_pends(void)
{
	csr_write(CSR_SIE, IE_EIE);
	imsic_enable(9);
	imsic_write(EITHRESHOLD, 20);
	imsic_write(EIDELIVERY, 1);
	imsic_send(0, 9);
	GUEST_WAIT_FOR(csr_read(CSR_SIP) & IE_EIE);
	GUEST_SYNC(0);
	GUEST_WAIT_FOR(csr_read(CSR_SIP) & IE_EIE);
	GUEST_ASSERT_EQ(imsic_claim(), 9);
	GUEST_WAIT_FOR(!(csr_read(CSR_SIP) & IE_EIE));
	GUEST_DONE();
}

/* The external interrupt is that of the file, in whatever order both are restored. */
TEST_F(aia_state, sip_comes_later)
{
	struct kvm_vcpu *vcpu = self->aia.vcpu[0];

	if (variant->mode == KVM_DEV_RISCV_AIA_MODE_EMUL && !is_rust_backend())
		SKIP(return, "the C backend takes the file's interrupt away");
	vcpu_arch_set_entry_point(vcpu, guest_pends);
	run_to_sync(vcpu);
	vcpu_set_reg(vcpu, RISCV_GENERAL_CSR_REG(sip), 0);
	run_until_done(vcpu);
}

static void guest_after_reset(void)
{
	GUEST_ASSERT_EQ(csr_read(CSR_SISELECT), 0);
	GUEST_ASSERT_EQ(imsic_read(EIDELIVERY), 0);
	GUEST_ASSERT_EQ(imsic_read(EITHRESHOLD), 0);
	GUEST_ASSERT_EQ(imsic_read(EIP(0)), 0);
	GUEST_ASSERT_EQ(imsic_read(EIE(0)), 0);
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_EIE));
	/* It works as before. */
	imsic_enable(9);
	imsic_start();
	imsic_send(0, 9);
	GUEST_WAIT_FOR(csr_read(CSR_SIP) & IE_EIE);
	GUEST_ASSERT_EQ(imsic_claim(), 9);
	GUEST_DONE();
}

TEST_F(aia_state, reset)
{
	struct kvm_mp_state init = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_vcpu *vcpu = self->aia.vcpu[0];
	u64 kept[NR_KEPT];

	vm_enable_cap(self->aia.vm, KVM_CAP_RISCV_MP_STATE_RESET, 0);
	keep_regs(vcpu, kept);
	vcpu_arch_set_entry_point(vcpu, guest_pends);
	run_to_sync(vcpu);
	vcpu_mp_state_set(vcpu, &init);
	restore_regs(vcpu, kept);
	run_guest(vcpu, guest_after_reset);
}

TEST_HARNESS_MAIN
