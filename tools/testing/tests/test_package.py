# SPDX-License-Identifier: GPL-2.0
"""The module for kernels of others: what is refused before it is built, and
after."""

from collections import Counter
from pathlib import Path

import pytest

from workspace import (cross_gcc, distribution, dkms, kernel, module_checks,
                       module_sources)
from workspace.errors import Failure
from workspace.settings import Settings

GOOD = "CONFIG_RISCV=y\nCONFIG_KVM=m\nCONFIG_RANDSTRUCT_NONE=y\n"
SECTIONS = """\
  [ 5] __jump_table      PROGBITS        0000000000000000 0008f0 0008b0 00  WA  0   0  8
  [ 6] .rela__jump_table RELA            0000000000000000 0101f0 003420 18   I 60   5  8
  [17] .alternative      PROGBITS        0000000000000000 000b00 000010 00   A  0   0  1
"""
BTF = """\
struct hrtimer {
	struct timerqueue_node     node;                 /*     0    48 */
	enum hrtimer_restart       (*function)(struct hrtimer *); /*    48     8 */
	bool                       is_soft:1;            /*    56: 0  1 */
	/* size: 64, cachelines: 1, members: 3 */
};
"""
DWARF = """\
struct hrtimer {
	struct timerqueue_node     node __attribute__((__aligned__(8))); /*     0    48 */
	enum hrtimer_restart       (*function)(struct hrtimer *); /*    48     8 */
	bool                       is_soft:1;            /*    56: 0  1 */
	/* size: 64, cachelines: 1, members: 3 */
	/* forced alignments: 1 */
} __attribute__((__aligned__(8)));
"""


class TestBefore:
    def test_a_good_configuration(self):
        module_checks.before(Path("headers"), GOOD)

    @pytest.mark.parametrize("line, said", (
        ("CONFIG_KVM=y", "is a part of that kernel"),
        ("# CONFIG_KVM is not set", "no KVM"),
        ("CONFIG_RUST=y", "has Rust itself"),
        ("CONFIG_RANDSTRUCT_FULL=y", "at random"),
        ("CONFIG_CFI=y", "checks calls"),
        ("CONFIG_CFI_CLANG=y", "checks calls"),
        ("CONFIG_LTO_CLANG=y", "when it is linked"),
        ("CONFIG_MODVERSIONS=y", "by versions"),
        ("# CONFIG_SMP is not set", "SMP"),
    ))
    def test_what_is_refused(self, line, said):
        config = GOOD.replace("CONFIG_KVM=m", line) if "KVM" in line \
            else f"{GOOD}{line}\n"
        with pytest.raises(Failure, match=said) as failure:
            module_checks.before(Path("headers"), config)
        assert failure.value.advice

    def test_what_is_no_kernel_for_it(self):
        with pytest.raises(Failure, match="not for RISC-V"):
            module_checks.before(Path("headers"), "CONFIG_KVM=m\n")


class TestAfter:
    def test_tables_are_measured(self):
        assert module_checks.section_sizes(SECTIONS) == \
            Counter({"__jump_table": 0x8b0, ".alternative": 0x10})

    def test_attributes_are_no_difference(self):
        assert module_checks.members(BTF) == module_checks.members(DWARF)
        assert len(module_checks.members(BTF)) == 3

    @pytest.mark.parametrize("old, new", (
        ("/*    48     8 */", "/*    56     8 */"),
        ("/*     0    48 */", "/*     0    56 */"),
        ("is_soft:1", "is_hard:1"), ("56: 0", "56: 1"),
    ))
    def test_differences_are_found(self, old, new):
        assert module_checks.members(BTF) != \
            module_checks.members(DWARF.replace(old, new))


class TestKernels:
    def test_the_series_of_the_compiler(self):
        assert cross_gcc.series_of(
            'CONFIG_CC_VERSION_TEXT="riscv64-linux-gnu-gcc-16 '
            '(Debian 16.2.0-4) 16.2.0"\n') == "16"
        with pytest.raises(Failure, match="not built by gcc"):
            cross_gcc.series_of('CONFIG_CC_VERSION_TEXT="clang version 19.1.7"')

    def test_a_machine_without_the_compiler(self):
        with pytest.raises(Failure, match="gcc-99 is not there"):
            cross_gcc.find('CONFIG_CC_VERSION_TEXT="gcc-99 (X) 99.1.0"\n',
                           Path(), None, Path())

    def test_the_newest_is_by_numbers(self):
        assert max(("7.2.9+deb14", "7.2.13+deb14", "7.2.10+deb14"),
                   key=distribution.numbers) == "7.2.13+deb14"

    @pytest.mark.parametrize("version, series", (
        ("7.3.4", "7.3"), ("7.2.13", "7.2"), ("7.3-rc1", "7.3")))
    def test_series_that_are_known(self, version, series):
        assert kernel.series_of(version) == series

    @pytest.mark.parametrize("version", ("7.30.1", "6.12.117", "8.0.1"))
    def test_series_that_are_not(self, version):
        with pytest.raises(Failure, match="the backend is for"):
            kernel.series_of(version)

    def test_another_source_is_refused(self, tmp_path):
        config = tmp_path / "include/config"
        config.mkdir(parents=True)
        (config / "kernel.release").write_text("7.2.13+deb14-riscv64\n")
        module_sources.refuse_other_version(tmp_path, "7.2.13")
        for other in ("7.2.1", "7.2.12", "7.3.13"):
            with pytest.raises(Failure, match="exactly that kernel"):
                module_sources.refuse_other_version(tmp_path, other)

    def test_the_administrator_names_the_source(self, tmp_path, monkeypatch):
        settings = tmp_path / "settings"
        monkeypatch.setattr(dkms, "SETTINGS", settings)
        monkeypatch.setattr(dkms, "SOURCES", tmp_path)
        with pytest.raises(Failure, match="linux-source-7.2"):
            dkms.source("7.2.13+deb14-riscv64")
        settings.write_text('KERNEL_SRC="/a tree"\n')
        assert dkms.source("7.2.13+deb14-riscv64") == Path("/a tree")

    @pytest.mark.parametrize("value, is_others", (
        ("", False), ("7.2", False), ("7.3", False), ("stock", True),
        ("7.2.13+deb14", True), ("installed", True), ("/usr/src/h", True)))
    def test_what_a_kernel_is_named_by(self, value, is_others):
        settings = Settings.from_environment({"KERNEL": value})
        assert settings.for_module == is_others
        if is_others:
            with pytest.raises(Failure, match="KERNEL="):
                assert settings.kernel_series
