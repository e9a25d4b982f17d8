# SPDX-License-Identifier: GPL-2.0
"""How selftests are chosen, and what is made of what they say."""

from types import SimpleNamespace

import pytest

from harness import interface, selftest, selftest_runs, verdicts
from harness.exceptions import (
    DIFFERS,
    SKIPS,
    Differs,
    Skip,
    complaints,
    read,
)
from workspace.errors import Failure


class TestSelftestRuns:
    def read(self, directory, text):
        table = directory / "table.toml"
        table.write_text(text)
        return selftest_runs.read(table)

    def test_arguments(self, tmp_path):
        found = self.read(tmp_path, (
            '[[run]]\nprogram = "a"\noptions = "-u X"\nshort = "-b 1"\n'
            '[[run]]\nprogram = "a"\nshort = "-b 1"\nfull = "-b 9"\n'
            '[[left_out]]\nprogram = "b"\nwhy = "c"\n'))
        assert [(run.name, run.arguments(False), run.arguments(True))
                for run in found.runs] == \
            [("a -u X", "-u X -b 1", "-u X"), ("a", "-b 1", "-b 9")]
        assert found.programs == ("a",)
        assert found.known == {"a", "b"}

    def test_cpus_that_are_enough(self, tmp_path):
        some, every = self.read(tmp_path, (
            '[[run]]\nprogram = "a"\ncpus = ["rv64"]\n'
            '[[run]]\nprogram = "b"\n')).runs
        assert [some.is_for(cpu, False) for cpu in ("rv64", "max")] == \
            [True, False]
        assert some.is_for("max", True) and every.is_for("max", False)

    @pytest.mark.parametrize("text, complaint", (
        ('[[run]]\nprogram = "a"\nlonger = "-b 1"', "run 1: unknown longer"),
        ('[[run]]\nshort = "-b 1"', "run 1: .*program"),
        ('[[left_out]]\nprogram = "a"', "left_out 1: .*why"),
        ('[[runs]]\nprogram = "a"', "unknown runs"),
        ('[[run]]\nprogram = "a"\n' * 2, "a is there more than once"),
    ))
    def test_bad_tables_are_refused(self, tmp_path, text, complaint):
        with pytest.raises(Failure, match=complaint):
            self.read(tmp_path, text)

    def test_a_name_of_no_program_is_refused(self):
        names = ("riscv/mmu_slots_test", "riscv/mmu_faults_test", "a -u X")
        assert selftest_runs.matching(("riscv/mmu_*", "a -u X"), names) == \
            set(names)
        assert selftest_runs.matching(("*_slots_test",), names) == {names[0]}
        with pytest.raises(Failure, match=r"called b, riscv/x\*\."):
            selftest_runs.matching(("a*", "b", "riscv/x*"), names)


class TestVerdicts:
    ASSERTION = "==== Test Assertion Failure ====\n"
    MISSING = "  b: There are 1 missing registers; 0 registers failed get\n"
    RUNS = (selftest_runs.Run("one"), selftest_runs.Run("two", parts=("a",)))

    @pytest.mark.parametrize("status, output, what", (
        (0, "Random seed: 1\n", "pass"),
        (4, "1..0 # SKIP - no irqchip\n", "skip"),
        (0, "Log mode 'dirty-ring' not supported, skipping test\n", "skip"),
        (0, "1..1\nok 1 a.b # SKIP none\n", "skip"),
        (0, "1..2\nok 1 a.b # SKIP none\nok 2 a.c\n", "pass"),
        # A program of upstream prints less than it has planned, or more.
        (0, "1..2\nok 1 vm0\n", "pass"),
        (0, "1..2\nok 1 a\nnot ok 2 b\n", "fail"),
        (4, "1..2\nok 1 a\nnot ok 2 b\n", "fail"),
        (254, ASSERTION, "fail"),
        (4, f"{ASSERTION}Access denied - Exiting, skipping test\n", "fail"),
        (0, ASSERTION, "fail"),
        (139, "Segmentation fault\n", "fail"),
    ))
    def test_programs(self, status, output, what):
        assert verdicts.judge(status, output).what == what

    @pytest.mark.parametrize("rest, where", (
        ("", ""),
        ("  riscv/a_test.c:7: a > b\n  pid=1 tid=1 errno=0 - Success\n"
         "     1\t0x0000000000012345: ?? ??:0\n"
         "     2\t0x0000000000012346: ?? ??:0\n"
         "  1 ns, not 2 ns\n  and more\nnot ok 1 a.b\n",
         " at riscv/a_test.c:7: 1 ns, not 2 ns"),
        ("  a_test.c:7: a\n  pid=1 tid=1 errno=4 - Interrupted system call\n"
         "  (stack trace empty)\n  said\n", " at a_test.c:7: said"),
        ("  a_test.c:7: a\n  pid=1 tid=1 errno=0 - Success\nnot ok 1 a.b\n",
         " at a_test.c:7"),
    ))
    def test_an_assertion_says_where_and_why(self, rest, where):
        assert verdicts.judge(0, self.ASSERTION + rest).reason == \
            f"an assertion failed{where}"

    @pytest.mark.parametrize("status, output, what", (
        (0, "", "fail"),
        (0, "Random seed: 1\n", "fail"),
        (0, "TAP version 13\n1..0\n", "fail"),
        (0, "1..2\nok 1 a.b\n", "fail"),
        (0, "1..1\nok 1 a.b\nok 2 a.c\n", "fail"),
        (4, "", "fail"),
        (0, "1..1\nok 1 a.b # SKIP none\n", "skip"),
        (0, "1..2\nok 1 a.b # SKIP none\nok 2 a.c\n", "pass"),
        (0, "1..1\nok 1 a.b # XFAIL not yet\n", "skip"),
    ))
    def test_programs_of_the_project(self, status, output, what):
        assert verdicts.judge(status, output, ours=True).what == what

    def test_cases(self):
        found = verdicts.judge(1, "1..4\nok 1 a.b\n# a comment\nok 2 a.v.c\n"
                               "ok 3 a.d # SKIP the C backend hangs # 1\n"
                               "not ok 4 a.e\n", ours=True)
        assert found.parts == {
            "a.b": verdicts.Verdict("pass"), "a.v.c": verdicts.Verdict("pass"),
            "a.d": verdicts.Verdict("skip", "the C backend hangs # 1"),
            "a.e": verdicts.Verdict("fail")}

    @pytest.mark.parametrize("status, output, what", (
        (0, "a: PASS\n1..0 # SKIP - b not available\n", "pass"),
        (0, "1..0 # SKIP - a not available, skipping tests\n", "fail"),
        (0, "", "fail"),
        (1, "a: PASS\n", "fail"),
        (1, f"a: PASS\n{ASSERTION}  no part\n", "fail"),
        (1, f"a: PASS\n{ASSERTION}{MISSING}", "fail"),
    ))
    def test_programs_in_parts(self, status, output, what):
        assert verdicts.judge(status, output, in_parts=True).what == what

    @pytest.mark.parametrize("required, what, reason", (
        (("a",), "pass", ""),
        (("a", "b", "c"), "fail", "of its parts, b, c did not run"),
    ))
    def test_a_part_that_is_required_has_to_run(self, required, what, reason):
        found = verdicts.judge(
            0, "a: PASS\n1..0 # SKIP - b not available, skipping tests\n",
            in_parts=True, required=required)
        assert (found.what, found.reason) == (what, reason)

    def test_a_part_that_is_an_exception_fails_alone(self):
        found = verdicts.judge(1, f"a: PASS\n{self.ASSERTION}{self.MISSING}",
                               in_parts=True, excepted=("b",))
        assert (found.what, found.parts) == \
            ("pass", {"a": verdicts.Verdict("pass"),
                      "b": verdicts.Verdict("fail")})

    def filled(self, c, rust, c_parts=(), rust_parts=()):
        found = verdicts.Verdicts()
        for cpu in ("rv64", "max"):
            for name, what, parts in (("c", c, c_parts),
                                      ("rust", rust, rust_parts)):
                found.keep(cpu, self.RUNS[0], name, verdicts.Verdict(what))
                found.keep(cpu, self.RUNS[1], name, verdicts.Verdict(
                    "pass", parts=dict.fromkeys(parts,
                                                verdicts.Verdict("pass"))))
        return found

    def different(self, found, *exceptions):
        return [row.title for row in
                found.different(("c", "rust"), exceptions)]

    def needless(self, found, *exceptions):
        return [part for _, part in found.needless(
            ("c", "rust"), ("rv64", "max"), exceptions)]

    def test_what_says_the_same_does_not_differ(self):
        assert not self.different(self.filled("skip", "skip", "ab", "ab"))

    def test_what_differs_is_found_unless_it_is_an_exception(self):
        found = self.filled("pass", "skip", "ab", "a")
        assert self.different(found) == ["one", "two: b"] * 2
        assert self.different(found, Differs("one", "")) == ["two: b"] * 2
        assert self.different(found, Differs("two", "", ("b",))) == \
            ["one"] * 2
        assert self.different(found, Differs("two", "")) == \
            ["one", "two: b"] * 2

    def test_a_backend_that_said_nothing_differs(self):
        found = verdicts.Verdicts()
        found.keep("rv64", self.RUNS[0], "c", verdicts.Verdict("pass"))
        assert self.different(found) == ["one"]

    @pytest.mark.parametrize("c, rust, different", (
        ("pass", "pass", []),
        ("pass", "skip", ["one: a"]),
        ("skip", "pass", ["one: a"]),
        ("the C backend hangs", "pass", []),
        ("the C backend hangs", "fail", ["one: a"]),
        ("pass", "the C backend hangs", ["one: a"]),
    ))
    def test_cases_are_compared(self, c, rust, different):
        found = verdicts.Verdicts()
        for backend, said in ("c", c), ("rust", rust):
            case = verdicts.Verdict(said) if " " not in said else \
                verdicts.Verdict("skip", said)
            # The program's own verdict is that of its only case.
            found.keep("rv64", self.RUNS[0], backend,
                       verdicts.Verdict(case.what, "", {"a": case}))
        assert [title for title in self.different(found)
                if ":" in title] == different

    def test_a_skip_that_is_listed_is_no_difference(self):
        found = verdicts.Verdicts()
        for backend, what in ("c", "pass"), ("rust", "skip"):
            found.keep("rv64", self.RUNS[0], backend, verdicts.Verdict(
                what, "", {"a": verdicts.Verdict(what)}))
        for listed, left in ("rust", []), ("c", ["one: a"]):
            assert [row.title for row in found.different(
                ("c", "rust"), (), (Skip("one", "", ("a",), backend=listed),)
                )] == left

    def test_needless_exceptions_are_found(self):
        found = self.filled("pass", "pass", "ab", "a")
        assert self.needless(found, Differs("one", ""),
                             Differs("two", "", ("a", "b"))) == ["", "a"]
        assert not self.needless(found, Differs("not run", ""))


class TestInterface:
    SAID = "ok 1 a\ninterface: capability 1 of a VM = {}\nnoise = 1\n"

    def found(self, c, rust):
        return {"rv64": {"c": interface.answers(c),
                         "rust": interface.answers(rust)}}

    def test_what_differs_is_found_unless_it_is_an_exception(self):
        found = self.found(self.SAID.format(1), self.SAID.format(2))
        entry = interface.Differs(("capability 1*",), "")
        assert interface.unexpected(found, []) == \
            ["capability 1 of a VM on rv64: c: 1, rust: 2"]
        assert not interface.unexpected(found, [entry])
        assert not interface.needless(found, [entry])

    def test_what_only_one_answers_differs(self):
        assert interface.unexpected(self.found(self.SAID.format(1), ""), []) \
            == ["capability 1 of a VM on rv64: c: 1, rust: no"]

    def test_needless_exceptions_are_found(self):
        found = self.found(self.SAID.format(1), self.SAID.format(1))
        assert not interface.unexpected(found, [])
        assert interface.needless(
            found, [interface.Differs(("capability 1*",), "")]) == \
            ["capability 1* does not differ"]


class TestSkips:
    """What one program says of its cases, and what the table has of them."""

    A_IS_SKIPPED = {"x.a": verdicts.Verdict("skip", "none"),
                    "x.b": verdicts.Verdict("pass")}

    def complaints(self, parts, *skips, backend="rust", host="rv64"):
        return complaints("p", host, backend,
                          verdicts.Verdict("pass", parts=parts), skips)

    def test_a_skip_has_to_be_listed(self):
        assert self.complaints(self.A_IS_SKIPPED) == \
            ["x.a was skipped: none"]
        assert not self.complaints(self.A_IS_SKIPPED, Skip("p", "", ("x.a",)))
        assert not self.complaints({"x.b": verdicts.Verdict("pass")})

    @pytest.mark.parametrize("elsewhere", (
        Skip("q", "", ("x.a",)), Skip("p", "", ("x.b?",)),
        Skip("p", "", ("x.a",), hosts=("max", "debug")),
        Skip("p", "", ("x.a",), backend="c")))
    def test_it_has_to_be_listed_for_the_place(self, elsewhere):
        assert "x.a was skipped: none" in \
            self.complaints(self.A_IS_SKIPPED, elsewhere)

    def test_what_is_listed_has_to_be_skipped(self):
        assert self.complaints(self.A_IS_SKIPPED, Skip("p", "", ("x.*",))) == \
            ["x.b need not be listed as skipped"]
        assert self.complaints(self.A_IS_SKIPPED,
                               Skip("p", "", ("x.a", "x.c"))) == \
            ["there is no case x.c"]

    def test_what_c_fails_need_not_be_listed_for_c(self):
        parts = {"x.a": verdicts.Verdict("skip", "the C backend hangs")}
        assert not self.complaints(parts, backend="c")
        assert self.complaints(parts, backend="rust")

    def test_a_program_that_skips_all_of_itself(self):
        found = verdicts.judge(4, "1..0 # SKIP - no vectors\n")
        assert complaints("p", "rv64", "c", found, ()) == \
            ["all of it was skipped: 1..0 # SKIP - no vectors"]
        assert not complaints("p", "rv64", "c", found, (Skip("p", ""),))
        assert complaints("p", "rv64", "c", verdicts.judge(0, ""),
                          (Skip("p", ""),))

    def test_the_table_can_be_read(self):
        assert SKIPS
        assert all(entry.why for entry in (*DIFFERS, *SKIPS))

    def test_a_table_has_both_kinds(self, tmp_path):
        table = tmp_path / "some.toml"
        table.write_text('[[differs]]\nprogram = "p"\nparts = ["p.a"]\n'
                         'why = "of C"\n'
                         '[[skip]]\nprogram = "q"\nwhy = "of the hart"\n')
        assert read(table) == ((Differs("p", "of C", ("p.a",)),),
                               (Skip("q", "of the hart"),))


class TestOnceMore:
    """Under C, a failure has to come twice."""

    @staticmethod
    def verdict(backend, *outputs):
        """(the verdict, what was noted, what was not run)"""
        left = [SimpleNamespace(status=int(output != "good"), output=output)
                for output in outputs]
        notes = []
        host = SimpleNamespace(run=lambda *_: left.pop(0),
                               judge=lambda _: None)
        report = SimpleNamespace(
            settings=SimpleNamespace(full=False), note=notes.append,
            artifacts=SimpleNamespace(command=lambda *_: ""))
        verdict, _ = selftest.run_in(
            host, selftest.Place("here", backend, "rv64"), report,
            selftest_runs.Run("guest_print_test"), skips=())
        return verdict.what, len(notes), len(left)

    def test_what_passes_is_run_once(self):
        assert self.verdict("c", "good", "-") == (verdicts.PASS, 0, 1)

    def test_what_fails_once_is_noted(self):
        assert self.verdict("c", "bad", "good") == (verdicts.PASS, 1, 0)

    def test_what_fails_twice_has_failed(self):
        assert self.verdict("c", "bad", "bad") == (verdicts.FAIL, 0, 0)

    def test_rust_has_one_chance(self):
        assert self.verdict("rust", "bad", "good") == (verdicts.FAIL, 0, 1)
