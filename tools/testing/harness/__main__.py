# SPDX-License-Identifier: GPL-2.0
"""What the targets of the Makefile do that boot a host, or test."""

from workspace import command
from workspace.steps import say
from workspace.workspace import prepared, prepared_stock

from . import mutants, tests


def _prepared(settings):
    if settings.for_module:
        return prepared_stock(settings)
    return prepared(settings, [settings.backend])


def run(settings):
    with _prepared(settings) as artifacts:
        # As in _host().
        from . import guest

        host = _host("run", settings, artifacts)
        nacl = f", NACL {settings.nacl}" if settings.nacl else ""
        say("run", f"booting the host: {settings.machine}, {settings.cpu}, "
                   f"{settings.host_smp} harts{nacl}")
        with host:
            host.load_kvm()
            backend = guest.require_backend(host, settings.backend)
            say("run", f"kvm.ko ({backend}) is loaded; starting the guest")
            started = guest.boot(host, settings.smp,
                                 machine=settings.guest_machine)
        print(f"guest: up in {started.seconds:.1f} s "
              f"under kvm.ko ({backend}), {started}")


def shell(settings):
    with _prepared(settings) as artifacts:
        host = _host("shell", settings, artifacts)
        say("shell", f"the host's kernel log is {host.kernel_log}")
        host.shell()


def _host(name, settings, artifacts):
    # The libraries that a host stands on may just have been installed.
    from .host import Files, Host, Machine

    built = artifacts.backends[settings.backend]
    return Host(name,
                Files.of(artifacts, built),
                Machine(settings.machine, settings.cpu, settings.host_smp,
                        nacl=settings.nacl),
                settings.timeout_factor)


VERBS = {"run": run, "shell": shell, "test": tests.run,
         "logic": tests.logic_alone, "mutants": mutants.run}

if __name__ == "__main__":
    command.choose("harness", VERBS)
