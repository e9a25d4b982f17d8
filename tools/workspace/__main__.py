# SPDX-License-Identifier: GPL-2.0
"""What the targets of the Makefile do."""

import sys

from . import build, disassembly, lint, process, stats, tests
from .errors import Failure
from .settings import BUILD, Settings
from .steps import lock, remove, say
from .workspace import Workspace, prepared


# What the cache holds.
BUILT = ("linux", "image", "run")
DOWNLOADED = ("apt", "bindgen", "downloads")


def run(settings):
    with prepared(settings, [settings.backend]) as artifacts:
        from harness import guest

        host = _host("run", settings, artifacts)
        nacl = f", NACL {settings.nacl}" if settings.nacl else ""
        say("run", f"booting the host: {settings.machine}, {settings.cpu}, "
                   f"{settings.host_smp} harts{nacl}")
        with host:
            host.load_kvm()
            backend = guest.require_backend(host, settings.backend)
            say("run", f"kvm.ko ({backend}) is loaded; starting the guest")
            started = guest.boot(host, settings.smp)
        print(f"guest: up in {started.seconds:.1f} s "
              f"under kvm.ko ({backend}), {started}")


def shell(settings):
    with prepared(settings, [settings.backend]) as artifacts:
        host = _host("shell", settings, artifacts)
        say("shell", f"the host's kernel log is {host.kernel_log}")
        host.shell()


def test(settings):
    sys.exit(tests.run(settings))


def tree(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        print(workspace.tree().path)


def rust_analyzer(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        builder = workspace.builder("rust")
        kernel = builder.kernel()
        print(build.analyzer_file(builder, kernel))


def stats_(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        stats.show(workspace.builder("rust").kernel())


def disassemble(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        disassembly.show(workspace.builder("rust").kernel(),
                         workspace.toolchain().llvm)


def lint_(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        lint.run(workspace)


def logic(settings):
    sys.exit(tests.logic_alone(settings))


def clean(settings):
    """Remove what can be made again from what was downloaded."""
    with lock(settings.cache / "lock"):
        for name in BUILT:
            remove(settings.cache / name)
        remove(BUILD)
    print(f"Kept: downloads in {settings.cache}. "
          "`make distclean` removes them.")


def distclean(settings):
    with lock(settings.cache / "lock"):
        # By name: CACHE= may point at a directory that holds other things.
        for name in (*BUILT, *DOWNLOADED):
            remove(settings.cache / name)
        remove(BUILD)


COMMANDS = {
    "run": run, "test": test, "shell": shell, "tree": tree, "logic": logic,
    "rust-analyzer": rust_analyzer, "stats": stats_, "lint": lint_,
    "disassemble": disassemble,
    "clean": clean, "distclean": distclean,
}


def _host(name, settings, artifacts):
    # The libraries that the harness stands on may just have been installed.
    from harness.host import Files, Host, Machine

    built = artifacts.backends[settings.backend]
    return Host(name,
                Files.of(artifacts, built),
                Machine(settings.machine, settings.cpu, settings.host_smp,
                        nacl=settings.nacl),
                settings.timeout_factor)


def main():
    process.raise_on_signals()
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in COMMANDS:
        sys.exit(f"usage: workspace {'|'.join(COMMANDS)}")
    try:
        COMMANDS[name](Settings.from_environment())
    except Failure as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; the next run goes on from here.")


if __name__ == "__main__":
    main()
