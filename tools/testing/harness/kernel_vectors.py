# SPDX-License-Identifier: GPL-2.0
"""The kernel's own use of vectors, in a host with vCPUs that use them, too.

No part of a host's kernel does that by itself, so a module does.
"""

from . import selftest, selftest_runs

MODULE = "kernel_vectors"
PROGRAM = "riscv/vector_test"


def run(host, place, report, counter):
    """Let the kernel use vectors while guests do; fail if one notices it.

    Return what the module has counted by a parameter.
    """
    host.check(f"insmod /payload/{MODULE}.ko")
    program = selftest_runs.Run(PROGRAM)
    selftest.require(host, program,
                     *selftest.run_in(host, place, report, program))
    counted = int(host.check(f"cat /sys/module/{MODULE}/parameters/{counter}"))
    host.check(f"rmmod {MODULE}")
    return counted
