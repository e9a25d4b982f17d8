// SPDX-License-Identifier: GPL-2.0
/*
 * The AIA as no VMM would use it: attributes of any value at any time, and several
 * threads that configure, use and close the same VM. Each call ends in success or in
 * an errno of the ABI, and the host survives all of them.
 */
#include <sys/mman.h>

#include "aia.h"
#include "ask_guest.h"
#include "expect_errno.h"

#define NR_VCPUS	2
#define NR_RACERS	6
#define SLOT		20

FIXTURE(hostile_aia)
{
	struct aia aia;
};

FIXTURE_SETUP(hostile_aia)
{
	if (!host_has_aia())
		SKIP(return, "the host has no AIA, or the backend does not offer it");
	aia_create(&self->aia, NR_VCPUS);
}

FIXTURE_TEARDOWN(hostile_aia)
{
	aia_free(&self->aia);
}

static int rounds(int few)
{
	return getenv("FULL") ? 20 * few : few;
}

static void guest_nothing(void)
{
	GUEST_DONE();
}

static bool is_attribute_errno(int error)
{
	return error == EINVAL || error == ENXIO || error == EBUSY || error == ENODEV ||
	       error == EFAULT || error == EOPNOTSUPP || error == ENOENT || error == EINTR ||
	       error == EEXIST || error == EPERM;
}

static u64 any_value(unsigned int *seed)
{
	static const u64 values[] = {
		0, 1, 2, 3, 7, 8, 15, 16, 24, 55, 63, 64, 65, 255, 1023, 1024, 2047, 2048,
		APLIC_GPA, IMSIC_GPA, IMSIC_GPA_OF(1), IMSIC_GPA_OF(1) + 4, 1UL << 40, -1UL,
		-4096UL, 0xffffffff, 0x80000000,
	};

	if (rand_r(seed) % 4)
		return values[rand_r(seed) % ARRAY_SIZE(values)];
	return (u64)rand_r(seed) << 33 ^ rand_r(seed);
}

static u64 any_attribute(u32 group, unsigned int *seed)
{
	u64 any = rand_r(seed);

	switch (group) {
	case KVM_DEV_RISCV_AIA_GRP_CONFIG:
		return any % 9;
	case KVM_DEV_RISCV_AIA_GRP_ADDR:
		return any % 16 ? any % 5 : any_value(seed);
	case KVM_DEV_RISCV_AIA_GRP_CTRL:
		return any % 16 ? 1 + any % 3 : any_value(seed) | 1;
	case KVM_DEV_RISCV_AIA_GRP_APLIC:
		return any % 16 ? (any & 0x4ffc) : any_value(seed);
	case KVM_DEV_RISCV_AIA_GRP_IMSIC:
		return any % 16 ? KVM_DEV_RISCV_AIA_IMSIC_MKATTR((any >> 8) % 3, any & 0xff) :
				  any_value(seed);
	default:
		return any_value(seed);
	}
}

/* One call on one attribute, of any group but INIT. */
static void any_call(struct aia *aia, unsigned int *seed)
{
	u32 group = rand_r(seed) % 6;
	u64 attr = any_attribute(group, seed), value = any_value(seed);
	int ret;

	switch (rand_r(seed) % 4) {
	case 0:
		ret = __aia_has(aia, group, attr);
		break;
	case 1:
		ret = __aia_get(aia, group, attr, &value);
		break;
	default:
		ret = __aia_set(aia, group, attr, value);
	}
	TEST_ASSERT(!ret || is_attribute_errno(errno), "group %u, attribute 0x%lx: %s", group,
		    attr, strerror(errno));
}

static void any_interrupt(struct aia *aia, unsigned int *seed)
{
	if (rand_r(seed) % 2)
		_kvm_irq_line(aia->vm, rand_r(seed) % 128, rand_r(seed) % 2);
	else
		__aia_msi(aia, IMSIC_GPA + rand_r(seed) % 0x4000, any_value(seed));
}

TEST_F(hostile_aia, attributes)
{
	struct aia *aia = &self->aia;
	unsigned int seed = 1;
	int i, initialized;

	for (initialized = 0; initialized < 2; initialized++) {
		for (i = 0; i < rounds(5000); i++) {
			any_call(aia, &seed);
			any_interrupt(aia, &seed);
		}
		if (initialized)
			break;
		aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 0);
		aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 0);
		aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_IDS, 63);
		aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_SRCS, 63);
		aia_config(aia, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 1);
		aia_set_addresses(aia);
		aia_init(aia);
		aia_map(aia);
	}
	run_guest(aia->vcpu[0], guest_nothing);
	run_guest(aia->vcpu[1], guest_nothing);
}

/* Guests that do to their controllers whatever they can, until they are told to stop. */
static void guest_hammer(void)
{
	u64 x = guest_get_vcpuid() + 1, reg;

	while (!READ_ONCE(guest_stop)) {
		x = x * 6364136223846793005UL + 1442695040888963407UL;
		reg = x >> 40;
		/* An attribute of a vCPU's file may have to wait until it is in user space. */
		if (!(reg % 64))
			GUEST_SYNC(0);
		switch (x >> 60) {
		case 0 ... 3:
			imsic_send(reg % NR_VCPUS, reg >> 4 & 0x7f);
			break;
		case 4 ... 6:
			imsic_write(reg & 1 ? EIE(0) : EIP(0), x);
			break;
		case 7:
			imsic_write(reg & 1 ? EIDELIVERY : EITHRESHOLD, reg & 0x3f);
			break;
		case 8:
			imsic_claim();
			break;
		case 9 ... 10:
			aplic_write(APLIC_SOURCECFG(1 + reg % AIA_SOURCES), reg >> 8 & 7);
			break;
		case 11:
			aplic_write(APLIC_TARGET(1 + reg % AIA_SOURCES), x);
			break;
		case 12:
			aplic_write(APLIC_SETIE(reg % 2), x);
			break;
		case 13:
			aplic_write(APLIC_SETIP(reg % 2), x);
			break;
		case 14:
			aplic_write(APLIC_DOMAINCFG, reg << 8);
			break;
		default:
			aplic_write(APLIC_GENMSI, x);
		}
	}
	GUEST_DONE();
}

static bool race_ends;

struct racer {
	struct aia *aia;
	unsigned int seed;
	pthread_t thread;
};

static void *race_attributes(void *arg)
{
	struct racer *racer = arg;

	while (!READ_ONCE(race_ends)) {
		any_call(racer->aia, &racer->seed);
		any_interrupt(racer->aia, &racer->seed);
	}
	return NULL;
}

static void *run_hammer(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	for (;;) {
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY) {
			usleep(500);
			continue;
		}
		if (guest_is_done(vcpu))
			return NULL;
	}
}

static void *race_memslots(void *arg)
{
	struct racer *racer = arg;
	void *memory = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	while (!READ_ONCE(race_ends)) {
		gpa_t where = rand_r(&racer->seed) % 2 ? APLIC_GPA : IMSIC_GPA;

		__vm_set_user_memory_region(racer->aia->vm, SLOT, 0, where, 0x4000, memory);
		usleep(rand_r(&racer->seed) % 2000);
		__vm_set_user_memory_region(racer->aia->vm, SLOT, 0, where, 0, memory);
		usleep(rand_r(&racer->seed) % 2000);
	}
	munmap(memory, 0x4000);
	return NULL;
}

static void use_hard(struct aia *aia, u32 mode, void *(*race)(void *))
{
	struct racer racer = { .aia = aia, .seed = 2 };
	pthread_t vcpus[NR_VCPUS];
	int i;

	aia_configure(aia, mode);
	aia_map(aia);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_arch_set_entry_point(aia->vcpu[i], guest_hammer);
		vcpus[i] = thread_start(run_hammer, aia->vcpu[i]);
	}
	race_ends = false;
	racer.thread = thread_start(race, &racer);
	usleep(rounds(2) * 1000000);
	WRITE_ONCE(race_ends, true);
	stop_guest(aia->vm);
	for (i = 0; i < NR_VCPUS; i++)
		pthread_join(vcpus[i], NULL);
	pthread_join(racer.thread, NULL);
	for (i = 0; i < NR_VCPUS; i++)
		run_guest(aia->vcpu[i], guest_nothing);
}

static u32 best_mode(struct aia *aia)
{
	return aia_config_of(aia, KVM_DEV_RISCV_AIA_CONFIG_MODE);
}

TEST_F(hostile_aia, attributes_of_running_vcpus)
{
	use_hard(&self->aia, KVM_DEV_RISCV_AIA_MODE_EMUL, race_attributes);
}

TEST_F(hostile_aia, attributes_of_guest_files)
{
	use_hard(&self->aia, best_mode(&self->aia), race_attributes);
}

/* Memory where the guest has its controllers, now and then. */
TEST_F(hostile_aia, memslots)
{
	use_hard(&self->aia, KVM_DEV_RISCV_AIA_MODE_EMUL, race_memslots);
}

TEST_F(hostile_aia, memslots_over_guest_files)
{
	use_hard(&self->aia, best_mode(&self->aia), race_memslots);
}

static int racers_ready;

static void await_racers(void)
{
	__atomic_add_fetch(&racers_ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&racers_ready, __ATOMIC_SEQ_CST) < NR_RACERS)
		sched_yield();
}

static void *race_init(void *arg)
{
	struct racer *racer = arg;

	await_racers();
	while (__aia_init(racer->aia) && !READ_ONCE(race_ends))
		sched_yield();
	return NULL;
}

static void *race_vcpus(void *arg)
{
	struct racer *racer = arg;
	int id, fd;

	await_racers();
	for (id = NR_VCPUS; id < NR_VCPUS + 6; id++) {
		fd = ioctl(racer->aia->vm->fd, KVM_CREATE_VCPU, id);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void *race_config(void *arg)
{
	struct racer *racer = arg;
	int i;

	await_racers();
	for (i = 0; i < 50; i++) {
		__aia_set(racer->aia, KVM_DEV_RISCV_AIA_GRP_ADDR,
			  KVM_DEV_RISCV_AIA_ADDR_IMSIC(i % 9), IMSIC_GPA_OF(i % 9));
		__aia_set(racer->aia, KVM_DEV_RISCV_AIA_GRP_CONFIG,
			  KVM_DEV_RISCV_AIA_CONFIG_SRCS, 10 + i);
	}
	return NULL;
}

static void *race_use(void *arg)
{
	struct racer *racer = arg;
	int i;

	await_racers();
	for (i = 0; i < 200; i++) {
		any_call(racer->aia, &racer->seed);
		any_interrupt(racer->aia, &racer->seed);
	}
	return NULL;
}

static void *race_run(void *arg)
{
	struct racer *racer = arg;
	struct kvm_vcpu *vcpu = racer->aia->vcpu[racer->seed % NR_VCPUS];

	await_racers();
	vcpu->run->immediate_exit = racer->seed & 8 ? 1 : 0;
	__vcpu_run(vcpu);
	return NULL;
}

/* INIT, while vCPUs come and run, and while others configure and use the device. */
TEST_F(hostile_aia, init)
{
	static void *(*const race[NR_RACERS])(void *) = {
		race_init, race_vcpus, race_config, race_use, race_use, race_run,
	};
	struct racer racers[NR_RACERS];
	struct aia aia;
	int i, round;

	for (round = 0; round < rounds(30); round++) {
		aia_create(&aia, NR_VCPUS);
		vcpu_arch_set_entry_point(aia.vcpu[0], guest_nothing);
		vcpu_arch_set_entry_point(aia.vcpu[1], guest_nothing);
		aia_config(&aia, KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 3);
		aia_set_addresses(&aia);
		racers_ready = 0;
		race_ends = false;
		for (i = 0; i < NR_RACERS; i++) {
			racers[i] = (struct racer){ .aia = &aia, .seed = round * 8 + i };
			racers[i].thread = thread_start(race[i], &racers[i]);
		}
		for (i = 1; i < NR_RACERS; i++)
			pthread_join(racers[i].thread, NULL);
		WRITE_ONCE(race_ends, true);
		pthread_join(racers[0].thread, NULL);
		aia_free(&aia);
	}
}

/* The device outlives the descriptors of its VM, in the middle of calls. */
TEST_F(hostile_aia, close)
{
	struct racer racers[2];
	struct aia aia;
	int i, round;

	for (round = 0; round < rounds(20); round++) {
		aia_create(&aia, NR_VCPUS);
		aia_configure(&aia, best_mode(&aia));
		run_guest(aia.vcpu[0], guest_nothing);
		race_ends = false;
		for (i = 0; i < ARRAY_SIZE(racers); i++) {
			racers[i] = (struct racer){ .aia = &aia, .seed = round * 8 + i };
			racers[i].thread = thread_start(race_attributes, &racers[i]);
		}
		usleep(5000);
		close(aia.vcpu[0]->fd);
		close(aia.vcpu[1]->fd);
		usleep(5000);
		WRITE_ONCE(race_ends, true);
		for (i = 0; i < ARRAY_SIZE(racers); i++)
			pthread_join(racers[i].thread, NULL);
		close(aia.vm->fd);
		/* The last descriptor, which keeps all of it. */
		for (i = 0; i < 50; i++)
			any_call(&aia, &racers[0].seed);
		close(aia.fd);
	}
}

TEST_HARNESS_MAIN
