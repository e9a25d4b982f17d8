# SPDX-License-Identifier: GPL-2.0
"""The world switch as the hart executes it, and what its choices cost."""

import re

from . import process
from .errors import Failure
from .toolchain import llvm_program

SYMBOL = re.compile(r"^<\S*3run4stay4stay>:$", re.M)
# Where a static key is looked at, the code has a nop until it is patched.
NOP = re.compile(r"^\s*nop\s*$", re.M)
CALL = re.compile(r"\b(?:R_RISCV_CALL_PLT|R_RISCV_CALL)\s+(\S+)")
# What it calls: the entry in the kernel's eyes, the switch itself, and the exit.
CALLS = {"rust_helper_kvm_guest_state_enter_irqoff",
         "rust_helper_kvm_guest_state_exit_irqoff",
         "__kvm_riscv_rust_switch_to", "__kvm_riscv_rust_nacl_switch_to"}
# Ahead of all that, with NACL.
PREPARE = re.compile(r"12world_switch13prepare_shmem$")
# The next function; labels within this one begin with a dot.
NEXT = re.compile(r"^<(?!\.)\S+>:$", re.M)


def show(kernel, llvm):
    """Print stay(); fail if it calls anything else."""
    listing = process.output(
        [llvm_program("llvm-objdump", llvm), "-d", "-r",
         "--no-show-raw-insn", "--no-leading-addr", "--section=.noinstr.text",
         kernel.objects / "arch/riscv/kvm/kvm_riscv.o"])
    begin = SYMBOL.search(listing)
    if not begin:
        raise Failure("stay() is not in .noinstr.text of kvm_riscv.o.",
                      "See arch/riscv/kvm/run/stay.rs.")
    code = listing[begin.start():]
    end = NEXT.search(code, begin.end() - begin.start())
    code = code[:end.start()] if end else code
    print(code)
    calls = set(CALL.findall(code))
    print(f"\n{len(NOP.findall(code))} nops for static keys; "
          f"calls: {', '.join(sorted(calls))}")
    others = {call for call in calls - CALLS if not PREPARE.search(call)}
    if others or not CALLS <= calls:
        raise Failure("It should call: " + ", ".join(sorted(CALLS)),
                      "A function that should be inlined is not, or a static "
                      "key has become a call.")
