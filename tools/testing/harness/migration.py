# SPDX-License-Identifier: GPL-2.0
"""Guests moved to a file and to another QEMU, by QEMU's own means."""

import re
import time
from dataclasses import dataclass

from .agent import TimedOut

TIMEOUT = 120
SOCKET = "unix:/tmp/migration"
# In bytes a second, for the first pass over memory, the next ones and the last.
# A pass over what is still dirty has to take a while, in which the guest, on a
# busy machine too, dirties more: at SLOW, 16 ms for each page.
FIRST = 4 << 20
SLOW = 256 << 10
FAST = 1 << 40
# In milliseconds: one that no guest under load can keep, and one that any can. With
# 0, QEMU does not look for dirty pages before it decides that none is left.
NEVER = 1
ALWAYS = 10000
ENDED = ("cancelled", "completed", "failed")
# Where the upper half of the address space begins.
KERNEL = 1 << 63
# Where a guest's memory begins, on QEMU's virt machine.
MEMORY = 0x80000000
PAGE = 4096
# Stale pages after which no more are counted.
ENOUGH = 1000


@dataclass(frozen=True)
class Moved:
    """A guest that has arrived, and does not run yet."""

    # How often QEMU asked KVM which pages are dirty.
    passes: int
    # How many pages of memory differ from those where the guest left.
    stale: int


def is_whole(host):
    """Whether the host's QEMU hands over all that a vCPU is. That of 10.0 leaves
    out the privilege mode, and which harts are started.
    """
    text = host.check("qemu-system-riscv64 --version")
    return int(re.search(r"version (\d+)", text).group(1)) > 10


def has_dirty_ring(vm):
    """Whether QEMU has mapped the dirty ring of the first vCPU where KVM has it.

    QEMU 10.0 does not know where that is on RISC-V (its copy of the uapi has no
    KVM_DIRTY_LOG_PAGE_OFFSET), maps other pages, and never finds out what the
    guest writes.
    """
    ring = r" 0*40000 .* anon_inode:kvm-vcpu:0$"
    return vm.host.run(f"grep -Eq '{ring}' /proc/{vm.pid}/maps").status == 0


def save(vm, path):
    """Write a guest to a file of the host. Return what its kernel has said."""
    _pause(vm)
    vm.qmp.execute("migrate", {"uri": f"file:{path}"})
    _await_status(vm, "completed")
    return vm.hand_over()


def restore(vm, path, said):
    """Go on with a guest that was saved, in a QEMU that awaits one."""
    vm.take_over(said)
    vm.qmp.execute("migrate-incoming", {"uri": f"file:{path}"})
    _await_status(vm, "completed")
    resume(vm)


def live(source, target, passes: int) -> Moved:
    """Move a guest after that many passes over its memory, during which it runs,
    or fewer if QEMU finds next to nothing dirty.
    """
    _begin(source, target)
    if _more_passes(source, passes)["status"] != "completed":
        _pause(source)
        _set(source, FAST, ALWAYS)
    status = _await_status(source, "completed")
    _await_status(target, "completed")
    target.take_over(source.hand_over())
    return Moved(status["ram"]["dirty-sync-count"],
                 _stale_pages(source, target))


def postcopy(source, target):
    """Move a guest that has its memory still to come: a page arrives when the guest
    faults on it, by userfaultfd, or at leisure. follow() has to come after it.
    """
    for vm in (source, target):
        vm.qmp.execute("migrate-set-capabilities", {"capabilities": [
            {"capability": "postcopy-ram", "state": True}]})
    _pause(source)
    _set(source, SLOW, NEVER)
    source.qmp.execute("migrate-set-parameters",
                       {"max-postcopy-bandwidth": SLOW})
    target.qmp.execute("migrate-incoming", {"uri": SOCKET})
    source.qmp.execute("migrate", {"uri": SOCKET})
    _await_status(source, "active")
    source.qmp.execute("migrate-start-postcopy")
    _await_status(source, "postcopy-active")
    target.take_over(source.hand_over())
    resume(target)


def follow(source, target):
    """Send the rest of a guest that runs already, if any. Return how often it has
    waited for a page.
    """
    source.qmp.execute("migrate-set-parameters",
                       {"max-postcopy-bandwidth": FAST})
    status = _await_status(source, "completed")
    _await_status(target, "completed")
    return status["ram"]["postcopy-requests"]


def resume(target):
    """Let a guest run that has arrived."""
    target.qmp.execute("cont")


def _stale_pages(source, target):
    """Compare a guest's memory at both ends, where nothing runs."""
    size = source.qmp.execute("query-memory-size-summary")["base-memory"]
    paths = [f"/tmp/{vm.name}.memory" for vm in (source, target)]
    for vm, path in zip((source, target), paths):
        vm.qmp.execute("pmemsave",
                       {"val": MEMORY, "size": size, "filename": path})
    stale = source.host.check(
        f"cmp -l {' '.join(paths)} | "
        f"awk '{{ print int(($1 - 1) / {PAGE}) }}' | uniq | "
        f"head -n {ENOUGH} | wc -l", TIMEOUT)
    source.host.check(f"rm {' '.join(paths)}")
    return int(stale)


def _pause(vm):
    """Stop a guest; while it is in its kernel, where its mode gets lost: then
    what has been saved in U-mode goes on in S-mode, and does not get far.
    """
    anywhere = is_whole(vm.host)
    deadline = time.monotonic() + TIMEOUT * vm.timeout_factor
    while True:
        vm.qmp.execute("stop")
        if anywhere or _is_in_kernel(vm):
            return
        if time.monotonic() > deadline:
            raise vm.failure("The guest has never been found in its kernel",
                             TimedOut)
        vm.qmp.execute("cont")
        time.sleep(0.05)


def _is_in_kernel(vm):
    text = vm.qmp.execute("human-monitor-command", {
        "command-line": "info registers"})
    return int(re.search(r"\bpc +([0-9a-f]+)", text).group(1), 16) >= KERNEL


def cancel(source, target):
    """Begin to move a guest, and think better of it."""
    _begin(source, target)
    if _more_passes(source, 3)["status"] == "completed":
        raise source.failure("Migration: it was over before it was cancelled")
    source.qmp.execute("migrate_cancel")
    _await_status(source, "cancelled")


def _begin(source, target):
    _set(source, FIRST, NEVER)
    target.qmp.execute("migrate-incoming", {"uri": SOCKET})
    source.qmp.execute("migrate", {"uri": SOCKET})


def _set(vm, bandwidth, downtime):
    vm.qmp.execute("migrate-set-parameters", {
        "max-bandwidth": bandwidth, "downtime-limit": downtime})


def _more_passes(source, passes):
    _await_passes(source, 2)
    _set(source, SLOW, NEVER)
    return _await_passes(source, passes)


def _await_passes(vm, passes):
    return _await(vm, f"{passes} passes",
                  lambda status: status.get("status") == "completed" or
                  status.get("ram", {}).get("dirty-sync-count", 0) >= passes)


def _await_status(vm, wanted):
    return _await(vm, f"status {wanted}",
                  lambda status: status.get("status") == wanted)


def _await(vm, what, reached):
    deadline = time.monotonic() + TIMEOUT * vm.timeout_factor
    while True:
        status = vm.qmp.execute("query-migrate")
        if reached(status):
            return status
        if status.get("status") in ENDED:
            raise vm.failure(f"Migration: no {what}, it has {status['status']}"
                             f": {status.get('error-desc', 'no error')}")
        if time.monotonic() > deadline:
            raise vm.failure(f"Migration: no {what} within {TIMEOUT} s",
                             TimedOut)
        time.sleep(0.1)
