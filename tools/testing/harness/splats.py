# SPDX-License-Identifier: GPL-2.0
"""Lines that no kernel log of ours may hold."""

import re

PATTERNS = (
    r"WARNING: ",
    r"\bBUG: ",
    r"kernel BUG at",
    r"\bOops\b",
    r"Call Trace:",
    r"cut here",
    r"Kernel panic",
    r"panicked at",
    r"Unable to handle kernel",
    r"KASAN:|KFENCE:|KCSAN:|KMSAN:|UBSAN:|kmemleak: \d+ new",
    r"INFO: (possible|inconsistent|suspicious|task .* blocked|rcu)",
    r"rcu: INFO|rcu_(preempt|sched).*stall",
    r"(soft|hard) (lockup|LOCKUP)",
    r"scheduling while atomic|sleeping function called",
    r"possible (circular|recursive) locking|inconsistent lock state",
    r"held lock freed|still has locks held|bad unlock balance",
    r"workqueue lockup|hung_task",
    r"refcount_t: ",
    r"list_(add|del) corruption",
    r"disabling lock debugging due to",
)
SPLAT = re.compile("|".join(f"(?:{pattern})" for pattern in PATTERNS))
SHOWN = 40
# The kernel's own warning that a task which it interrupted in vector code of its
# own found the vector unit on. An interrupt between riscv_v_disable() and
# riscv_v_stop_kernel_context() in kernel_vector_end(), and a switch to another
# task in it, leave the unit on, with or without KVM: the task's registers are
# restored with SSTATUS.VS clean. The next task that runs there is not harmed.
VECTOR_LEFT_ON = re.compile(
    r"^.*-+\[ cut here \]-+\n"
    r"(?:(?!.*(?:cut here|end trace)).*\n)??"
    r".*WARNING: arch/riscv/include/asm/vector\.h:\d+ at __schedule\+.*\n"
    r"(?:(?!.*cut here).*\n)*?"
    r".*---\[ end trace .*\n?", re.M)
# What the kernel says of an allocation that failed, with a trace of its own.
FAILED_ALLOCATION = re.compile(
    r"^.*(?:page allocation failure|vmalloc error).*\n"
    r"(?:.*\n)*?.*\bMem-Info:.*\n", re.M)

# No splat: tests that are hostile to KVM see this, and what it says is that KVM
# could not go on with a guest. One that behaves must not.
EXIT_ERROR = re.compile(r"VCPU exit error.*")


def find(log):
    """The lines from the first splat on, or nothing if the log is clean.

    VECTOR_LEFT_ON is no fault of KVM, and a test cannot avoid it.
    """
    lines = VECTOR_LEFT_ON.sub("", log).splitlines()
    for number, line in enumerate(lines):
        if SPLAT.search(line):
            return lines[number:number + SHOWN]
    return []


def find_exit_error(log):
    """What the kernel says of a vCPU that could not be run, if one was not."""
    found = EXIT_ERROR.search(log)
    return found and found.group()
