# SPDX-License-Identifier: GPL-2.0
"""What one exit is spent on: each instruction of the host, by what it is for.

QEMU logs what it executes, one instruction after the other, while the loop of a
case of exit_cost runs. Of the exits in the log those of the most frequent length
are taken: the others have an interrupt in them.
"""

import argparse
import bisect
import dataclasses
import json
import re
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from workspace import command, pins, process
from workspace.errors import Failure
from workspace.settings import Settings
from workspace.steps import say
from workspace.toolchain import llvm_program
from workspace.workspace import Workspace, prepared

from .__main__ import RESULTS

CASES = ("sbi_call", "spurious", "ioeventfd", "mmio_store", "fault_4k")
# Seconds of ours for which is logged at a time, and how often at the most until
# there are enough exits: the loop may not have begun, or may have ended.
LOGGED = 0.15
ATTEMPTS = 40
ENOUGH = 50
KERNEL = 1 << 63
SECTIONS = (".text", ".noinstr.text")
SWITCH = "__kvm_riscv_rust_switch_to"
SWITCH_OF_C = "__kvm_riscv_switch_to"
# Where a case begins anew, each time: most enter the guest, and others are calls of
# user space. The first that is executed counts.
BEGINNINGS = (f"kvm:{SWITCH}", f"kvm:{SWITCH_OF_C}", "kvm:kvm_vm_ioctl",
              "kvm:irqfd_wakeup")
BACKENDS = ("c", "rust")
# How the kernel takes a lock that threads may share, such as mmu_lock.
LOCKS = {"for writing": "_raw_write_lock", "for reading": "_raw_read_lock"}
# The program counter in a line of QEMU's log.
PC = re.compile(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", re.M)
SYMBOL = re.compile(r"^([0-9a-f]{16}) .{7} (\S+)\t[0-9a-f]+ (?:\.hidden )?(\S+)$",
                    re.M)
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)", re.M)
SECTION = re.compile(r"^Disassembly of section (\S+):$", re.M)
# Names of no function: the assembler's, and the sections' own.
LOCAL = (".L", "$", ".")

GUEST = "guest and user space"
REGISTERS = "switch_to.S: loads and stores of registers"
CSRS = "switch_to.S: CSRs, and SRET"
SWITCH_REST = "switch_to.S: the rest"
HART_CSRS = "stay(): CSRs"
KEYS = "stay(): static keys that are off"
STAY = "stay(): decisions, and what is done on the hart"
BACKEND = "the rest of the backend"
CORE = "KVM's core"
KERNEL_REST = "the kernel besides KVM"
GROUPS = (GUEST, REGISTERS, CSRS, SWITCH_REST, HART_CSRS, KEYS, STAY,
          BACKEND, CORE, KERNEL_REST)
# What no implementation can do without that handles exits in a compiled language:
# the guest's 31 registers out and in, and the 16 of the host that a call has to
# preserve; a swap each way of SSTATUS, SEPC, STVEC and SSCRATCH, which has to give
# the guest's a0 back besides, and SRET; HSTATUS, and SCAUSE.
LEAST = {REGISTERS: 2 * 31 + 2 * 16, CSRS: 2 * 4 + 1 + 1, HART_CSRS: 2 + 1}


@dataclass(frozen=True)
class Code:
    """The functions and instructions of the kernel and of kvm.ko, by address."""

    addresses: list
    names: list
    instructions: dict

    @classmethod
    def of(cls, kernel, module, sections, llvm):
        objdump = llvm_program("llvm-objdump", llvm)
        symbols = {}
        for address, _, name in SYMBOL.findall(
                process.output([objdump, "-t", kernel])):
            if not name.startswith(LOCAL):
                symbols[int(address, 16)] = name
        for address, section, name in SYMBOL.findall(
                process.output([objdump, "-t", module])):
            if section in sections and not name.startswith(LOCAL):
                symbols[sections[section] + int(address, 16)] = f"kvm:{name}"
        listing = process.output([objdump, "-d", "--no-show-raw-insn", module])
        parts = SECTION.split(listing)
        instructions = {
            sections[section] + int(address, 16): mnemonic
            for section, text in zip(parts[1::2], parts[2::2])
            if section in sections
            for address, mnemonic in INSTRUCTION.findall(text)}
        addresses = sorted(symbols)
        return cls(addresses, [symbols[one] for one in addresses], instructions)

    def function(self, pc):
        """The function that an instruction belongs to; none is the guest's."""
        if pc < KERNEL:
            return ""
        return self.names[bisect.bisect_right(self.addresses, pc) - 1]

    def group(self, pc):
        """What an instruction is for."""
        function = self.function(pc)
        mnemonic = self.instructions.get(pc, "")
        if not function:
            return GUEST
        if function == f"kvm:{SWITCH}":
            if mnemonic in ("ld", "sd"):
                return REGISTERS
            return CSRS if mnemonic.startswith(("csr", "sret")) else SWITCH_REST
        if function.endswith("3run4stay4stay"):
            if mnemonic.startswith("csr"):
                return HART_CSRS
            return KEYS if mnemonic == "nop" else STAY
        if function.startswith("kvm:"):
            return BACKEND if "kvm_riscv" in function else CORE
        return KERNEL_REST


def exits(pcs, entry):
    """Split what was executed where a case begins anew."""
    starts = [place for place, pc in enumerate(pcs) if pc == entry]
    return [pcs[start:end] for start, end in zip(starts, starts[1:])]


def most_frequent(runs):
    """The exits of the most frequent length."""
    if not runs:
        raise Failure("QEMU's log has no exit.",
                      "On a slow machine, budget.py may need more ATTEMPTS.")
    length = Counter(map(len, runs)).most_common(1)[0][0]
    return [run for run in runs if len(run) == length]


def spent(code, runs):
    """{group: instructions} of one exit, and {function: instructions}."""
    groups, functions = Counter(), Counter()
    for run in runs:
        groups.update(map(code.group, run))
        functions.update(map(code.function, run))
    return ({group: groups[group] / len(runs) for group in GROUPS},
            {name: count / len(runs) for name, count in functions.items()})


def locked(code, runs):
    """{how: how often locks are taken so} in 1,000 exits."""
    places = dict(zip(code.names, code.addresses))
    return {how: 1000 * sum(run.count(places[function]) for run in runs) /
            len(runs) for how, function in LOCKS.items()}


def table_of_locks(found):
    """`found` is {(case, backend): what locked() returns}."""
    title = "locks in 1,000 exits"
    width = max(len(title), *(len(case) for case, _ in found))
    head = "  ".join((f"{title:<{width}}", "backend", *LOCKS))
    lines = [head, "-" * len(head)]
    lines += ["  ".join((f"{case:<{width}}", f"{backend:<7}",
                         *(f"{counts[how]:>{len(how)}.0f}" for how in LOCKS)))
              for (case, backend), counts in found.items()]
    return "\n".join(lines)


def table(case, groups):
    rows = [(group, f"{count:.1f}", str(LEAST.get(group, "")))
            for group, count in groups.items() if count]
    rows.append(("sum", f"{sum(groups.values()):.1f}",
                 str(sum(LEAST.values()))))
    width = max(len(row[0]) for row in rows)
    head = f"{'exit: ' + case:<{width}}  {'executed':>9}  {'at least':>9}"
    lines = [head, "-" * len(head)]
    lines += [f"{row[0]:<{width}}  {row[1]:>9}  {row[2]:>9}" for row in rows]
    return "\n".join(lines)


def measure(settings, cases, backend="rust"):
    """Yield each case, the code of the host, and what was executed in its exits."""
    from harness import port
    from harness.host import Files, Host
    from harness.qmp import Qmp

    from .measure import compile_programs, counting_machine

    workspace = Workspace(settings)
    with prepared(settings, [backend],
                  extra_packages=pins.BENCH_PACKAGES) as artifacts, \
            tempfile.TemporaryDirectory(prefix="budget-") as directory:
        built = artifacts.backends[backend]
        programs = compile_programs(Path(__file__).parent, RESULTS)
        socket, log = (Path(directory) / name for name in ("qmp", "log"))
        host = Host("budget",
                    Files(built.kernel, built.module, artifacts.disk,
                          artifacts.initramfs, programs),
                    dataclasses.replace(
                        counting_machine(settings.cpu, options=(
                            "-D", str(log),
                            "-qmp", f"unix:{socket},server=on,wait=off")),
                        machine=settings.machine),
                    settings.timeout_factor)
        with host, port.connect(socket.parent, socket.name) as monitor:
            qmp = Qmp(port.terminal(monitor, host.transcript("qmp")),
                      host.failure, lambda what: None, settings.timeout_factor)
            qmp.open()
            host.load_kvm()
            sections = {
                name: int(host.check(f"cat /sys/module/kvm/sections/{name}"), 16)
                for name in SECTIONS}
            objects = workspace.builder(backend).objects
            code = Code.of(objects / "vmlinux", built.module, sections,
                           workspace.toolchain().llvm)
            places = dict(zip(code.names, code.addresses))
            for case in cases:
                say("budget", f"{backend}: {case}")
                yield case, code, executed(windows(host, qmp, log, case), places)


def executed(seen, places):
    """What was executed, exit by exit."""
    entries = [places[name] for name in BEGINNINGS if name in places]
    runs = []
    for pcs in seen:
        runs += next((found for entry in entries
                      if (found := exits(pcs, entry))), [])
        if len(runs) >= ENOUGH:
            break
    return most_frequent(runs)


def windows(host, qmp, log, case):
    """Run a case's loop, and yield what is executed in it for a moment, each time
    that more is asked for, up to a bound.
    """
    from .measure import TIMEOUT, left_out

    def monitor(command):
        qmp.execute("human-monitor-command", {"command-line": command})

    for lacking in left_out(
            host.check(f"/payload/exit_cost {case}", TIMEOUT)):
        raise Failure(f"{case} cannot be measured: {lacking.reason}.",
                      "Choose a host that has it by CPU= or MACHINE=, or leave "
                      "the case out.")
    loop = host.check(f"(while /payload/exit_cost {case}; do :; done) "
                      ">/dev/null 2>&1 & echo $!").strip()
    try:
        for _ in range(ATTEMPTS):
            log.write_text("", encoding="utf-8")
            monitor("one-insn-per-tb on")
            monitor("log exec,nochain")
            time.sleep(LOGGED)
            monitor("log none")
            monitor("one-insn-per-tb off")
            text = log.read_text(encoding="utf-8", errors="replace")
            yield [int(pc, 16) for pc in PC.findall(text)]
            time.sleep(LOGGED)
    finally:
        host.check(f"kill {loop}; killall exit_cost; true")


def main():
    parser = argparse.ArgumentParser(
        prog="budget", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", default=CASES,
                        help="of exit_cost; some, if none is given")
    parser.add_argument("--functions", action="store_true",
                        help="also the instructions of each function")
    parser.add_argument("--locks", action="store_true",
                        help="instead, how often locks are taken, under both "
                             "backends")
    arguments = parser.parse_args()
    command.run(lambda: show(Settings.from_environment(), arguments))


def locks(settings, cases):
    found = {(case, backend): locked(code, runs) for backend in BACKENDS
             for case, code, runs in measure(settings, cases, backend)}
    return {(case, backend): found[case, backend]
            for case in cases for backend in BACKENDS}


def show(settings, arguments):
    if arguments.locks:
        print(f"\n{table_of_locks(locks(settings, arguments.case))}")
        return
    found = {}
    for case, code, runs in measure(settings, arguments.case):
        groups, functions = spent(code, runs)
        found[case] = groups
        print(f"\n{table(case, groups)}\n")
        if arguments.functions:
            for name, count in sorted(functions.items(),
                                      key=lambda item: -item[1]):
                print(f"{count:9.1f}  {name or GUEST}")
    path = RESULTS / "budget.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"Written: {path}")


if __name__ == "__main__":
    main()
