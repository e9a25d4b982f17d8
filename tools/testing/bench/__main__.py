# SPDX-License-Identifier: GPL-2.0
"""Compare the Rust backend with the C backend: exits, a guest's boot, size; and
what exits trap to a hypervisor below for, with SBI nested acceleration (NACL).

Without options both are built first. With --image-c, --module-c, --image-rust
and --module-rust, all four, the given files are measured as they are.
"""

import argparse
import contextlib
from pathlib import Path

from workspace import command, image, pins
from workspace.errors import Failure
from workspace.settings import BACKENDS, BUILD, LOGS, Settings
from workspace.workspace import prepared

RESULTS = BUILD / "bench"


@contextlib.contextmanager
def to_measure(settings, arguments):
    """{backend: the Files of a host}, for as long as they are needed."""
    given = {backend: (getattr(arguments, f"image_{backend}"),
                       getattr(arguments, f"module_{backend}"))
             for backend in BACKENDS}
    paths = [path for pair in given.values() for path in pair]
    if not any(paths):
        with prepared(settings, BACKENDS, with_firmware=True,
                      extra_packages=pins.BENCH_PACKAGES) as artifacts:
            built = {backend: (files.kernel, files.module)
                     for backend, files in artifacts.backends.items()}
            yield _hosts(built, artifacts.disk, artifacts.initramfs,
                         artifacts.firmware)
        return
    for path in paths:
        if not path or not path.is_file():
            raise Failure(f"{path or 'An image or a module'} is not there.",
                          "Give --image-c, --module-c, --image-rust and "
                          "--module-rust, or none of them.")
    disk = image.prepare(settings.cache, LOGS / "image.log",
                         settings.guest_qemu)
    yield _hosts(given, disk.image, disk.initramfs)


def _hosts(pairs, disk, initramfs, firmware=None):
    # The libraries that these stand on may just have been installed.
    from harness.host import Files

    from .measure import compile_programs

    programs = compile_programs(Path(__file__).parent, RESULTS)
    return {backend: Files(kernel, module, disk, initramfs, programs,
                           firmware=firmware)
            for backend, (kernel, module) in pairs.items()}


def compare(settings, arguments):
    with to_measure(settings, arguments) as hosts:
        from . import chart, measure, traps
        from .report import Comparison

        measured = {
            backend: measure.measure(backend, files, settings.cpu,
                                     settings.timeout_factor)
            for backend, files in sorted(hosts.items())}
        rows = []
        if hosts["rust"].firmware:
            rows = traps.measure(hosts, settings.cpu,
                                 settings.timeout_factor)
        comparison = Comparison.of(settings.cpu, measured["c"],
                                   measured["rust"], rows)
    comparison.write(RESULTS / "exit-cost.json")
    chart.draw(comparison, RESULTS / "exit-cost.svg")
    print(f"\n{comparison.table()}\n\n{comparison.verdict()}")
    if rows:
        print(f"\n{traps.table(rows)}\n")
    print(f"Written: {RESULTS}/exit-cost.json and exit-cost.svg")
    return 1 if comparison.too_dear or comparison.more_traps else 0


def main():
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    for backend in sorted(BACKENDS):
        parser.add_argument(f"--image-{backend}", type=Path,
                            help=f"the kernel to run the {backend} backend in")
        parser.add_argument(f"--module-{backend}", type=Path,
                            help=f"kvm.ko with the {backend} backend")
    arguments = parser.parse_args()
    command.run(lambda: compare(Settings.from_environment(), arguments))


if __name__ == "__main__":
    main()
