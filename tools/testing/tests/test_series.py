# SPDX-License-Identifier: GPL-2.0
"""The tables that the series of patches is made by, and the documentation's
index."""

import tomllib

import pytest

from workspace import docs, insertions, pins, selftests, series, tree
from workspace.errors import Failure
from workspace.settings import REPOSITORY

NEWEST = next(iter(pins.KERNEL_SERIES))
OUTPUT = """\
---------------
0001-one.patch
---------------
WARNING:FILE_PATH_CHANGES: added, moved or deleted file(s)?
#20:
new file mode 100644

ERROR:SPACING: space prohibited before that ',' (ctx:WxW)
#31: FILE: tools/testing/selftests/kvm/riscv/a_test.c:7:
+	f(a , b);

total: 1 errors, 1 warnings, 0 checks, 30 lines checked
"""
SPACING = {"type": "SPACING", "paths": ["tools/*/a_test.c"], "reason": "x"}
CHANGES = {"type": "FILE_PATH_CHANGES", "reason": "x"}


def patches():
    return [series.Patch("one", "", ["rust/*"]),
            series.Patch("two", "", ["arch/riscv/kvm/mmu.rs",
                                     "arch/riscv/kvm/mmu/*"])]


class TestAssign:
    def test_each_path_to_its_patch(self):
        one, two = found = patches()
        series.assign(found, ["rust/kernel/kvm/vm.rs", "arch/riscv/kvm/mmu.rs",
                              "arch/riscv/kvm/mmu/tlb.rs"])
        assert one.paths == ["rust/kernel/kvm/vm.rs"]
        assert two.paths == ["arch/riscv/kvm/mmu.rs",
                             "arch/riscv/kvm/mmu/tlb.rs"]

    @pytest.mark.parametrize("path, said", (
        ("arch/riscv/kvm/tlb.rs", "tlb.rs belongs to 0 patches"),
        ("arch/riscv/kvm/mmu.rs2", "mmu.rs2 belongs to 0 patches"),
    ))
    def test_a_path_of_no_patch(self, path, said):
        with pytest.raises(Failure, match=said):
            series.assign(patches(), [path])

    def test_a_path_of_two_patches(self):
        both = [*patches(), series.Patch("three", "", ["*/vm.rs"])]
        with pytest.raises(Failure, match="vm.rs belongs to 2 patches"):
            series.assign(both, ["rust/kernel/kvm/vm.rs"])

    def test_a_pattern_of_no_path(self):
        with pytest.raises(Failure, match=r"no path matches .*/mmu/\*"):
            series.assign(patches(), ["rust/x.rs", "arch/riscv/kvm/mmu.rs"])


class TestCheckpatch:
    def test_reports(self):
        changes, spacing = series.reports(OUTPUT)
        assert (changes.type, changes.path) == ("FILE_PATH_CHANGES", "")
        assert (spacing.type, spacing.path, spacing.line) == \
            ("SPACING", "tools/testing/selftests/kvm/riscv/a_test.c", "7")

    def test_all_listed(self):
        found = series.reports(OUTPUT)
        assert not series.unexpected(found, [SPACING, CHANGES])

    def test_not_listed(self):
        wrong = series.unexpected(series.reports(OUTPUT), [CHANGES])
        assert len(wrong) == 1 and "a_test.c:7: SPACING" in wrong[0]

    def test_listed_for_another_file(self):
        other = {**SPACING, "paths": ["arch/*"]}
        wrong = series.unexpected(series.reports(OUTPUT), [CHANGES, other])
        assert len(wrong) == 2

    def test_listed_and_not_reported(self):
        wrong = series.unexpected([], [SPACING])
        assert len(wrong) == 1 and "not reported any more" in wrong[0]


class TestTables:
    def test_every_file_belongs_to_one_patch(self):
        cover, found = series.read()
        assert cover
        series.assign(found, [*tree.project_files(REPOSITORY, NEWEST),
                              *insertions.read()])

    def test_messages_fit(self):
        cover, found = series.read()
        for text in (cover, *(patch.body for patch in found)):
            assert all(len(line) <= 75 for line in text.splitlines())
        assert all(len(patch.subject) <= 72 for patch in found)

    def test_exceptions_have_reasons(self):
        text = series.EXCEPTIONS.read_text(encoding="utf-8")
        for entry in tomllib.loads(text)["exception"]:
            assert set(entry) <= {"type", "paths", "reason"}
            assert entry["reason"].strip()

    def test_the_kernels_makefile_lists_our_selftests(self):
        entries = insertions.read()[f"{selftests.SUITE}/Makefile.kvm"]
        text = "".join(entry["text"] for entry in entries)
        listed = selftests.LISTED.findall(text)
        # Upstream's for other architectures are no files of ours.
        assert tuple(name for name in listed if "/" in name) == selftests.ours()


class TestDocs:
    def test_contents(self):
        page = docs.contents({"a <b>": "x/index.html"})
        assert '<a href="x/index.html">a &lt;b&gt;</a>' in page

    def test_missing_links(self):
        text = ("warning: srctree/ link to include/x.h does not exist\n"
                "warning: something else\n")
        assert docs.missing_links(text) == ["include/x.h"]
