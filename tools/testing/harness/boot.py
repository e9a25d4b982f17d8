# SPDX-License-Identifier: GPL-2.0
"""Boot a host from given files: a kernel Image, a kvm.ko, programs.

Without --cmd a guest is booted in it.
"""

import argparse
import sys
from pathlib import Path

from workspace import image
from workspace.errors import Failure
from workspace.settings import BUILD, Settings

from . import guest
from .host import Files, Host, Machine


def main():
    settings = Settings.from_environment()
    parser = argparse.ArgumentParser(prog="harness.boot", description=__doc__)
    parser.add_argument("--image", type=Path, required=True,
                        help="the kernel, of the host and of the guest")
    parser.add_argument("--module", type=Path, required=True, help="kvm.ko")
    parser.add_argument("--program", type=Path, action="append", default=[],
                        help="a file to put into the host's /payload")
    parser.add_argument("--machine", default=settings.machine)
    parser.add_argument("--cpu", default=settings.cpu)
    parser.add_argument("--harts", type=int, default=settings.host_smp)
    parser.add_argument("--guest-smp", type=int, default=settings.smp)
    parser.add_argument("--append", default="",
                        help="for the kernel's command line")
    parser.add_argument("--guest-append", default="",
                        help="for the guest kernel's command line")
    parser.add_argument("--qemu", action="append", default=[],
                        help="one more argument for QEMU; may be repeated")
    parser.add_argument("--cmd", action="append", default=[],
                        help="run this in the host instead of a guest")
    parser.add_argument("--no-kvm", action="store_true",
                        help="do not load kvm.ko")
    parser.add_argument("--shell", action="store_true",
                        help="a shell on the host instead")
    parser.add_argument("--timeout", type=float, default=guest.TIMEOUT)
    parser.add_argument("--name", default="boot",
                        help="of the logs in build/logs")
    arguments = parser.parse_args()

    disk = image.prepare(settings.cache, BUILD / "logs/image.log")
    host = Host(
        arguments.name,
        Files(arguments.image, arguments.module, disk.image, disk.initramfs,
              tuple(arguments.program)),
        Machine(arguments.machine, arguments.cpu, arguments.harts,
                append=arguments.append, options=tuple(arguments.qemu)),
        settings.timeout_factor)
    if arguments.shell:
        host.shell()
        return 0
    status = 0
    with host:
        if not arguments.no_kvm:
            host.load_kvm()
            print(f"kvm.ko: {host.backend()} backend")
        for command in arguments.cmd:
            result = host.run(command, arguments.timeout)
            print(f"$ {command}\n{result.output}"
                  f"status {result.status}, {result.seconds:.2f} s")
            status = status or result.status
        if not arguments.cmd:
            started = guest.boot(host, arguments.guest_smp,
                                 append=arguments.guest_append,
                                 timeout=arguments.timeout)
            print(f"guest: up in {started.seconds:.1f} s, {started}")
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(str(failure))
