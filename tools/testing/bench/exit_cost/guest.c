// SPDX-License-Identifier: GPL-2.0
/*
 * Where the guest begins. It asks user space what to do, with its complaint
 * about the last loop in a0, and gets the address of a loop in a0 and the
 * number of rounds in a1.
 */
#include "guest.h"

asm(".pushsection guest_code, \"a\"\n"
    ".option push\n"
    ".option norvc\n"
    ".option norelax\n"
    ".balign 4\n"
    ".globl guest_start, guest_question\n"
    "guest_start:\n"
    "	lla	t0, guest_trap\n"
    "	csrw	stvec, t0\n"
    "guest_question:\n"
    /* No interrupt of one loop is left for the next. */
    "	csrw	sie, zero\n"
    "	csrci	sip, 2\n"
    "	mv	a0, s3\n"
    "	li	a6, " STR(SBI_USER_QUESTION) "\n"
    "	li	a7, " STR(SBI_USER) "\n"
    "	ecall\n"
    "	li	s3, 0\n"
    "	mv	s0, a1\n"
    "	jr	a0\n"
    ".balign 4\n"
    "guest_trap:\n"
    "	csrr	a0, scause\n"
    "	csrr	a1, sepc\n"
    "	li	a6, " STR(SBI_USER_TRAP) "\n"
    "	li	a7, " STR(SBI_USER) "\n"
    "	ecall\n"
    ".option pop\n"
    ".popsection\n");
