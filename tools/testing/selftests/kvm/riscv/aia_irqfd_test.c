// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts by eventfd, and routes of GSIs: to messages and to wires of the APLIC.
 */
#include <sys/eventfd.h>

#include "aia.h"
#include "ask_guest.h"
#include "expect_errno.h"

#define NR_VCPUS	2
#define MAX_ROUTES	4096
#define NR_PINS		1024

FIXTURE(irqfd)
{
	struct aia aia;
};

FIXTURE_VARIANT(irqfd)
{
	u32 mode;
};

FIXTURE_VARIANT_ADD(irqfd, emul) { .mode = KVM_DEV_RISCV_AIA_MODE_EMUL };
FIXTURE_VARIANT_ADD(irqfd, hwaccel) { .mode = KVM_DEV_RISCV_AIA_MODE_HWACCEL };
FIXTURE_VARIANT_ADD(irqfd, auto) { .mode = KVM_DEV_RISCV_AIA_MODE_AUTO };

static void guest_nothing(void)
{
	GUEST_DONE();
}

FIXTURE_SETUP(irqfd)
{
	int i;

	AIA_SETUP(&self->aia, NR_VCPUS, variant->mode);
	/* So that each has its guest interrupt file, if there are any. */
	for (i = 0; i < NR_VCPUS; i++) {
		run_on_hart(i);
		run_guest(self->aia.vcpu[i], guest_nothing);
	}
	run_on_hart(0);
}

FIXTURE_TEARDOWN(irqfd)
{
	aia_free(&self->aia);
}

static struct kvm_irq_routing_entry msi_route(u32 gsi, int vcpu, u32 id)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi.address_lo = IMSIC_GPA_OF(vcpu),
		.u.msi.address_hi = IMSIC_GPA_OF(vcpu) >> 32,
		.u.msi.data = id,
	};
}

static struct kvm_irq_routing_entry wire_route(u32 gsi, u32 source)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip.pin = source,
	};
}

static int __set_routes(struct kvm_vm *vm, const struct kvm_irq_routing_entry *entries, int nr)
{
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();

	routing->nr = nr;
	memcpy(routing->entries, entries, nr * sizeof(*entries));
	return _kvm_gsi_routing_write(vm, routing);
}

static void set_routes(struct kvm_vm *vm, const struct kvm_irq_routing_entry *entries, int nr)
{
	TEST_ASSERT(!__set_routes(vm, entries, nr), "KVM_SET_GSI_ROUTING: %s",
		    strerror(errno));
}

static void kick(int fd)
{
	u64 one = 1;

	TEST_ASSERT(write(fd, &one, sizeof(one)) == sizeof(one), "%s", strerror(errno));
}

/* Waits for a message, which may come a little later, and takes it away. */
static void expect_messages(struct aia *aia, int vcpu, u64 expected)
{
	u64 found;
	int tries;

	for (tries = 0; tries < 5000; tries++) {
		found = imsic_get(aia, vcpu, EIP(0));
		if (found == expected)
			break;
		usleep(1000);
	}
	TEST_ASSERT(found == expected, "vCPU %d has got 0x%lx, not 0x%lx", vcpu, found, expected);
	imsic_set(aia, vcpu, EIP(0), 0);
}

/* Nothing comes, though it is waited for. */
static void expect_none(struct aia *aia)
{
	int i;

	usleep(20000);
	for (i = 0; i < NR_VCPUS; i++)
		TEST_ASSERT_EQ(imsic_get(aia, i, EIP(0)), 0);
}

TEST_F(irqfd, messages)
{
	struct aia *aia = &self->aia;
	const struct kvm_irq_routing_entry routes[] = {
		msi_route(0, 0, 1), msi_route(100, 1, 63), msi_route(MAX_ROUTES - 1, 1, 5),
	};
	static const u64 expected[][NR_VCPUS] = { { BIT(1), 0 }, { 0, BIT(63) }, { 0, BIT(5) } };
	int fd[ARRAY_SIZE(routes)], i, round;

	set_routes(aia->vm, routes, ARRAY_SIZE(routes));
	for (i = 0; i < ARRAY_SIZE(routes); i++) {
		fd[i] = kvm_new_eventfd();
		kvm_assign_irqfd(aia->vm, routes[i].gsi, fd[i]);
	}
	for (round = 0; round < 20; round++) {
		for (i = 0; i < ARRAY_SIZE(routes); i++) {
			kick(fd[i]);
			expect_messages(aia, 0, expected[i][0]);
			expect_messages(aia, 1, expected[i][1]);
		}
	}
	for (i = 0; i < ARRAY_SIZE(routes); i++) {
		kvm_deassign_irqfd(aia->vm, routes[i].gsi, fd[i]);
		kick(fd[i]);
		expect_none(aia);
		/* What came meanwhile is not lost. */
		kvm_assign_irqfd(aia->vm, routes[i].gsi, fd[i]);
		expect_messages(aia, 0, expected[i][0]);
		expect_messages(aia, 1, expected[i][1]);
		/* With the last descriptor, the eventfd is gone. */
		close(fd[i]);
	}
	expect_none(aia);
}

/* An eventfd belongs to its GSI, whatever that means at the moment. */
TEST_F(irqfd, routes_change)
{
	struct aia *aia = &self->aia;
	struct kvm_irq_routing_entry route = msi_route(7, 0, 7);
	int fd = kvm_new_eventfd(), i;

	kvm_assign_irqfd(aia->vm, 7, fd);
	for (i = 1; i < 40; i++) {
		route = msi_route(7, i % 2, i);
		set_routes(aia->vm, &route, 1);
		kick(fd);
		expect_messages(aia, i % 2, BIT(i));
		TEST_ASSERT_EQ(imsic_get(aia, !(i % 2), EIP(0)), 0);
	}

	/* To nothing, to nobody, to an identity that there is not. */
	set_routes(aia->vm, &route, 0);
	kick(fd);
	route = msi_route(7, NR_VCPUS, 1);
	set_routes(aia->vm, &route, 1);
	kick(fd);
	route = msi_route(7, 0, 0);
	set_routes(aia->vm, &route, 1);
	kick(fd);
	route = msi_route(7, 0, 4000);
	set_routes(aia->vm, &route, 1);
	kick(fd);
	expect_none(aia);
	close(fd);
}

static void prepare_source(struct aia *aia, u32 source, u32 mode, u32 target)
{
	aplic_set(aia, APLIC_SOURCECFG(source), mode);
	aplic_set(aia, APLIC_CLRIPNUM, source);
	aplic_set(aia, APLIC_TARGET(source), target);
	aplic_set(aia, APLIC_SETIENUM, source);
}

/* Without a route, a GSI is the source of that number. Each event is a pulse. */
TEST_F(irqfd, wires)
{
	static const u32 modes[] = { SM_EDGE1, SM_EDGE0, SM_LEVEL1 };
	struct aia *aia = &self->aia;
	int fd = kvm_new_eventfd(), i;

	if (!is_rust_backend())
		SKIP(return, "the C backend raises the wire of an irqfd, and never lowers it");
	aplic_set(aia, APLIC_DOMAINCFG, DOMAINCFG_IE);
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		prepare_source(aia, 3 + i, modes[i], TARGET(i % 2, 30 + i));
		kvm_assign_irqfd(aia->vm, 3 + i, fd);
		kick(fd);
		expect_messages(aia, i % 2, BIT(30 + i));
		kick(fd);
		expect_messages(aia, i % 2, BIT(30 + i));
		TEST_ASSERT_EQ(aplic_get(aia, APLIC_SETIP(0)), 0);
		kvm_deassign_irqfd(aia->vm, 3 + i, fd);
	}

	/* The last one, and none. */
	prepare_source(aia, AIA_SOURCES, SM_EDGE1, TARGET(1, 8));
	kvm_assign_irqfd(aia->vm, AIA_SOURCES, fd);
	kick(fd);
	expect_messages(aia, 1, BIT(8));
	kvm_deassign_irqfd(aia->vm, AIA_SOURCES, fd);
	kvm_assign_irqfd(aia->vm, AIA_SOURCES + 1, fd);
	kick(fd);
	expect_none(aia);
	close(fd);
}

TEST_F(irqfd, wires_routed)
{
	struct aia *aia = &self->aia;
	const struct kvm_irq_routing_entry routes[] = {
		wire_route(500, 2), wire_route(501, AIA_SOURCES), wire_route(502, NR_PINS - 1),
		msi_route(503, 1, 12),
	};
	int fd[ARRAY_SIZE(routes)], i;

	set_routes(aia->vm, routes, ARRAY_SIZE(routes));
	aplic_set(aia, APLIC_DOMAINCFG, DOMAINCFG_IE);
	prepare_source(aia, 2, SM_EDGE1, TARGET(0, 2));
	prepare_source(aia, AIA_SOURCES, SM_EDGE1, TARGET(1, 40));
	for (i = 0; i < ARRAY_SIZE(routes); i++) {
		fd[i] = kvm_new_eventfd();
		kvm_assign_irqfd(aia->vm, routes[i].gsi, fd[i]);
		kick(fd[i]);
	}
	expect_messages(aia, 0, BIT(2));
	expect_messages(aia, 1, BIT(40) | BIT(12));
	/* KVM_IRQ_LINE names a source, and no GSI. */
	aia_irq_line(aia, 2, false);
	aia_irq_line(aia, 2, true);
	expect_messages(aia, 0, BIT(2));
	for (i = 0; i < ARRAY_SIZE(routes); i++)
		close(fd[i]);
}

/* With the domain or the source switched off, an edge waits. */
TEST_F(irqfd, wires_off)
{
	struct aia *aia = &self->aia;
	int fd = kvm_new_eventfd();

	prepare_source(aia, 9, SM_EDGE1, TARGET(1, 9));
	kvm_assign_irqfd(aia->vm, 9, fd);
	kick(fd);
	expect_none(aia);
	TEST_ASSERT_EQ(aplic_get(aia, APLIC_SETIP(0)), BIT(9));
	aplic_set(aia, APLIC_DOMAINCFG, DOMAINCFG_IE);
	expect_messages(aia, 1, BIT(9));
	aplic_set(aia, APLIC_CLRIENUM, 9);
	aia_irq_line(aia, 9, false);
	kick(fd);
	expect_none(aia);
	aplic_set(aia, APLIC_SETIENUM, 9);
	expect_messages(aia, 1, BIT(9));
	close(fd);
}

static u64 taken;

static void guest_take(struct pt_regs *regs)
{
	GUEST_ASSERT_EQ(regs->cause, CAUSE_IRQ_FLAG | IRQ_S_EXT);
	GUEST_ASSERT_EQ(imsic_claim(), 21);
	WRITE_ONCE(taken, READ_ONCE(taken) + 1);
}

static u64 guest_sleeps;

static void guest_run(void)
{
	imsic_enable(21);
	imsic_start();
	csr_write(CSR_SIE, IE_EIE);
	WRITE_ONCE(asked, 1);
	while (!READ_ONCE(guest_stop)) {
		local_irq_enable();
		local_irq_disable();
		if (READ_ONCE(guest_sleeps))
			asm volatile("wfi");
	}
	GUEST_DONE();
}

/* To a vCPU that runs, and to one that sleeps: one interrupt an event. */
TEST_F(irqfd, interrupts)
{
	struct aia *aia = &self->aia;
	struct kvm_irq_routing_entry route = msi_route(1, 1, 21);
	u64 *count = guest_global(aia->vm, &taken);
	int fd = kvm_new_eventfd(), i, tries;
	struct vcpu_thread thread;

	/* QEMU 10 may lose a message that comes as hgeie is written: the sleeper sleeps on. */
	if (variant->mode != KVM_DEV_RISCV_AIA_MODE_EMUL && !is_rust_backend())
		SKIP(return, "the C backend does not look again after it has armed hgeie");
	vm_install_interrupt_handler(aia->vm, guest_take);
	set_routes(aia->vm, &route, 1);
	kvm_assign_irqfd(aia->vm, 1, fd);
	vcpu_arch_set_entry_point(aia->vcpu[1], guest_run);
	run_on_hart(1);
	vcpu_thread_start(&thread, aia->vcpu[1]);
	run_on_hart(0);
	while (!READ_ONCE(*guest_global(aia->vm, &asked)))
		usleep(1000);
	for (i = 0; i < 200; i++) {
		if (i == 100)
			WRITE_ONCE(*guest_global(aia->vm, &guest_sleeps), 1);
		kick(fd);
		for (tries = 0; READ_ONCE(*count) != i + 1; tries++) {
			TEST_ASSERT(tries < 20000, "event %d was lost", i);
			usleep(tries < 10 ? 50 : 1000);
		}
	}
	TEST_ASSERT_EQ(READ_ONCE(*count), 200);
	/* One more, if it sleeps. */
	stop_guest(aia->vm);
	kick(fd);
	vcpu_thread_join(&thread);
	TEST_ASSERT(*count <= 201, "%lu interrupts", *count);
	close(fd);
}

FIXTURE(errnos)
{
	struct aia aia;
};

FIXTURE_SETUP(errnos)
{
	if (!host_has_aia())
		SKIP(return, "the host has no AIA, or the backend does not offer it");
	aia_create(&self->aia, NR_VCPUS);
}

FIXTURE_TEARDOWN(errnos)
{
	aia_free(&self->aia);
}

/* As irqfd_test has it, which needs a VM that comes with its interrupt controller. */
TEST_F(errnos, assign)
{
	struct aia other, *aia = &self->aia;
	int fd = kvm_new_eventfd(), closed = kvm_new_eventfd();

	aia_create(&other, NR_VCPUS);
	aia_configure(&other, KVM_DEV_RISCV_AIA_MODE_EMUL);
	aia_configure(aia, KVM_DEV_RISCV_AIA_MODE_EMUL);
	close(closed);
	EXPECT_ERRNO(EBADF, __kvm_irqfd(aia->vm, 1, closed, 0));
	EXPECT_ERRNO(EBADF, __kvm_irqfd(aia->vm, 1, closed, KVM_IRQFD_FLAG_DEASSIGN));
	EXPECT_ERRNO(EINVAL, __kvm_irqfd(aia->vm, 1, aia->fd, 0));
	EXPECT_ERRNO(EINVAL, __kvm_irqfd(aia->vm, 1, fd, 4));

	kvm_assign_irqfd(aia->vm, 10, fd);
	EXPECT_ERRNO(EBUSY, __kvm_irqfd(aia->vm, 10, fd, 0));
	EXPECT_ERRNO(EBUSY, __kvm_irqfd(aia->vm, 11, fd, 0));
	EXPECT_ERRNO(EBUSY, __kvm_irqfd(other.vm, 12, fd, 0));
	/* It was never that one's, which is no error. */
	kvm_deassign_irqfd(aia->vm, 11, fd);
	kvm_deassign_irqfd(other.vm, 10, fd);
	EXPECT_ERRNO(EBUSY, __kvm_irqfd(aia->vm, 11, fd, 0));
	kvm_deassign_irqfd(aia->vm, 10, fd);
	kvm_assign_irqfd(other.vm, 12, fd);
	aia_free(&other);
	kvm_assign_irqfd(aia->vm, 13, fd);
	close(fd);
}

TEST_F(errnos, routes)
{
	struct aia *aia = &self->aia;
	struct kvm_irq_routing_entry two[2] = { wire_route(1, 1), wire_route(2, 2) };
	struct kvm_irq_routing *routing = kvm_gsi_routing_create();
	struct kvm_vm *vm = vm_create_barebones();

	/* Without a controller; and with one that is not ready. */
	EXPECT_ERRNO(EINVAL, __set_routes(vm, two, 1));
	kvm_vm_free(vm);
	set_routes(aia->vm, two, 2);
	aia_configure(aia, KVM_DEV_RISCV_AIA_MODE_EMUL);
	set_routes(aia->vm, two, 2);

	two[1].u.irqchip.pin = NR_PINS;
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	two[1] = wire_route(2, 2);
	two[1].u.irqchip.irqchip = 1;
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	two[1] = wire_route(MAX_ROUTES, 2);
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	two[1] = wire_route(2, 2);
	two[1].flags = 1;
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	two[1] = wire_route(2, 2);
	two[1].type = KVM_IRQ_ROUTING_S390_ADAPTER;
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	/* A GSI is one message, or one wire of the chip. */
	two[1] = wire_route(1, 2);
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	two[1] = msi_route(1, 0, 1);
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	two[1] = msi_route(2, 0, 1);
	two[1].flags = 2;
	EXPECT_ERRNO(EINVAL, __set_routes(aia->vm, two, 2));
	two[1].flags = KVM_MSI_VALID_DEVID;
	set_routes(aia->vm, two, 2);

	routing->flags = 1;
	EXPECT_ERRNO(EINVAL, vm_raw(aia->vm, KVM_SET_GSI_ROUTING, routing));
	routing->flags = 0;
	routing->nr = MAX_ROUTES + 1;
	EXPECT_ERRNO(EINVAL, vm_raw(aia->vm, KVM_SET_GSI_ROUTING, routing));
	EXPECT_ERRNO(EFAULT, vm_raw(aia->vm, KVM_SET_GSI_ROUTING, KERNEL_ADDRESS));
	free(routing);
}

/* Before INIT, there is nobody to interrupt: it is taken, and lost. */
TEST_F(errnos, before_init)
{
	struct aia *aia = &self->aia;
	struct kvm_irq_routing_entry route = msi_route(1, 0, 1);
	int fd = kvm_new_eventfd();

	set_routes(aia->vm, &route, 1);
	kvm_assign_irqfd(aia->vm, 1, fd);
	kick(fd);
	usleep(20000);
	aia_configure(aia, KVM_DEV_RISCV_AIA_MODE_EMUL);
	expect_none(aia);
	close(fd);
}

TEST_HARNESS_MAIN
