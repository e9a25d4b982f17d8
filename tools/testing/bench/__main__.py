# SPDX-License-Identifier: GPL-2.0
"""Compare the Rust backend with the C backend: exits, a guest's boot, size; and
what exits trap to a hypervisor below for, with SBI nested acceleration (NACL).
On a kernel of a distribution (KERNEL=stock): exits and size, against its own
module.

Without options both are built first. With --image-c, --module-c, --image-rust
and --module-rust, all four, the given files are measured as they are.
"""

import argparse
import contextlib
import dataclasses
from pathlib import Path

from workspace import command, image, pins
from workspace.errors import Failure
from workspace.settings import BACKENDS, BUILD, LOGS, Settings
from workspace.workspace import prepared, prepared_stock

RESULTS = BUILD / "bench"


@contextlib.contextmanager
def to_measure(settings, arguments):
    """{backend: the Files of a host}, for as long as they are needed."""
    given = {backend: (getattr(arguments, f"image_{backend}"),
                       getattr(arguments, f"module_{backend}"))
             for backend in BACKENDS}
    paths = [path for pair in given.values() for path in pair]
    if not any(paths):
        with _prepared(settings) as artifacts:
            # The libraries that this stands on may just have been installed.
            from harness.host import Files

            programs = _programs()
            yield {backend: dataclasses.replace(Files.of(artifacts, files),
                                                programs=programs)
                   for backend, files in artifacts.backends.items()}
        return
    for path in paths:
        if not path or not path.is_file():
            raise Failure(f"{path or 'An image or a module'} is not there.",
                          "Give --image-c, --module-c, --image-rust and "
                          "--module-rust, or none of them.")
    disk = image.prepare(settings.cache, LOGS / "image.log",
                         settings.guest_qemu)
    # As above.
    from harness.host import Files

    programs = _programs()
    yield {backend: Files(kernel, module, disk.image, disk.initramfs, programs)
           for backend, (kernel, module) in given.items()}


def _prepared(settings):
    if settings.for_module:
        return prepared_stock(settings, extra_packages=pins.BENCH_PACKAGES)
    return prepared(settings, BACKENDS, with_firmware=True,
                    extra_packages=pins.BENCH_PACKAGES)


def _programs():
    # As above.
    from .measure import compile_programs

    return compile_programs(Path(__file__).parent, RESULTS)


def compare(settings, arguments):
    with to_measure(settings, arguments) as hosts:
        from . import chart, measure, traps
        from .report import Comparison

        stock = settings.kernel if settings.for_module else ""
        measured = {
            backend: measure.measure(backend, files, settings.cpu,
                                     settings.timeout_factor, bool(stock))
            for backend, files in sorted(hosts.items())}
        rows = []
        if hosts["rust"].firmware:
            rows = traps.measure(hosts, settings.cpu,
                                 settings.timeout_factor)
        comparison = Comparison.of(settings.cpu, measured["c"],
                                   measured["rust"], rows, stock)
    name = f"exit-cost-{stock}" if stock else "exit-cost"
    comparison.write(RESULTS / f"{name}.json")
    chart.draw(comparison, RESULTS / f"{name}.svg")
    print(f"\n{comparison.table()}\n\n{comparison.verdict()}")
    if rows:
        print(f"\n{traps.table(rows)}\n")
    print(f"Written: {RESULTS}/{name}.json and {name}.svg")
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
