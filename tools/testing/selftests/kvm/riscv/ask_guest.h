/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest that runs beside the test until it is told to stop, and that says
 * meanwhile, each time that it is asked, what it finds in its memory.
 *
 * One vCPU answers. Another one asks, or user space does, and waits for the
 * answer before it asks again.
 */
#ifndef SELFTEST_KVM_RISCV_ASK_GUEST_H
#define SELFTEST_KVM_RISCV_ASK_GUEST_H

#include <sched.h>

#include <asm/barrier.h>

#include "kvm_util.h"
#include "processor.h"
#include "ucall_common.h"

static u64 guest_stop;
/* The numbers of the last question and of the last answer, and that answer. */
static u64 asked, answered, answer;

static inline bool guest_is_asked(void)
{
	if (READ_ONCE(asked) == READ_ONCE(answered))
		return false;
	/* The answer is found after the question. Pairs with the first one of ask(). */
	smp_mb();
	return true;
}

static inline void guest_answer(u64 value)
{
	WRITE_ONCE(answer, value);
	/* Pairs with the last one of guest_ask() and of ask(). */
	smp_mb();
	WRITE_ONCE(answered, READ_ONCE(asked));
}

/*
 * Answers a word of memory, which is read in between as well: it stays in the TLB
 * for as long as the hart stays in the guest.
 */
static inline void guest_watch(u64 *word)
{
	while (!READ_ONCE(guest_stop)) {
		READ_ONCE(*word);
		if (guest_is_asked())
			guest_answer(READ_ONCE(*word));
	}
	GUEST_DONE();
}

/* Asks from another vCPU. */
static inline u64 guest_ask(void)
{
	u64 question = READ_ONCE(asked) + 1;

	/* Asked after whatever the caller has done to the memory. */
	smp_mb();
	WRITE_ONCE(asked, question);
	while (READ_ONCE(answered) != question)
		cpu_relax();
	/* Pairs with that of guest_answer(). */
	smp_mb();
	return READ_ONCE(answer);
}

/* A variable of the guest, where user space has it. */
static inline u64 *guest_global(struct kvm_vm *vm, u64 *global)
{
	return addr_gva2hva(vm, (gva_t)global);
}

/* Asks from user space. */
static inline u64 ask(struct kvm_vm *vm)
{
	u64 *question = guest_global(vm, &asked);
	u64 *done = guest_global(vm, &answered);

	/* Asked after whatever the caller has done to the memory. */
	smp_mb();
	WRITE_ONCE(*question, *question + 1);
	while (READ_ONCE(*done) != *question)
		sched_yield();
	/* Pairs with that of guest_answer(). */
	smp_mb();
	return READ_ONCE(*guest_global(vm, &answer));
}

static inline void stop_guest(struct kvm_vm *vm)
{
	WRITE_ONCE(*guest_global(vm, &guest_stop), 1);
}

#endif /* SELFTEST_KVM_RISCV_ASK_GUEST_H */
