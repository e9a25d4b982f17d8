# SPDX-License-Identifier: GPL-2.0
"""Lines that no kernel log of ours may hold."""

import re
from dataclasses import dataclass

# Of the line ahead of a warning.
RULE = "cut here"
PATTERNS = (
    # Any kernel, of itself.
    r"WARNING: ",
    r"\bBUG: ",
    r"\bBUG [\w-]+ \(",
    r"kernel BUG at|Kernel BUG \[#",
    r"\bOops\b",
    r"Call Trace:",
    RULE,
    r"Kernel panic",
    r"panicked at",
    r"Unable to handle kernel",
    r"Insufficient stack space to handle exception",
    # KFENCE in small letters is the line that says at boot that it is on.
    r"KASAN:|KFENCE:|KCSAN:|KMSAN:|UBSAN:|kmemleak: \d+ new",
    r"INFO: (possible|inconsistent|suspicious|task .* blocked|rcu)",
    r"INFO: (lockdep is turned off|trying to register non-static key)",
    r"rcu: INFO|rcu_(preempt|sched).*stall",
    r"(soft|hard) (lockup|LOCKUP)",
    r"scheduling while atomic|sleeping function called",
    r"possible (circular|recursive) locking|inconsistent lock state",
    r"held lock freed|still has locks held|bad unlock balance",
    r"workqueue lockup|hung_task",
    r"refcount_t: ",
    r"list_(add|del) corruption",
    r"disabling lock debugging due to",
    r"irq \d+: nobody cared",
    # A VS interrupt that was left pending and enabled gets to the host so.
    r"Failed to handle interrupt \(cause: ",
    # A VM that has not gone, whose number and descriptor come again.
    r"'\d+-\d+' already exists in 'kvm'",
    # A process that ended in a way that no test asks for.
    r"ut of memory: Killed process",
    r"\]: unhandled signal \d+ code ",
    # Work of the kernel's that has kept a CPU from others.
    r"workqueue: .* hogged CPU for",
    r"RT throttling activated",
    # Memory of a guest that is not what its kernel has written there.
    r"EXT4-fs error|I/O error|\bid \d+ is not a head!",
    r"unregister_netdevice: waiting for",
    # Anything of the above may have been in what was lost.
    r"printk messages dropped",
    # The Rust backend itself, at the level of an error.
    r"\bkvm: NACL: |\bkvm: CPU \d+: shared memory",
)
SPLAT = re.compile("|".join(f"(?:{pattern})" for pattern in PATTERNS))
# What the kernel was started with may name anything of the above.
COMMAND_LINE = re.compile(r"Kernel command line: ")
TIME = re.compile(r"^\s*\[ *\d+\.\d+\]\s*")
SHOWN = 40
# Of a complaint that is to be forgiven: the longest have a trace of a system call,
# or all that is known of the memory of a group.
MOST_LINES = 160


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

    def without(self, log: str) -> str:
        """The log without these complaints."""
        lines = log.splitlines(keepends=True)
        kept = []
        number = 0
        while number < len(lines):
            size = self._size(lines[number:number + MOST_LINES])
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
    own=re.compile("Call Trace:"))
# What the kernel says when it ends a process whose group has no memory left.
OUT_OF_MEMORY = Known(
    first=re.compile(" invoked oom-killer: "),
    what=re.compile(" invoked oom-killer: "),
    last=re.compile("Memory cgroup out of memory: Killed process"),
    own=re.compile("Call Trace:|Memory cgroup out of memory: Killed process"))
# What the Rust backend says of firmware that does not do as it should.
FIRMWARE_FAILED = re.compile(r"^.*\bkvm: NACL: .*\n?", re.M)
LEAKED = re.compile(r"^.*\bkvm: CPU \d+: shared memory .* it is leaked\n?",
                    re.M)

# A command for what the kernel remembers, whatever its log has lost: its flags, and
# whether lockdep still works where there is lockdep.
STATE = ("cat /proc/sys/kernel/tainted; test ! -e /proc/lockdep_stats || "
         "grep -w debug_locks: /proc/lockdep_stats")
# Flags of /proc/sys/kernel/tainted, by the number of the bit.
TAINTS = {5: "B: a bad page", 7: "D: an oops", 9: "W: a warning",
          14: "L: a soft lockup"}
WARNED = 9

# What the C backend says in the kernel's log, and QEMU in any case, of a guest
# that could not go on. It is no splat, since tests that are hostile to KVM see
# that. A guest that behaves must not.
EXIT_ERROR = re.compile(
    r"VCPU exit error.*|vCPU \d+ stopped with.*|error: kvm run failed.*|KVM internal error.*"
    r"|KVM: unknown exit.*|un-handled exit reason.*"
    # Of memory that user space does not have, where KVM says which it is.
    r"|Convert non guest_memfd backed memory region.*")


def find(log):
    """The lines from the first splat on, or nothing if the log is clean."""
    lines = VECTOR_LEFT_ON.without(log).splitlines()
    for number, line in enumerate(lines):
        if SPLAT.search(line) and not COMMAND_LINE.search(line):
            return lines[number:number + SHOWN]
    return []


def headline(complaint: list[str]) -> str:
    """The line of a complaint that says what it is about, without the time.

    A warning is ruled off from what was there before.
    """
    line = next((line for line in complaint if RULE not in line),
                complaint[0])
    return TIME.sub("", line).strip()


def shown(complaint: list[str]) -> str:
    """The headline of a complaint, and below it all of its lines."""
    lines = "\n".join(f"    {line}" for line in complaint)
    return f"{headline(complaint)}\n{lines}"


def of_guest(complaint: list[str]) -> str:
    """What to say of a guest whose kernel has complained."""
    return f"The guest's kernel complained: {shown(complaint)}"


def forgive_firmware(log: str) -> str:
    """The log without what the Rust backend says of firmware that fails."""
    return FIRMWARE_FAILED.sub("", log)


def find_wrong_state(state: str, log: str) -> list[str]:
    """What is wrong by the output of STATE and is not excused by the log.

    The warning that is forgiven sets W, which hides those after it: nothing
    takes a flag back.
    """
    tainted, _, locks = state.partition("\n")
    excused = VECTOR_LEFT_ON.without(log) != log
    wrong = [f"it is tainted, {what}" for bit, what in TAINTS.items()
             if int(tainted) >> bit & 1 and not (bit == WARNED and excused)]
    if locks.strip() and locks.split()[-1] != "1":
        wrong.append("lockdep has switched itself off")
    return wrong


def find_exit_error(log):
    """What is said of a vCPU that could not be run, if one was not."""
    found = EXIT_ERROR.search(log)
    return found and found.group()
