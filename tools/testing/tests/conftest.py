# SPDX-License-Identifier: GPL-2.0
"""What the tests are given, and what they are run on."""

import pytest

from harness import guest_devices, selftest_runs, slots
from harness.report import PHASES, Report
from harness.verdicts import Verdicts
from workspace.settings import CPUS

# How pytest's own reason to skip a test begins that has no parameters.
NOWHERE = "got empty parameter set"


def is_sampled(metafunc):
    """Whether a test needs no other backend than a sample has."""
    return metafunc.definition.get_closest_marker("rust_sample")


def configurations(metafunc):
    """What a test is run on, unless the test itself says it."""
    report = Report.of(metafunc.config)
    marker = metafunc.definition.get_closest_marker("cpus")
    everywhere = not marker or report.settings.full
    chosen = slots.on(report, CPUS if everywhere else marker.args)
    if is_sampled(metafunc):
        chosen = slots.sample(report, chosen)
    if metafunc.definition.get_closest_marker("stock") and \
            report.artifacts.stock:
        chosen += slots.on_stock()
    return chosen


def pytest_generate_tests(metafunc):
    report = Report.of(metafunc.config)
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", slots.sampled_backends(report)
                             if is_sampled(metafunc)
                             else sorted(report.artifacts.backends))
    # A module that chooses what to run, and where, parametrizes by that itself.
    if hasattr(metafunc.module, "pytest_generate_tests"):
        return
    if "run" in metafunc.fixturenames:
        slots.parametrize_runs(metafunc, [
            (chosen, run) for chosen in configurations(metafunc)
            for run in selftest_runs.of_all(report.artifacts.programs)
            if run.is_for(chosen[1], report.settings.full)
            and run.name not in selftest_runs.OBSERVED])
    elif "slot" in metafunc.fixturenames:
        slots.parametrize(metafunc, configurations(metafunc))


@pytest.fixture(scope="session")
def report(request):
    return Report.of(request.config)


@pytest.fixture
def verdicts(report):
    """What the selftests say, filled while they are run."""
    return Verdicts(report.table("verdicts"))


@pytest.fixture
def interfaces(report):
    """{what: {backend: text}}: what tools see, filled from host to host."""
    return report.table("interfaces")


@pytest.fixture
def answers(report):
    """{CPU: {backend: {question: answer}}}: what user space is told."""
    return report.table("answers")


@pytest.fixture(scope="session")
def slot(request, report):
    slot = slots.Slot(report, *request.param)
    yield slot
    slot.drop()


@pytest.fixture
def host(request, slot):
    """A host with kvm.ko loaded; a failed test's host is not used again."""
    marker = request.node.get_closest_marker("memory")
    yield slot.booted(*marker.args if marker else ())
    call = request.node.stash.get(PHASES, {}).get("call")
    if call is None or call.failed:
        slot.discard()


@pytest.fixture
def disk(host, slot):
    """An empty file system on the guest's disk, and where the host mounts it."""
    yield from guest_devices.file_system(host, slot)


@pytest.fixture
def served(host, slot):
    """A file that the host serves, of which this is the checksum."""
    yield from guest_devices.served_file(host, slot)


def has_nowhere_to_run(item):
    """Whether a test is for none of the chosen configurations.

    pytest makes one test of an empty list of parameters, and has it skipped.
    """
    return any(marker.kwargs.get("reason", "").startswith(NOWHERE)
               for marker in item.iter_markers("skip"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """What needs no host comes first, what judges other results last."""
    nowhere = [item for item in items if has_nowhere_to_run(item)]
    config.hook.pytest_deselected(items=nowhere)
    items[:] = [item for item in items if item not in nowhere]
    places = {}

    def place(item):
        """Where tests share a host, they come one after another."""
        chosen = getattr(item, "callspec", None) and \
            item.callspec.params.get("slot")
        return places.setdefault(chosen, len(places)) if chosen else -1

    def memory(item):
        """A slot boots once for each memory, first of all for the usual one."""
        marker = item.get_closest_marker("memory")
        return marker.args if marker else ()

    items.sort(key=lambda item: (bool(item.get_closest_marker("judges")),
                                 "slot" in item.fixturenames, place(item),
                                 memory(item)))
