# SPDX-License-Identifier: GPL-2.0
"""What `make bench` makes of its numbers: when it fails, and what it shows."""

import json

import pytest

from bench import budget, measure, report, traps, upstream
from workspace.errors import Failure

PRINTED = """\
exit_cost cheap 5000 500 A cheap exit
exit_cost dear 16000 100 A dear exit, by turns
not_measured none No exit: the CPU has none
"""


def measured(cheap=5000, printed=PRINTED):
    printed = printed.replace("cheap 5000", f"cheap {cheap}")
    return measure.Measurements(
        measure.exit_cases(printed), measure.left_out(printed),
        guests=(measure.Guest("boot", "A guest", 1000, 50),), text_bytes=2048)


def comparison(cheap_under_rust):
    return report.Comparison.of("rv64", measured(), measured(cheap_under_rust))


def test_ticks_become_instructions():
    assert [case.instructions for case in measured().cases] == [1000, 16000]


@pytest.mark.parametrize("ticks, too_dear", ((2000, []), (2001, ["cheap"])))
def test_limit(ticks, too_dear, monkeypatch):
    monkeypatch.setitem(report.LIMITS, "cheap", 0.40)
    pairs = comparison(ticks).too_dear
    assert [pair.name for pair in pairs] == too_dear


@pytest.mark.parametrize("name, stock, limit", (
    ("sbi_call", "", report.FAST), ("sbi_call", "stock", report.FAST_ON_STOCK),
    ("other_ipi", "stock", report.TO_OTHERS), ("boot", "", report.LIMIT)))
def test_limit_of_a_kernel(name, stock, limit):
    assert report.limit_of(name, stock) == limit


def test_what_is_not_measured_is_named(tmp_path):
    shown = comparison(5000)
    assert "Not measured: No exit (the CPU has none)" in shown.table()
    shown.write(tmp_path / "costs.json")
    data = json.loads((tmp_path / "costs.json").read_text(encoding="utf-8"))
    assert data["not_measured"] == {"none": "the CPU has none"}


def test_both_backends_have_the_same_cases():
    printed = PRINTED.replace("exit_cost dear 16000 100 A dear exit, by turns",
                              "not_measured dear A dear exit: no reason")
    with pytest.raises(Failure, match="alone .*: dear"):
        report.Comparison.of("rv64", measured(), measured(printed=printed))


def trapped(calls=1.0, csrs=0.0):
    return [measure.Traps("exit", "An exit", calls, csrs, 0.0)]


def test_traps_are_read():
    found = measure.exit_traps("exit_traps mmio 200 50 -1 100 A store\n")
    assert found == (measure.Traps("mmio", "A store", 2.0, 0.5, -0.01),)


def test_more_traps_than_c_are_told():
    rows = [*traps.pair("all", trapped(csrs=1.0), trapped()),
            *traps.pair("sync_sret", trapped(), trapped(csrs=2.0))]
    assert [row.above for row in rows] == [["csrs"], []]
    assert "NACL all: more csrs than C" in traps.table(rows)


def test_traps_are_no_more_where_c_forgets_some():
    rows = traps.pair("sync_csr", trapped(calls=2.0), ())
    rows += traps.pair("none", trapped(calls=2.0), trapped())
    assert not any(row.above for row in rows)


ENTRY = budget.KERNEL + 0x1000
CODE = budget.Code(
    [ENTRY, ENTRY + 0x100, ENTRY + 0x200, ENTRY + 0x300],
    [f"kvm:{budget.SWITCH}", "kvm:_R3run4stay4stay",
     "kvm:_RNvNtCs1_9kvm_riscv3run", "memset"],
    {ENTRY: "sd", ENTRY + 4: "csrrw", ENTRY + 8: "la", ENTRY + 0x100: "nop",
     ENTRY + 0x104: "csrr", ENTRY + 0x108: "addi"})


@pytest.mark.parametrize("pc, group", (
    (0x80000000, budget.GUEST),
    (ENTRY, budget.REGISTERS),
    (ENTRY + 4, budget.CSRS),
    (ENTRY + 8, budget.SWITCH_REST),
    (ENTRY + 0x100, budget.KEYS),
    (ENTRY + 0x104, budget.HART_CSRS),
    (ENTRY + 0x108, budget.STAY),
    (ENTRY + 0x210, budget.BACKEND),
    (ENTRY + 0x310, budget.KERNEL_REST),
))
def test_what_an_instruction_is_for(pc, group):
    assert CODE.group(pc) == group


def test_exits_that_were_interrupted_do_not_count():
    exit_ = [ENTRY, 0x80000000, ENTRY + 0x100]
    interrupted = [*exit_, ENTRY + 0x310]
    runs = budget.exits([1, *exit_, *exit_, *interrupted, *exit_, ENTRY], ENTRY)
    assert len(runs) == 4
    groups, functions = budget.spent(CODE, budget.most_frequent(runs))
    assert groups[budget.KERNEL_REST] == 0
    assert sum(groups.values()) == 3
    assert "memset" not in functions


def test_a_log_without_exits_is_a_failure():
    with pytest.raises(Failure, match="no exit"):
        budget.most_frequent(budget.exits([1, 2, 3], ENTRY))



def test_locks_are_counted():
    names = ["kvm:fault", *budget.LOCKS.values(), "next"]
    code = budget.Code([ENTRY, ENTRY + 8, ENTRY + 16, ENTRY + 24], names, {})
    runs = [[ENTRY, ENTRY + 8, ENTRY + 12, ENTRY + 16], [ENTRY, ENTRY + 8]]
    found = budget.locked(code, runs)
    assert found == {"for writing": 1000, "for reading": 500}
    rows = budget.table_of_locks({("fault_4k", "c"): found}).splitlines()
    assert rows[0].split()[-4:] == ["for", "writing", "for", "reading"]
    assert rows[2].split() == ["fault_4k", "c", "1000", "500"]
    assert len(rows[2]) == len(rows[0])


def test_figures_of_upstream_are_found():
    printed = ("Populate memory time: 0.012345678s\n"
               "Iteration 1 dirty memory time: 1.000000000s\n"
               "Populating memory             : 0.500000000s\n"
               "Test iterations: 2\nOverall demand paging rate:\t3.5 pgs/sec\n"
               "Get dirty log over 2 iterations took 0.1s. (Avg 0.05s/iteration)\n")
    found = upstream.figures(printed)
    assert found == {"Populate memory": 12345.678,
                     "Iteration 1 dirty memory": 1000000.0,
                     "Populating memory": 500000.0}
    half = {name: count / 2 for name, count in found.items()}
    rows = upstream.pairs({"c": {"run": found}, "rust": {"run": half}})
    assert all(row.ratio == 0.5 for row in rows)
    assert upstream.table(rows).count(" 0.50") == 3


def test_exits_are_found_in_windows():
    places = {f"kvm:{budget.SWITCH}": ENTRY}
    run = [ENTRY, ENTRY + 8]
    seen = iter([[1], [1, *run, *run, ENTRY], [2, *run, ENTRY]])
    assert budget.executed(seen, places) == [run, run, run]
