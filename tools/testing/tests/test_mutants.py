# SPDX-License-Identifier: GPL-2.0
"""The list of mutants is about the sources as they are, and what `make mutants`
makes of it."""

import pytest

from harness import killers, logic_mutants
from harness import mutants as runner
from harness.mutants import KILLED, SURVIVED, Result
from workspace import cargo_mutants, mutants, selftests
from workspace.errors import Failure
from workspace.settings import Settings
from workspace.toolchain import CROSS_COMPILE

ENTRY = """\
[[mutant]]
name = "one"
file = "a.rs"
before = "x + y"
after = "x - y"
why = "It is wrong."
"""
SETTINGS = Settings.from_environment({})
KILLER = 'killed_by = ["some_test"]\n'


@pytest.fixture
def read(tmp_path):
    """The list that a text has, and a repository with the file of it."""
    def made(text, source="let z = x + y;\n"):
        (tmp_path / "a.rs").write_text(source)
        (tmp_path / "mutants.toml").write_text(text)
        found = mutants.read(tmp_path / "mutants.toml")
        mutants.check(found, tmp_path)
        return found
    return made


def test_the_list():
    """Each change still has its place, and each killer is there."""
    found = mutants.read()
    assert len(found) >= 200
    mutants.check(found)
    killers.check(found, SETTINGS)


def test_a_change(read):
    mutant, = read(ENTRY + KILLER)
    assert mutant.mutate("let z = x + y;\n") == "let z = x - y;\n"
    assert mutant.place == "rv64"


@pytest.mark.parametrize("source", ("let z = x * y;\n", "x + y; x + y\n"),
                         ids=("never", "twice"))
def test_what_is_replaced_is_there_once(read, source):
    with pytest.raises(Failure, match="mutant one replaces what is [02] times in a.rs"):
        read(ENTRY + KILLER, source)


@pytest.mark.parametrize("text, said", (
    (ENTRY, "one: neither"),
    (ENTRY + KILLER + ENTRY + KILLER, "one is there more than once"),
    (ENTRY + KILLER + "wyh = 1\n", "one: unknown wyh"),
    (ENTRY.replace("why =", "cpu =") + KILLER, "one: .*why"),
    (ENTRY.replace("x - y", "x + y") + KILLER, "one changes nothing"),
    (ENTRY.replace("a.rs", "b.rs") + KILLER, "b.rs, which is not there"),
), ids=("no killer", "twice", "unknown", "no reason", "no change", "no file"))
def test_bad_entries_are_refused(read, text, said):
    with pytest.raises(Failure, match=said):
        read(text)


@pytest.mark.parametrize("killer, said", (
    ("some_test", "one: there is no program some_test"),
    ("riscv/vmid_test vmid vmids", "riscv/vmid_test has no case vmids"),
    ("guest two", "`guest two` is no guest"),
    ("test test_saves", "no test is selected by `test_saves`"),
    ("test test_save and rust-rv128", "no test is selected by"),
    ("test test_save and", "pytest cannot select `test_save and`"),
), ids=("program", "case", "guest", "test", "platform", "expression"))
def test_a_killer_that_is_not_there(read, killer, said):
    with pytest.raises(Failure, match=said):
        killers.check(read(ENTRY + f'killed_by = ["{killer}"]\n'), SETTINGS)


@pytest.mark.parametrize("killer", (
    "riscv/nacl_counts_test fetch fences_are_done",
    # Of a program of the kernel's, these are its arguments.
    "demand_paging_test -v 2", "guest 2", "test test_save and rust-rv64"),
    ids=("case", "arguments", "guest", "test"))
def test_a_killer_that_is_there(read, killer):
    killers.check(read(ENTRY + f'killed_by = ["{killer}"]\n'), SETTINGS)


@pytest.mark.parametrize("source", (
    "TEST(one)", "TEST_F(mmu, one)", "TEST_F_TIMEOUT(mmu, one, 5)",
    "TEST_SIGNAL(one, SIGSEGV)", "KVM_ONE_VCPU_TEST(suite, one, guest_code)"))
def test_a_case(source):
    source += "\n{\n\tTEST_ASSERT(two);\n}\nTEST_HARNESS_MAIN\n"
    assert selftests.CASE.findall(source) == ["one"]


@pytest.mark.parametrize("survives, what, wrong", (
    ("", KILLED, 0), ("", SURVIVED, 1), ("", runner.BROKEN, 1),
    ("x", KILLED, 1), ("x", SURVIVED, 0), ("x", runner.BROKEN, 1),
))
def test_the_exit_status(read, capsys, survives, what, wrong):
    mutant, = read(ENTRY + KILLER + f'survives = "{survives}"\n')
    assert runner.show({mutant: Result(what, "some_test", "", 1.0)}) == wrong
    assert ("It is wrong." in capsys.readouterr().out) == bool(wrong)


PASSED = Result(SURVIVED, "", "nothing has noticed it", 1.0)
LATE = Result(KILLED, "some_test", "`some_test` did not end", 9.0, hangs=True)
FAILED = Result(KILLED, "some_test", "an assertion failed", 9.0)


@pytest.mark.parametrize("found, plain, what, asked", (
    (LATE, PASSED, KILLED, True), (LATE, LATE, runner.BROKEN, True),
    (LATE, FAILED, runner.BROKEN, True), (FAILED, LATE, KILLED, False),
    (PASSED, LATE, SURVIVED, False),
), ids=("hangs", "busy", "broken", "failure", "survivor"))
def test_a_hang_is_a_kill_only_if_the_control_is_in_time(found, plain, what,
                                                         asked):
    calls = []
    result = runner.confirmed(found, lambda: calls.append(plain) or plain)
    assert result.what == what and bool(calls) == asked
    assert what != runner.BROKEN or plain.how in result.how


@pytest.mark.parametrize("noticed, killers_again", (
    ("b", ("b",)), ("insmod", ("a", "b")), ("the end of the host", ("a", "b"))))
def test_the_control_is_what_has_noticed_the_mutant(read, noticed,
                                                    killers_again):
    mutant, = read(ENTRY + 'killed_by = ["a", "b"]\ncpu = "max"\n')
    plain = runner.without_mutant(mutant, noticed)
    assert plain.killed_by == killers_again and plain.place == mutant.place


@pytest.fixture
def build(tmp_path):
    """Makes the module of a kernel of one file, with what it has for `x + y`."""
    objects, tree = tmp_path / "objects", tmp_path / "tree"
    module = objects / mutants.BACKEND
    sources = tree / mutants.BACKEND
    for directory in (module, sources, tree / mutants.ABSTRACTIONS):
        directory.mkdir(parents=True)
    (sources / "a.c").write_text(
        "/* x - y */\nint add(int x, int y)\n{\n\treturn x + y;\n}\n")
    (sources / "b.c").write_text("int z = x + y;\n")
    (module / "kvm.ko").write_text("")
    (module / "kvm.mod").write_text(f"{mutants.BACKEND}/{mutants.CRATE}\n")
    for name, command in (
            (mutants.CRATE, f"gcc -O2 -g -c -L ./rust/ -o {mutants.BACKEND}/"
                            f"{mutants.CRATE} {sources}/a.c"),
            ("kvm.o", f"ld -r -o {mutants.BACKEND}/kvm.o "
                      f"@{mutants.BACKEND}/kvm.mod"),
            # With another build id each time.
            ("kvm.ko", f"ld -r --build-id=uuid -o {mutants.BACKEND}/kvm.ko "
                       f"{mutants.BACKEND}/kvm.o")):
        (module / f".{name}.cmd").write_text(
            f"savedcmd_{name} := {CROSS_COMPILE}{command}\n")
    builder = mutants.Builder(objects, tree, {}, tmp_path / "build",
                              tmp_path / "log")

    def made(name, before, after):
        return builder.module(mutants.Mutant(
            "one", f"{mutants.BACKEND}/{name}", before, after, "It is wrong."))
    return made


def test_a_mutant_is_built(build):
    first = build("a.c", "x + y", "x * y").read_bytes()
    assert first != build("a.c", "x + y", "x / y").read_bytes()


@pytest.mark.parametrize("name, before, after", (
    ("b.c", "x + y", "x * y"), ("a.c", "x - y", "x * y"),
    ("a.c", "x + y", "y + x")), ids=("another file", "comment", "same code"))
def test_a_mutant_that_is_not_in_the_module(build, name, before, after):
    with pytest.raises(Failure, match="one changes nothing in kvm.ko"):
        build(name, before, after)


class TestLogic:
    EXCUSED = (mutants.LogicSurvivor("src/a.rs: replace | with ^*", "x"),)
    MISSED = ("src/a.rs:12:3: replace | with ^ in f",
              "src/a.rs:14:3: replace + with - in g")

    def test_all_excused(self):
        assert not logic_mutants.judge(self.MISSED[:1], self.EXCUSED)

    @pytest.mark.parametrize("missed, said", (
        (MISSED, "not noticed: src/a.rs:14:3: replace + with -"),
        ((), "does not survive: src/a.rs: replace | with ^"),
    ), ids=("a new one", "an old one"))
    def test_survivors(self, capsys, missed, said):
        assert logic_mutants.judge(missed, self.EXCUSED)
        assert said in capsys.readouterr().out

    @pytest.mark.parametrize("timed_out, seconds", ((["x"], 9.0), ([], 11.0)),
                             ids=("in time", "nothing timed out"))
    def test_a_time_out_is_believed(self, timed_out, seconds):
        logic_mutants.require_time(timed_out, 10.0, "a.rs", lambda: seconds)

    def test_a_time_out_is_not_believed_on_a_busy_machine(self):
        with pytest.raises(Failure, match="tests of a.rs take longer than 10"):
            logic_mutants.require_time(["x"], 10.0, "a.rs", lambda: 11.0)

    def test_the_copy_has_all_modules(self, tmp_path):
        files = cargo_mutants.lay_out(tmp_path / "crate")
        assert "src/abi/insn.rs" in files
        assert "src/mmu/fence_queue.rs" in files
        for file in files:
            assert (tmp_path / "crate" / file).is_file()
            name = file.rsplit("/", 1)[1].removesuffix(".rs")
            tests = tmp_path / "crate/tests"
            assert (tests / f"{name}.rs").is_file() or \
                (tests / name / "main.rs").is_file()
        assert "#[path" not in (tmp_path / "crate/src/lib.rs").read_text()
