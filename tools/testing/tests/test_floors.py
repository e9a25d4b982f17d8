# SPDX-License-Identifier: GPL-2.0
"""The rules of the house, on small trees: what they find, and what not."""

import pytest

from workspace import floors, imports, rules, rust_text, unsafe_places
from workspace.errors import Failure

CRATE = """\
[[house]]
name = "crate"
path = "src"
root = "main.rs"
floors = [["ground"], ["left", "right"], ["top"], ["main"]]
"""
KNOT = """\
[[house.from_above]]
name = "crate::Knot"
why = "ties it"
"""
PACKAGES = """\
[[house]]
name = "packages"
packages = [".", "deep"]
floors = [["low"], ["high"]]
"""
UNSAFE = """\
[unsafe]
sources = ["src"]
roots = ["src/main.rs"]
[[unsafe.place]]
path = "src/ground"
why = "the machine"
"""
ROOMS = {"src/main.rs": "mod ground; mod left; mod right; mod top;",
         "src/ground.rs": "mod cellar;", "src/ground/cellar.rs": "",
         "src/left.rs": "", "src/right.rs": "", "src/top.rs": ""}


@pytest.fixture
def survey(tmp_path):
    """What a table says of a tree, given as {file: text}."""
    def surveyed(table, files):
        return floors.surveys(*written(tmp_path, table, files))[0]
    return surveyed


def written(directory, table, files):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (directory / "table.toml").write_text(table)
    return directory, directory / "table.toml"


def shown(found):
    return [(one.file, one.line, one.name) for one in found]


class TestRust:
    def found(self, survey, file, text, **others):
        files = {**ROOMS, **{f"src/{name}.rs": other
                             for name, other in others.items()}, file: text}
        return survey(CRATE, files)

    @pytest.mark.parametrize("text", (
        "use crate::top::Name;",
        "use crate::{ground::cellar, top::{Name}};",
        "use crate::{top::{self}};",
        "use super::top::Name;",
        "use crate as root; use root::top::Name;",
        "use crate::top::Name as Other;",
        "use crate::top::*;",
        "use crate::top;",
        "fn f() { crate::top::name() }",
        "fn f() -> super::top::Name { loop {} }",
        "fn f<'a>(_: &'a crate::top::Name) { let _ = ['\"', '\\'']; }",
        "mod inner { use super::super::top::Name; }",
        "macro_rules! m { () => { $crate::top::name() } }",
        "/* /* nested */ */ use crate::top::Name; // comment",
        "static S: &str = r#\"quote \" \"#; use crate::top::Name;",
    ))
    def test_up_is_found(self, survey, text):
        found = self.found(survey, "src/left.rs", text)
        complaint, = found.complaints()
        assert complaint.startswith("src/left.rs:1: crate::top")
        assert found.wrong[0].target == "src/top.rs"
        assert "from above: left is on floor 2, top on 3" in complaint
        assert "^top 1" in found.drawing()

    @pytest.mark.parametrize("text", (
        "// use crate::top::Name;",
        "/* use /* crate */ ::top */ ",
        "const S: &str = \"use crate::top::Name;\";",
        "const S: &CStr = c\"crate::top::Name\";",
        "const S: &str = r##\"crate::top::\"# \"##;",
        "use kernel::top::Name;",
        "use kernel::{prelude::*, top}; fn f() { top::name() }",
        "pub(in crate::top) struct S;",
        "use crate::ground::cellar::Name;",
        "fn f() -> impl Sized + use<> {}",
        "fn f(top: Top) { top.name() }",
    ))
    def test_what_is_allowed(self, survey, text):
        assert not self.found(survey, "src/left.rs", text).complaints()

    def test_rooms_of_one_floor_do_not_know_each_other(self, survey):
        found = self.found(survey, "src/left.rs", "\nuse crate::right::Name;")
        complaint, = found.complaints()
        assert complaint.startswith(
            "src/left.rs:2: crate::right::Name is imported from its own")
        assert "=right 1" in found.drawing()

    def test_line_of_a_nested_name(self, survey):
        found = self.found(survey, "src/left.rs",
                           "use crate::{\n    ground::A,\n    top::B, //\n};")
        assert shown(found.wrong) == [("src/left.rs", 3, "crate::top::B")]

    def test_a_name_is_imported_once(self, survey):
        found = self.found(survey, "src/top.rs",
                           "use crate::left::E;\nfn f() { E::A; E::B; }")
        assert "left 1" in found.drawing()

    def test_a_name_that_is_passed_on_is_where_it_is_defined(self, survey):
        found = self.found(
            survey, "src/ground/cellar.rs", "use super::Name;",
            ground="mod cellar; mod attic; pub use attic::Name;\n"
                   "fn f() { cellar::f() }",
            **{"ground/attic": ""})
        assert not found.complaints()
        assert ("src/ground/cellar.rs", 1, "crate::ground::attic::Name") \
            in shown(found.imports)

    def test_a_circle_in_one_room(self, survey):
        found = self.found(survey, "src/ground/cellar.rs",
                           "use super::Name;",
                           ground="mod cellar;\nfn f() { cellar::f() }")
        head, *circle = found.complaints()
        assert head.startswith("2 files import each other in a circle")
        assert circle == [
            "    src/ground.rs:2: crate::ground::cellar::f",
            "    src/ground/cellar.rs:1: crate::ground::Name"]

    def test_the_knot(self, survey):
        files = {**ROOMS, "src/left.rs": "use crate::Knot;",
                 "src/main.rs": "use left::X;"}
        assert len(survey(CRATE, files).wrong) == 1
        found = survey(CRATE + KNOT, files)
        assert not found.complaints()
        assert "crate::Knot, in 1 files: ties it" in found.drawing()

    def test_a_knot_that_nobody_needs(self, survey):
        complaint, = survey(CRATE + KNOT, ROOMS).complaints()
        assert "nobody imports crate::Knot from above" in complaint

    def test_other_names_of_the_root_are_above(self, survey):
        files = {**ROOMS, "src/left.rs": "use crate::{Knot, OTHER};"}
        assert shown(survey(CRATE + KNOT, files).wrong) == \
            [("src/left.rs", 1, "crate::OTHER")]

    def test_every_file_has_a_room_and_every_room_a_file(self, survey):
        files = {**ROOMS, "src/shed.rs": ""}
        del files["src/top.rs"]
        assert survey(CRATE, files).complaints() == [
            "src/shed.rs: is in no room of floors.toml",
            "floors.toml: there is no file of the room top"]


class TestPython:
    FILES = {"low/__init__.py": "", "low/a.py": "", "low/b.py": "",
             "deep/high/__init__.py": "", "deep/high/c.py": ""}

    @pytest.mark.parametrize("text", (
        "import high.c", "from high import c", "from high.c import name",
        "def f():\n    from high.c import name",
    ))
    def test_up_is_found(self, survey, text):
        found = survey(PACKAGES, {**self.FILES, "low/a.py": text})
        assert [one.target for one in found.wrong] == ["deep/high/c.py"]

    def test_what_is_allowed(self, survey):
        found = survey(PACKAGES, {
            **self.FILES, "low/a.py": "from . import b\nimport json",
            "deep/high/c.py": "from low.a import name\nfrom low import b"})
        assert not found.complaints()
        assert "low 2" in found.drawing()

    def test_a_circle_in_one_package(self, survey):
        found = survey(PACKAGES, {
            **self.FILES, "low/a.py": "from .b import name",
            "low/b.py": "def f():\n    from . import a"})
        assert found.complaints()[1:] == ["    low/a.py:1: low.b.name",
                                          "    low/b.py:2: low.a"]

    def test_a_file_outside_of_all_packages(self, survey):
        found = survey(PACKAGES, {**self.FILES, "deep/x/y.py": ""})
        assert found.nowhere == ["deep/x/y.py"]


def test_the_shortest_circle_of_each_set_is_shown():
    edges = ("ab", "bc", "ca", "ba", "xy", "yx", "xx", "za")
    found = imports.circles([imports.Import(file, 1, "", target)
                             for file, target in edges])
    assert [[one.file for one in circle] for circle in found] == \
        [["a", "b"], ["x", "y"]]


def test_a_table_with_a_room_twice_is_refused(tmp_path):
    with pytest.raises(Failure, match="twice"):
        floors.surveys(*written(tmp_path, CRATE.replace(
            '"right"', '"ground"'), ROOMS))


def test_code_keeps_its_lines():
    text = "a /* b\n /* c\n */ d */ e // f\n\"g\nh\" 'i' '\\u{1}' 'j: k"
    code = rust_text.code(text)
    assert code.split() == ["a", "e", "'j:", "k"]
    assert code.count("\n") == text.count("\n")


class TestUnsafe:
    DENY = "#![deny(unsafe_code)]\n"

    def complaints(self, directory, **files):
        files = {**ROOMS, "src/main.rs": self.DENY,
                 **{f"src/{name}.rs": text for name, text in files.items()}}
        return unsafe_places.complaints(unsafe_places.survey(
            *written(directory, UNSAFE, files)))

    @pytest.mark.parametrize("text", (
        "fn f() { unsafe { g() } }", "unsafe fn f() {}",
        "unsafe impl Send for S {}", "#[unsafe(no_mangle)] fn f() {}",
        "unsafe extern \"C\" {}",
    ))
    def test_it_is_found(self, tmp_path, text):
        assert self.complaints(tmp_path, left=f"\n{text}") == \
            ["src/left.rs:2: `unsafe` may not stand here"]

    @pytest.mark.parametrize("text", (
        "// unsafe {\n/* unsafe { */ let x = \"unsafe {\";\n",
        "let y = ['\"', '\\'']; // unsafe { \"\n",
        "#![deny(clippy::all, unsafe_code)]",
    ))
    def test_what_is_allowed(self, tmp_path, text):
        assert not self.complaints(tmp_path, left=text)

    def test_its_places(self, tmp_path):
        text = "#![allow(unsafe_code)] fn f() { unsafe { g() } }"
        assert not self.complaints(tmp_path, ground=text,
                                   **{"ground/cellar": text})

    def test_a_file_that_could_have_it(self, tmp_path):
        assert self.complaints(tmp_path, left="#![allow(unsafe_code)]") == [
            "src/left.rs:1: neither the file nor a module that it is in "
            "denies unsafe code"]
        assert len(self.complaints(tmp_path, main="")) == 4


def test_wide_lines_are_found(tmp_path):
    written(tmp_path, "", {
        "arch/a.rs": f"ok\n{'x' * 101}\n", "tools/b.c": "\t" * 12 + "x" * 4,
        "tools/c.c": "\t" * 12 + "x" * 5, "tools/target/d.rs": "x" * 101,
        "rust/e.S": "x" * 100, "tools/f.py": "x" * 101})
    row = f"| {'x' * 100} |\n"
    (tmp_path / "README.md").write_text(f"{row}{'x' * 101}\na  {row}")
    assert rules.too_wide(tmp_path) == ["README.md:2: 101 columns",
                                        "arch/a.rs:2: 101 columns",
                                        "tools/c.c:1: 101 columns"]
