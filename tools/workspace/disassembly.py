# SPDX-License-Identifier: GPL-2.0
"""The world switch as the hart executes it, and what its choices cost."""

import re

from . import process
from .errors import Failure
from .toolchain import llvm_program

SYMBOL = re.compile(r"^<\S*10enter_exit10enter_exit>:$", re.M)
# Where a static key is looked at, the code has a nop until it is patched.
NOP = re.compile(r"^\s*nop\s*$", re.M)
CALL = re.compile(r"\b(?:R_RISCV_CALL_PLT|R_RISCV_CALL)\s+(\S+)")
# What the path without NACL calls, in this order.
CALLS = ["rust_helper_guest_state_enter_irqoff", "__kvm_riscv_rust_switch_to",
         "rust_helper_guest_state_exit_irqoff"]


def show(kernel, llvm):
    """Print enter_exit(); fail if its path without NACL calls too much."""
    listing = process.output(
        [llvm_program("llvm-objdump", llvm), "-d", "-r",
         "--no-show-raw-insn", "--no-leading-addr", "--section=.noinstr.text",
         kernel.objects / "arch/riscv/kvm/kvm_riscv.o"])
    begin = SYMBOL.search(listing)
    if not begin:
        raise Failure("enter_exit() is not in .noinstr.text of kvm_riscv.o.",
                      "See arch/riscv/kvm/enter_exit.rs.")
    code = listing[begin.start():]
    # The path that falls through all nops ends with the first return.
    end = re.search(r"^\s*ret\s*$", code, re.M)
    straight = code[:end.end()]
    print(straight)
    calls = CALL.findall(straight)
    nops = len(NOP.findall(straight))
    print(f"\nWithout NACL: {nops} nops for static keys; "
          f"calls: {', '.join(calls)}")
    if calls != CALLS:
        raise Failure("The path without NACL should call: " + ", ".join(CALLS),
                      "A function that should be inlined is not, or a static "
                      "key has become a call.")
