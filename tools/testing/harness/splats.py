# SPDX-License-Identifier: GPL-2.0
"""Lines that no kernel log of ours may hold."""

import re
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Known:
    """A complaint that is to be forgiven, from its first line to its last.

    It is one only if all lines of it that are splats are its `own`: another CPU
    may complain in between, of something else.
    """

    first: re.Pattern
    # A line that it must have.
    what: re.Pattern
    last: re.Pattern
    own: re.Pattern
    # How many lines it has at most.
    length: int = 80

    def without(self, log: str) -> str:
        """The log without these complaints."""
        lines = log.splitlines(keepends=True)
        kept = []
        number = 0
        while number < len(lines):
            size = self._size(lines[number:number + self.length])
            if not size:
                kept.append(lines[number])
            number += size or 1
        return "".join(kept)

    def _size(self, lines):
        """Of the complaint that the lines begin with; 0 if it is none."""
        if not self.first.search(lines[0]):
            return 0
        for number, line in enumerate(lines):
            if SPLAT.search(line) and not self.own.search(line):
                return 0
            if number and self.last.search(line):
                return number + 1 if self._is_it(lines[:number]) else 0
        return 0

    def _is_it(self, lines):
        return any(self.what.search(line) for line in lines)


# The kernel's own warning that a task which it interrupted in vector code of its
# own found the vector unit on. An interrupt between riscv_v_disable() and
# riscv_v_stop_kernel_context() in kernel_vector_end(), and a switch to another
# task in it, leave the unit on, with or without KVM: the task's registers are
# restored with SSTATUS.VS clean. The next task that runs there is not harmed.
# It is no fault of KVM, and a test cannot avoid it.
VECTOR_WARNING = (r"WARNING: arch/riscv/include/asm/vector\.h:\d+ at "
                  r"__schedule\+")
VECTOR_LEFT_ON = Known(
    first=re.compile(r"-+\[ cut here \]-+$"),
    what=re.compile(VECTOR_WARNING),
    last=re.compile(r"---\[ end trace "),
    own=re.compile(f"cut here|Call Trace:|{VECTOR_WARNING}"))
# What the kernel says of an allocation that failed, with a trace of its own.
ALLOCATION = re.compile("page allocation failure|vmalloc error")
FAILED_ALLOCATION = Known(
    first=ALLOCATION,
    what=ALLOCATION,
    last=re.compile(r"\bMem-Info:"),
    own=re.compile("Call Trace:"),
    length=40)

# No splat: tests that are hostile to KVM see this, and what it says is that KVM
# could not go on with a guest. One that behaves must not.
EXIT_ERROR = re.compile(r"VCPU exit error.*")


def find(log):
    """The lines from the first splat on, or nothing if the log is clean."""
    lines = VECTOR_LEFT_ON.without(log).splitlines()
    for number, line in enumerate(lines):
        if SPLAT.search(line):
            return lines[number:number + SHOWN]
    return []


def find_exit_error(log):
    """What the kernel says of a vCPU that could not be run, if one was not."""
    found = EXIT_ERROR.search(log)
    return found and found.group()
