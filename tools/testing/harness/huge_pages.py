# SPDX-License-Identifier: GPL-2.0
"""Whether the host makes huge pages of small ones by itself."""

import contextlib
import time

HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage"
# What hosts are configured with.
DEFAULT = "always"
# How khugepaged, which makes huge pages of small ones, is set while it is waited
# for, and by default.
EAGER = {"pages_to_scan": 32768, "scan_sleep_millisecs": 10,
         "alloc_sleep_millisecs": 100}
AT_EASE = {"pages_to_scan": 4096, "scan_sleep_millisecs": 10000,
           "alloc_sleep_millisecs": 60000}
TIMEOUT = 60
INTERVAL = 0.5


@contextlib.contextmanager
def transparent(host, enabled):
    """Memory that is mapped in the block is in huge pages "always" or "never".

    After a failure, the setting stays: the host is not used again, and a command
    that fails as well, in a host that hangs, would hide the reason.
    """
    host.check(f"echo {enabled} >{HUGE_PAGES}/enabled")
    yield
    host.check(f"echo {DEFAULT} >{HUGE_PAGES}/enabled")


def gather(vm, mapped, least):
    """Wait until that much of a guest's memory, in KiB, is in huge pages, by the
    function `mapped`.

    Where no huge page is free when memory is first used, it is in small ones.
    """
    host = vm.host
    deadline = time.monotonic() + TIMEOUT * host.timeout_factor
    _tune(host, EAGER)
    while (found := mapped(vm)) < least:
        if time.monotonic() > deadline:
            host.run("grep -E '^(thp|compact)_' /proc/vmstat; cat "
                     "/proc/buddyinfo /proc/meminfo")
            raise vm.failure(f"{found} KiB of the guest's memory are in huge "
                             f"pages, and not {least}")
        # What is free may be in pieces.
        host.check("echo 1 >/proc/sys/vm/compact_memory")
        time.sleep(INTERVAL)
    _tune(host, AT_EASE)


def _tune(host, values):
    for name, value in values.items():
        host.check(f"echo {value} >{HUGE_PAGES}/khugepaged/{name}")
