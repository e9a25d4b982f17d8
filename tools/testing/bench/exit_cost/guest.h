/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest: loops of bare assembly in a section of their own, which is copied
 * to guest memory. Between two loops it asks user space what to do.
 */
#ifndef EXIT_COST_GUEST_H
#define EXIT_COST_GUEST_H

#include <stdint.h>

#define STR_(x)			#x
#define STR(x)			STR_(x)

/* Guest physical layout. These are plain numbers: the assembler reads them. */
#define CODE_GPA		0x80000000
#define DATA_GPA		0x80200000
/* How many a loop touches; the slot has twice as many, for loops that leave some out. */
#define DATA_PAGES		500
/* A slot for what is done to a whole slot. */
#define LARGE_GPA		0x90000000
#define LARGE_PAGES		16384
#define MMIO_GPA		0x10000000
#define IOEVENTFD_GPA		0x10001000
#define COALESCED_GPA		0x10002000

/*
 * An SBI extension that KVM forwards to user space, and what its functions are
 * for: what to do next, nothing, and a trap that no loop expects.
 */
#define SBI_USER		0x08000000
#define SBI_USER_QUESTION	0
#define SBI_USER_NOTHING	1
#define SBI_USER_TRAP		2

/* What user space answers to a read of the seed CSR; the guest compares. */
#define SEED			0x5eed

/*
 * A loop of s0 rounds. A round is `before`, `insn`, `after`; `init` is done
 * once, ahead of them. s1 and s2 are free for its use. What it leaves in s3 is
 * its complaint: 0 if all was as it should be.
 */
#define GUEST_LOOP(label, init, before, insn, after)			\
	asm(".pushsection guest_code, \"a\"\n"				\
	    ".option push\n"						\
	    ".option norvc\n"						\
	    ".option norelax\n"						\
	    ".balign 4\n"						\
	    ".globl " #label "\n"					\
	    #label ":\n"						\
	    init "\n"							\
	    "1:\n"							\
	    before "\n"							\
	    insn "\n"							\
	    after "\n"							\
	    "	addi	s0, s0, -1\n"					\
	    "	bnez	s0, 1b\n"					\
	    "	j	guest_question\n"				\
	    ".option pop\n"						\
	    ".popsection\n");						\
	extern const char label[]

extern const char guest_start[];

/* The linker names the ends of a section whose name is an identifier. */
extern const char __start_guest_code[], __stop_guest_code[];

static inline uint64_t gpa_of(const char *label)
{
	return CODE_GPA + (label - __start_guest_code);
}

#endif /* EXIT_COST_GUEST_H */
