// SPDX-License-Identifier: GPL-2.0
/*
 * The interrupt file of a vCPU: its registers as the guest has them, messages from
 * vCPUs and from user space, and how these become interrupts.
 */
#include "aia.h"
#include "ask_guest.h"

#define NR_VCPUS	2

static u64 guest_ids;			/* the largest identity */
static bool guest_takes_be;		/* in seteipnum_be */
static u64 taken[AIA_MAX_VCPUS];	/* interrupts of each vCPU */
static u64 last_taken[AIA_MAX_VCPUS];

FIXTURE(imsic)
{
	struct aia aia;
};

FIXTURE_VARIANT(imsic)
{
	u32 mode;
};

FIXTURE_VARIANT_ADD(imsic, emul) { .mode = KVM_DEV_RISCV_AIA_MODE_EMUL };
FIXTURE_VARIANT_ADD(imsic, hwaccel) { .mode = KVM_DEV_RISCV_AIA_MODE_HWACCEL };
FIXTURE_VARIANT_ADD(imsic, auto) { .mode = KVM_DEV_RISCV_AIA_MODE_AUTO };

static void prepare_guest(struct aia *aia)
{
	guest_ids = aia_config_of(aia, KVM_DEV_RISCV_AIA_CONFIG_IDS);
	/* A file of the host's may ignore it: AIA 3.5. */
	guest_takes_be = aia_config_of(aia, KVM_DEV_RISCV_AIA_CONFIG_MODE) ==
			 KVM_DEV_RISCV_AIA_MODE_EMUL;
	sync_global_to_guest(aia->vm, guest_ids);
	sync_global_to_guest(aia->vm, guest_takes_be);
	vm_install_exception_handler(aia->vm, EXC_INST_ILLEGAL, guest_count_illegal);
}

FIXTURE_SETUP(imsic)
{
	AIA_SETUP(&self->aia, NR_VCPUS, variant->mode);
	prepare_guest(&self->aia);
}

FIXTURE_TEARDOWN(imsic)
{
	aia_free(&self->aia);
}

/* Runs until the guest says that user space is to do something. */
static void run_to_sync(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT(!guest_is_done(vcpu), "the guest is done");
}

static void guest_registers(void)
{
	u64 k;

	GUEST_ASSERT(imsic_read(EIDELIVERY) <= 1);
	imsic_write(EIDELIVERY, 1);
	GUEST_ASSERT_EQ(imsic_read(EIDELIVERY), 1);
	/* Nothing but 0 and 1 is ever there. */
	imsic_write(EIDELIVERY, 0x40000000);
	GUEST_ASSERT(imsic_read(EIDELIVERY) <= 1);
	imsic_write(EIDELIVERY, -2UL);
	GUEST_ASSERT(imsic_read(EIDELIVERY) <= 1);
	imsic_write(EIDELIVERY, 0);
	GUEST_ASSERT_EQ(imsic_read(EIDELIVERY), 0);

	for (k = 0; k <= guest_ids; k++) {
		imsic_write(EITHRESHOLD, k);
		GUEST_ASSERT_EQ(imsic_read(EITHRESHOLD), k);
	}
	imsic_write(EITHRESHOLD, 0);

	/* Each word of both arrays by itself. Identity 0 is none. */
	for (k = 0; k <= guest_ids / 32; k += 2) {
		imsic_write(EIP(k), 0x0123456789abcdefUL << (k % 7));
		imsic_write(EIE(k), ~(0x0123456789abcdefUL << (k % 7)));
	}
	for (k = 0; k <= guest_ids / 32; k += 2) {
		u64 value = 0x0123456789abcdefUL << (k % 7), none = k ? 0 : 1;

		GUEST_ASSERT_EQ(imsic_read(EIP(k)), value & ~none);
		GUEST_ASSERT_EQ(imsic_read(EIE(k)), ~value & ~none);
		csr_write(CSR_SISELECT, EIP(k));
		csr_set(CSR_SIREG, 0xff);
		GUEST_ASSERT_EQ(csr_read(CSR_SIREG), (value | 0xff) & ~none);
		csr_clear(CSR_SIREG, 0xf0);
		GUEST_ASSERT_EQ(csr_read(CSR_SIREG), ((value | 0xff) & ~0xf0) & ~none);
		GUEST_ASSERT_EQ(csr_swap(CSR_SIREG, -1UL),
				((value | 0xff) & ~0xf0) & ~none);
		GUEST_ASSERT_EQ(csr_swap(CSR_SIREG, 0), -1UL & ~none);
		GUEST_ASSERT_EQ(csr_read(CSR_SIREG), 0);
		GUEST_ASSERT_EQ(imsic_read(EIE(k)), ~value & ~none);
		imsic_write(EIE(k), 0);
	}
	GUEST_DONE();
}

TEST_F(imsic, registers)
{
	run_guest(self->aia.vcpu[0], guest_registers);
}

static void guest_reserved(void)
{
	u64 reg;

	for (reg = 0x71; reg < 0x80; reg++) {
		if (reg == EITHRESHOLD)
			continue;
		GUEST_ASSERT_EQ(imsic_read(reg), 0);
		imsic_write(reg, -1UL);
		GUEST_ASSERT_EQ(imsic_read(reg), 0);
	}
	GUEST_ASSERT_EQ(READ_ONCE(guest_illegal), 0);
	GUEST_ASSERT_EQ(imsic_read(EITHRESHOLD), 0);
	GUEST_DONE();
}

TEST_F(imsic, reserved_registers)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend leaves reserved registers to user space: AIA 3.7");
	run_guest(self->aia.vcpu[0], guest_reserved);
}

static void guest_odd(void)
{
	u64 k;

	for (k = 1; k < 64; k += 2) {
		GUEST_ASSERT_ILLEGAL(imsic_read(EIP(k)));
		GUEST_ASSERT_ILLEGAL(imsic_write(EIP(k), -1UL));
		GUEST_ASSERT_ILLEGAL(imsic_read(EIE(k)));
		GUEST_ASSERT_ILLEGAL(imsic_write(EIE(k), -1UL));
	}
	for (k = 0; k <= guest_ids / 32; k += 2) {
		GUEST_ASSERT_EQ(imsic_read(EIP(k)), 0);
		GUEST_ASSERT_EQ(imsic_read(EIE(k)), 0);
	}
	GUEST_DONE();
}

TEST_F(imsic, odd_registers)
{
	run_guest(self->aia.vcpu[0], guest_odd);
}

static void guest_top(void)
{
	const u64 ids[] = { 1, 5, 7, 62, 63, guest_ids - 1, guest_ids };
	int i, top;

	/* Pending is not enough, nor is enabled. */
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), 0);
	imsic_write(EIP(0), BIT(7));
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), 0);
	imsic_enable(5);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), 0);
	/* A claim of nothing. */
	GUEST_ASSERT_EQ(imsic_claim(), 0);
	GUEST_ASSERT_EQ(imsic_read(EIP(0)), BIT(7));
	imsic_write(EIP(0), 0);

	for (i = ARRAY_SIZE(ids) - 1; i >= 0; i--) {
		csr_write(CSR_SISELECT, EIP(ids[i] / 64 * 2));
		csr_set(CSR_SIREG, BIT(ids[i] % 64));
		imsic_enable(ids[i]);
		GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), TOPEI(ids[i]));
	}

	/* Whether interrupts are delivered does not matter here; the threshold does. */
	imsic_write(EIDELIVERY, 1);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), TOPEI(1));
	imsic_write(EIDELIVERY, 0);
	imsic_write(EITHRESHOLD, 1);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), 0);
	GUEST_ASSERT_EQ(imsic_claim(), 0);
	imsic_write(EITHRESHOLD, 2);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), TOPEI(1));
	GUEST_ASSERT_EQ(imsic_claim(), 1);
	GUEST_ASSERT_EQ(imsic_claim(), 0);
	GUEST_ASSERT(imsic_is_pending(5));
	imsic_write(EITHRESHOLD, guest_ids);

	/*
	 * Reads do not claim, writes do, whatever is written. The first is claimed
	 * already, and the last is not below the threshold.
	 */
	for (i = 1; i < ARRAY_SIZE(ids) - 1; i++) {
		GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), TOPEI(ids[i]));
		GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), TOPEI(ids[i]));
		GUEST_ASSERT(imsic_is_pending(ids[i]));
		switch (i % 3) {
		case 0:
			top = csr_swap(CSR_STOPEI, -1UL) >> 16;
			break;
		case 1:
			top = csr_read_set(CSR_STOPEI, 8) >> 16;
			break;
		default:
			top = csr_read_clear(CSR_STOPEI, BIT(40)) >> 16;
		}
		GUEST_ASSERT_EQ(top, ids[i]);
		GUEST_ASSERT(!imsic_is_pending(ids[i]));
	}
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), 0);
	imsic_write(EITHRESHOLD, 0);
	GUEST_ASSERT_EQ(imsic_claim(), guest_ids);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), 0);

	/* Disabled, it is no longer reported, and still pending. */
	imsic_write(EIP(0), BIT(9));
	imsic_enable(9);
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), TOPEI(9));
	csr_clear(CSR_SIREG, BIT(9));
	GUEST_ASSERT_EQ(csr_read(CSR_STOPEI), 0);
	GUEST_ASSERT_EQ(imsic_read(EIP(0)), BIT(9));
	GUEST_DONE();
}

TEST_F(imsic, top)
{
	run_guest(self->aia.vcpu[0], guest_top);
}

static volatile u32 *guest_page(int vcpu, u64 offset)
{
	return (volatile u32 *)(IMSIC_GPA_OF(vcpu) + offset);
}

static void guest_stores(void)
{
	u64 id;

	/* To its own file. Later ones are not seen before earlier ones. */
	for (id = 1; id <= guest_ids; id++) {
		*guest_page(0, SETEIPNUM_LE) = id;
		GUEST_WAIT_FOR(imsic_is_pending(id));
		csr_write(CSR_SIREG, 0);
		if (!guest_takes_be)
			continue;
		*guest_page(0, SETEIPNUM_BE) = __builtin_bswap32(id);
		GUEST_WAIT_FOR(imsic_is_pending(id));
		csr_write(CSR_SIREG, 0);
	}

	/* What is no identity, and what is no register. */
	*guest_page(0, SETEIPNUM_LE) = 0;
	*guest_page(0, SETEIPNUM_LE) = guest_ids + 1;
	*guest_page(0, SETEIPNUM_LE) = BIT(31) | 3;
	*guest_page(0, SETEIPNUM_LE) = 0x10003;
	*guest_page(0, SETEIPNUM_LE) = -1U;
	*guest_page(0, SETEIPNUM_BE) = 3;
	*guest_page(0, 0x008) = 3;
	*guest_page(0, 0x100) = 3;
	*guest_page(0, 0xffc) = 3;
	*guest_page(0, SETEIPNUM_LE) = 4;
	GUEST_WAIT_FOR(imsic_is_pending(4));
	for (id = 0; id <= guest_ids / 32; id += 2)
		GUEST_ASSERT_EQ(imsic_read(EIP(id)), id ? 0 : BIT(4));

	GUEST_ASSERT_EQ(*guest_page(0, SETEIPNUM_LE), 0);
	GUEST_ASSERT_EQ(*guest_page(0, SETEIPNUM_BE), 0);
	GUEST_ASSERT_EQ(*guest_page(0, 0x100), 0);
	GUEST_ASSERT_EQ(*guest_page(1, SETEIPNUM_LE), 0);

	/* To that of another. */
	*guest_page(1, SETEIPNUM_LE) = 6;
	*guest_page(1, SETEIPNUM_LE) = guest_ids;
	GUEST_ASSERT_EQ(imsic_read(EIP(0)), BIT(4));
	GUEST_DONE();
}

static void guest_has_two(void)
{
	GUEST_WAIT_FOR(imsic_is_pending(6));
	GUEST_WAIT_FOR(imsic_is_pending(guest_ids));
	GUEST_DONE();
}

TEST_F(imsic, stores)
{
	run_guest(self->aia.vcpu[0], guest_stores);
	run_guest(self->aia.vcpu[1], guest_has_two);
}

static void guest_messages(void)
{
	u64 id;

	for (id = 1; id <= guest_ids; id++) {
		GUEST_SYNC(id);
		GUEST_WAIT_FOR(imsic_is_pending(id));
		csr_clear(CSR_SIREG, BIT(id % 64));
		GUEST_ASSERT_EQ(csr_read(CSR_SIREG), 0);
	}
	GUEST_DONE();
}

TEST_F(imsic, messages)
{
	struct aia *aia = &self->aia;
	struct kvm_vcpu *vcpu = aia->vcpu[0];
	u64 id;

	vcpu_arch_set_entry_point(vcpu, guest_messages);
	for (id = 1; id <= guest_ids; id++) {
		run_to_sync(vcpu);
		if (id % 2)
			aia_msi(aia, 0, id);
		else
			__aia_msi(aia, IMSIC_GPA + SETEIPNUM_BE, __builtin_bswap32(id));
	}
	run_until_done(vcpu);
	for (id = 0; id <= guest_ids / 32; id += 2)
		TEST_ASSERT_EQ(imsic_get(aia, 1, EIP(id)), 0);
}

static void guest_attributes(void)
{
	imsic_write(EIDELIVERY, 1);
	imsic_write(EITHRESHOLD, 33);
	imsic_write(EIP(0), 0x1234567812345678UL);
	imsic_write(EIE(0), 0x8765432187654321UL);
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(imsic_read(EIDELIVERY), 0);
	GUEST_ASSERT_EQ(imsic_read(EITHRESHOLD), 5);
	GUEST_ASSERT_EQ(imsic_read(EIP(0)), 0xaaaa5555aaaa5554UL);
	GUEST_ASSERT_EQ(imsic_read(EIE(0)), 0x5555aaaa5555aaaaUL);
	GUEST_ASSERT_EQ(csr_read(CSR_SISELECT), EIE(0));
	GUEST_DONE();
}

/* User space finds what the guest has left, and the guest what user space has set. */
TEST_F(imsic, attributes)
{
	struct aia *aia = &self->aia;
	struct kvm_vcpu *vcpu = aia->vcpu[0];

	vcpu_arch_set_entry_point(vcpu, guest_attributes);
	run_to_sync(vcpu);
	TEST_ASSERT_EQ(imsic_get(aia, 0, EIDELIVERY), 1);
	TEST_ASSERT_EQ(imsic_get(aia, 0, EITHRESHOLD), 33);
	TEST_ASSERT_EQ(imsic_get(aia, 0, EIP(0)), 0x1234567812345678UL);
	TEST_ASSERT_EQ(imsic_get(aia, 0, EIE(0)), 0x8765432187654320UL);
	TEST_ASSERT_EQ(imsic_get(aia, 1, EIE(0)), 0);
	imsic_set(aia, 0, EIDELIVERY, 0);
	imsic_set(aia, 0, EITHRESHOLD, 5);
	imsic_set(aia, 0, EIP(0), 0xaaaa5555aaaa5555UL);
	imsic_set(aia, 0, EIE(0), 0x5555aaaa5555aaaaUL);
	run_until_done(vcpu);
}

static void guest_take(struct pt_regs *regs)
{
	u32 me = guest_get_vcpuid();

	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_EXT);
	WRITE_ONCE(last_taken[me], imsic_claim());
	GUEST_ASSERT(READ_ONCE(last_taken[me]));
	/* Whoever sees the count sees which it was. */
	smp_mb();
	WRITE_ONCE(taken[me], READ_ONCE(taken[me]) + 1);
}

static void guest_delivery(void)
{
	imsic_enable(3);
	imsic_enable(40);
	csr_write(CSR_SIE, IE_EIE);
	local_irq_enable();
	imsic_send(0, 3);
	GUEST_WAIT_FOR(imsic_is_pending(3));
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_EIE));
	GUEST_ASSERT_EQ(READ_ONCE(taken[0]), 0);

	/* Delivered as soon as the file delivers. */
	imsic_write(EIDELIVERY, 1);
	GUEST_WAIT_FOR(READ_ONCE(taken[0]) == 1);
	GUEST_ASSERT_EQ(READ_ONCE(last_taken[0]), 3);
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_EIE));

	/* Pending above the threshold; then below. */
	imsic_write(EITHRESHOLD, 40);
	imsic_send(0, 40);
	GUEST_WAIT_FOR(imsic_is_pending(40));
	GUEST_ASSERT(!(csr_read(CSR_SIP) & IE_EIE));
	GUEST_ASSERT_EQ(READ_ONCE(taken[0]), 1);
	imsic_write(EITHRESHOLD, 41);
	GUEST_WAIT_FOR(READ_ONCE(taken[0]) == 2);
	GUEST_ASSERT_EQ(READ_ONCE(last_taken[0]), 40);

	/* Disabled at the hart, it is seen there; it goes with the claim. */
	local_irq_disable();
	imsic_send(0, 3);
	GUEST_WAIT_FOR(csr_read(CSR_SIP) & IE_EIE);
	GUEST_ASSERT_EQ(imsic_claim(), 3);
	GUEST_WAIT_FOR(!(csr_read(CSR_SIP) & IE_EIE));

	/* Likewise with what else makes it no interrupt any more. */
	imsic_send(0, 3);
	GUEST_WAIT_FOR(csr_read(CSR_SIP) & IE_EIE);
	imsic_write(EIDELIVERY, 0);
	GUEST_WAIT_FOR(!(csr_read(CSR_SIP) & IE_EIE));
	imsic_write(EIDELIVERY, 1);
	GUEST_WAIT_FOR(csr_read(CSR_SIP) & IE_EIE);
	imsic_write(EIP(0), 0);
	GUEST_WAIT_FOR(!(csr_read(CSR_SIP) & IE_EIE));
	local_irq_enable();
	GUEST_ASSERT_EQ(READ_ONCE(taken[0]), 2);

	/* From user space, while this vCPU does not run. */
	GUEST_SYNC(0);
	GUEST_WAIT_FOR(READ_ONCE(taken[0]) == 3);
	GUEST_ASSERT_EQ(READ_ONCE(last_taken[0]), 3);
	GUEST_DONE();
}

TEST_F(imsic, delivery)
{
	struct kvm_vcpu *vcpu = self->aia.vcpu[0];

	vm_install_interrupt_handler(self->aia.vm, guest_take);
	vcpu_arch_set_entry_point(vcpu, guest_delivery);
	run_to_sync(vcpu);
	aia_msi(&self->aia, 0, 3);
	run_until_done(vcpu);
}

static void guest_start(void)
{
	imsic_write(EIE(0), -1UL);
	imsic_start();
	csr_write(CSR_SIE, IE_EIE);
}

/*
 * Sleeps for each message. One that comes after the last look ends the WFI: the
 * interrupt is pending, though disabled at the hart.
 */
static void guest_sleep(void)
{
	u32 me = guest_get_vcpuid();
	u64 i;

	guest_start();
	for (i = 0; !READ_ONCE(guest_stop); i++) {
		WRITE_ONCE(asked, i + 1);
		local_irq_disable();
		while (READ_ONCE(taken[me]) == i && !READ_ONCE(guest_stop)) {
			asm volatile("wfi");
			local_irq_enable();
			local_irq_disable();
		}
		local_irq_enable();
	}
	GUEST_DONE();
}

#define ROUNDS	50

TEST_F(imsic, wakes_sleeper)
{
	struct aia *aia = &self->aia;
	u64 *sleeps = guest_global(aia->vm, &asked);
	u64 *woken = guest_global(aia->vm, &taken[0]);
	struct vcpu_thread thread;
	int i, tries;

	vm_install_interrupt_handler(aia->vm, guest_take);
	vcpu_arch_set_entry_point(aia->vcpu[0], guest_sleep);
	vcpu_thread_start(&thread, aia->vcpu[0]);
	for (i = 0; i < ROUNDS; i++) {
		while (READ_ONCE(*sleeps) != i + 1)
			sched_yield();
		/* Before it sleeps, while it goes to sleep, and after that. */
		usleep(i % 5 * 1000);
		if (i == ROUNDS - 1)
			stop_guest(aia->vm);
		aia_msi(aia, 0, 1 + i % 63);
		for (tries = 0; READ_ONCE(*woken) != i + 1; tries++) {
			TEST_ASSERT(tries < 20000, "message %d has not woken the vCPU", i);
			usleep(1000);
		}
		TEST_ASSERT_EQ(READ_ONCE(*guest_global(aia->vm, &last_taken[0])), 1 + i % 63);
	}
	vcpu_thread_join(&thread);
}

static void guest_wake_other(void)
{
	u64 i;

	for (i = 0; i < ROUNDS; i++) {
		GUEST_WAIT_FOR(READ_ONCE(asked) == i + 1);
		if (i == ROUNDS - 1)
			WRITE_ONCE(guest_stop, 1);
		imsic_send(1, 1 + i % 63);
		GUEST_WAIT_FOR(READ_ONCE(taken[1]) == i + 1);
		GUEST_ASSERT_EQ(READ_ONCE(last_taken[1]), 1 + i % 63);
	}
	GUEST_DONE();
}

TEST_F(imsic, vcpu_wakes_sleeper)
{
	struct aia *aia = &self->aia;
	struct vcpu_thread thread;

	vm_install_interrupt_handler(aia->vm, guest_take);
	vcpu_arch_set_entry_point(aia->vcpu[1], guest_sleep);
	vcpu_arch_set_entry_point(aia->vcpu[0], guest_wake_other);
	run_on_hart(1);
	vcpu_thread_start(&thread, aia->vcpu[1]);
	run_on_hart(0);
	run_until_done(aia->vcpu[0]);
	vcpu_thread_join(&thread);
}

/* A small file, which only emulation has: a guest interrupt file is as large as it is. */
static void guest_small(void)
{
	u64 k;

	imsic_enable(63);
	*guest_page(0, SETEIPNUM_LE) = 64;
	*guest_page(0, SETEIPNUM_LE) = 63;
	GUEST_WAIT_FOR(imsic_is_pending(63));
	for (k = 2; k < 64; k += 2) {
		imsic_write(EIE(k), -1UL);
		imsic_write(EIP(k), -1UL);
		GUEST_ASSERT_EQ(imsic_read(EIE(k)), 0);
		GUEST_ASSERT_EQ(imsic_read(EIP(k)), 0);
	}
	GUEST_ASSERT_EQ(READ_ONCE(guest_illegal), 0);
	GUEST_ASSERT_EQ(imsic_claim(), 63);
	GUEST_ASSERT_EQ(imsic_claim(), 0);
	GUEST_DONE();
}

FIXTURE(small)
{
	struct aia aia;
};

FIXTURE_SETUP(small)
{
	if (!host_has_aia())
		SKIP(return, "the host has no AIA, or the backend does not offer it");
	aia_create(&self->aia, 1);
	aia_config(&self->aia, KVM_DEV_RISCV_AIA_CONFIG_IDS, 63);
	aia_config(&self->aia, KVM_DEV_RISCV_AIA_CONFIG_SRCS, 63);
	aia_config(&self->aia, KVM_DEV_RISCV_AIA_CONFIG_MODE, KVM_DEV_RISCV_AIA_MODE_EMUL);
	aia_set_addresses(&self->aia);
	aia_init(&self->aia);
	aia_map(&self->aia);
	prepare_guest(&self->aia);
}

FIXTURE_TEARDOWN(small)
{
	aia_free(&self->aia);
}

TEST_F(small, identities)
{
	if (!is_rust_backend())
		SKIP(return, "the C backend makes arrays beyond the largest identity illegal: "
			     "AIA 3.8.3");
	run_guest(self->aia.vcpu[0], guest_small);
}

/* Without a file, user space is asked: before INIT, and if the vCPU came too late. */
static void guest_top_for_user(void)
{
	csr_read(CSR_STOPEI);
	csr_write(CSR_SISELECT, EIDELIVERY);
	csr_read(CSR_SIREG);
	GUEST_DONE();
}

static void expect_csr(struct kvm_vcpu *vcpu, u64 csr)
{
	vcpu_run(vcpu);
	TEST_ASSERT_EQ(vcpu->run->exit_reason, KVM_EXIT_RISCV_CSR);
	TEST_ASSERT_EQ(vcpu->run->riscv_csr.csr_num, csr);
	vcpu->run->riscv_csr.ret_value = 0;
}

TEST_F(small, no_file)
{
	struct kvm_vcpu *late = vm_vcpu_add(self->aia.vm, 1, guest_top_for_user);
	struct aia aia;

	expect_csr(late, CSR_STOPEI);
	expect_csr(late, CSR_SIREG);
	run_until_done(late);

	aia_create(&aia, 1);
	vcpu_arch_set_entry_point(aia.vcpu[0], guest_top_for_user);
	expect_csr(aia.vcpu[0], CSR_STOPEI);
	expect_csr(aia.vcpu[0], CSR_SIREG);
	run_until_done(aia.vcpu[0]);
	aia_free(&aia);
}

TEST_HARNESS_MAIN
