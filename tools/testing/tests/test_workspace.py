# SPDX-License-Identifier: GPL-2.0
"""The parts of the workspace that a mistake in would go unnoticed."""

import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from workspace import (apt, image, insertions, pins, process,
                       qemu, settings, tables, tree)
from workspace.errors import Failure

UPSTREAM = "one\ntwo\nthree\n"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_a_table_that_is_not_toml_is_refused(tmp_path):
    table = tmp_path / "table.toml"
    table.write_text("[[insert]]\nfile = x\n")
    with pytest.raises(Failure, match="table.toml: .*line 2"):
        tables.load(table)


def entry(**fields):
    return {"file": "Makefile", "text": "new\n", **fields}


class TestInsertions:
    def test_after_and_before(self):
        entries = [entry(after="one"), entry(before="three", text="last\n")]
        assert insertions.apply(UPSTREAM, entries, "7.3.0") == \
            "one\nnew\ntwo\nlast\nthree\n"

    def test_entries_with_one_anchor_keep_their_order(self):
        entries = [entry(after="one"), entry(after="one", text="newer\n")]
        assert insertions.apply(UPSTREAM, entries, "7.3.0") == \
            "one\nnew\nnewer\ntwo\nthree\n"

    @pytest.mark.parametrize("upstream", ("two\n", "one\none\n", " one\n"))
    def test_anchor_must_be_there_once(self, upstream):
        with pytest.raises(Failure) as failure:
            insertions.apply(upstream, [entry(after="one")], "7.3.9")
        assert "Makefile of Linux 7.3.9" in str(failure.value)
        assert "one" in str(failure.value)

    @pytest.mark.parametrize("text", (
        'file = "x"\ntext = "y"',
        'file = "x"\ntext = "y"\nafter = "a"\nbefore = "b"',
        'file = "x"\nafter = "a"',
        'file = "x"\ntext = "y"\nafter = "a"\nbeside = "b"',
    ))
    def test_bad_entries_are_refused(self, tmp_path, text):
        table = tmp_path / "table.toml"
        table.write_text(f"[[insert]]\n{text}\n")
        with pytest.raises(Failure, match="entry 1"):
            insertions.read(table)


class TestLayOver:
    @pytest.fixture(autouse=True)
    def places(self, tmp_path, monkeypatch):
        self.repository = tmp_path / "repository"
        self.tree = tmp_path / "tree"
        self.pristine = tmp_path / "pristine"
        self.write(self.repository / "arch/riscv/kvm/new.rs", "// new\n")
        self.write(self.tree / "arch/riscv/kvm/Makefile", UPSTREAM)
        self.entries = {"arch/riscv/kvm/Makefile": [
            entry(file="arch/riscv/kvm/Makefile", after="one")]}
        monkeypatch.setattr(insertions, "of_series",
                            lambda _series: self.entries)

    @staticmethod
    def write(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def lay_over(self):
        manifest = tree.Manifest(self.tree.parent / "laid-over.json")
        return tree.lay_over(self.repository, self.tree, self.pristine,
                             manifest, "7.3.0")

    def text(self, path):
        return (self.tree / path).read_text()

    def test_again_changes_nothing(self):
        assert self.lay_over() == 2
        before = (self.tree / "arch/riscv/kvm/new.rs").stat().st_mtime_ns
        assert self.lay_over() == 0
        assert before == \
            (self.tree / "arch/riscv/kvm/new.rs").stat().st_mtime_ns
        assert self.text("arch/riscv/kvm/Makefile") == "one\nnew\ntwo\nthree\n"

    def test_what_is_gone_is_taken_back(self):
        self.lay_over()
        (self.repository / "arch/riscv/kvm/new.rs").unlink()
        self.entries.clear()
        self.lay_over()
        assert not (self.tree / "arch/riscv/kvm/new.rs").exists()
        assert self.text("arch/riscv/kvm/Makefile") == UPSTREAM

    def test_upstream_files_are_not_replaced(self):
        self.write(self.tree / "arch/riscv/kvm/vcpu.c", "upstream\n")
        self.write(self.repository / "arch/riscv/kvm/vcpu.c", "ours\n")
        with pytest.raises(Failure, match="vcpu.c"):
            self.lay_over()
        assert self.text("arch/riscv/kvm/vcpu.c") == "upstream\n"

    def test_a_file_with_insertions_is_not_replaced(self):
        self.lay_over()
        self.write(self.repository / "arch/riscv/kvm/Makefile", "ours\n")
        with pytest.raises(Failure, match="Makefile"):
            self.lay_over()

    def test_edits_in_the_tree_are_not_lost(self):
        self.lay_over()
        self.write(self.tree / "arch/riscv/kvm/new.rs", "// edited\n")
        with pytest.raises(Failure, match="edited in the tree"):
            self.lay_over()
        self.write(self.repository / "arch/riscv/kvm/new.rs", "// edited\n")
        assert self.lay_over() == 0

    def test_an_interrupted_run_is_continued(self, monkeypatch):
        self.write(self.repository / "arch/riscv/kvm/other.rs", "// other\n")
        written = []

        def interrupted(path, data):
            if self.tree in path.parents and written:
                raise KeyboardInterrupt
            written.append(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        with monkeypatch.context() as patched:
            patched.setattr(tree, "write_if_changed", interrupted)
            with pytest.raises(KeyboardInterrupt):
                self.lay_over()
        self.lay_over()
        assert self.text("arch/riscv/kvm/other.rs") == "// other\n"
        assert self.lay_over() == 0


class TestAptSources:
    def sources(self, directory, **files):
        (directory / "sources.list.d").mkdir()
        for name, text in files.items():
            name = name.replace("__", ".")
            top = name == "sources.list"
            path = directory / ("" if top else "sources.list.d") / name
            path.write_text(text)
        return apt.machine_sources(directory)

    def test_deb822(self, tmp_path):
        found = self.sources(tmp_path, debian__sources=(
            "Types: deb\n# a comment\nURIs: http://mirror.test/debian\n"
            "Suites: bookworm bookworm-updates\nComponents: main\n"
            f"Signed-By: {KEYRING}\n\n"
            "Types: deb\nURIs: http://mirror.test/debian-security\n"
            "Suites: bookworm-security\nComponents: main\n"))
        assert [source.suites for source in found] == \
            [("bookworm", "bookworm-updates"), ("bookworm-security",)]
        assert apt.release(found) == "bookworm"
        stanza = apt.mirror(found).stanza(["trixie-backports"])
        assert "URIs: http://mirror.test/debian\n" in stanza
        assert "Suites: trixie-backports\n" in stanza
        assert f"Signed-By: {KEYRING}\n" in stanza

    def test_one_line(self, tmp_path):
        found = self.sources(tmp_path, sources__list=(
            "# deb http://old.test/debian bookworm main\n"
            "deb-src http://mirror.test/debian bookworm main\n"
            f"deb [arch=amd64 signed-by={KEYRING}] http://mirror.test/debian "
            "bookworm main contrib # comment\n"))
        assert len(found) == 1
        assert found[0] == apt.Source(("http://mirror.test/debian",),
                                      ("bookworm",), ("main", "contrib"),
                                      KEYRING)

    def test_third_parties_and_disabled_sources_are_left_out(self, tmp_path):
        found = self.sources(
            tmp_path,
            debian__sources="Types: deb\nURIs: http://mirror.test/debian\n"
                            "Suites: trixie\nComponents: main\n",
            off__sources="Enabled: no\nTypes: deb\nURIs: http://off.test/\n"
                         "Suites: trixie\nComponents: main\n",
            node__list="deb http://third.test/node nodistro main\n",
            docker__list="deb http://third.test/docker bookworm stable\n")
        assert [source.uris for source in found] == \
            [("http://mirror.test/debian",)]

    def test_the_archives_own_key_comes_first(self, tmp_path):
        found = self.sources(
            tmp_path,
            a__list="deb [signed-by=/etc/apt/third.gpg] http://third.test/ "
                    "bookworm main\n",
            b__list=f"deb [signed-by={KEYRING}] http://mirror.test/debian "
                    "bookworm main\n")
        assert apt.mirror(found).uris == ("http://mirror.test/debian",)

    def test_no_mirror_is_a_failure(self, tmp_path):
        with pytest.raises(Failure, match="No Debian mirror"):
            self.sources(tmp_path)


class TestSettings:
    def read(self, **environment):
        return settings.Settings.from_environment(environment)

    def test_defaults(self):
        found = self.read()
        assert (found.backend, found.smp, found.cpu) == ("rust", 1, "rv64")

    def test_two_hosts_at_a_time_are_enough(self):
        assert 1 <= self.read().workers <= 2
        assert self.read(WORKERS="5").workers == 5

    def test_both_backends_are_tested_unless_one_is_asked_for(self):
        assert self.read().tested_backends == settings.BACKENDS
        assert self.read(BACKEND="c").tested_backends == ("c",)

    @pytest.mark.parametrize("name, value", (
        ("BACKEND", "go"), ("SMP", "0"), ("SMP", "9"), ("SMP", "two"),
        ("HOST_SMP", "-1"), ("CPU", "rv32"), ("MACHINE", "virt -bios x"),
        ("KERNEL_SRC", "/nonexistent"), ("KERNEL_TARBALL", "/nonexistent"),
        ("TIMEOUT_FACTOR", "0"), ("TIMEOUT_FACTOR", "nan"),
        ("WORKERS", "0"), ("WORKERS", "many"), ("NACL", "sync"), ("NACL", "none+all"), ("GUEST_QEMU", "9.2"),
    ))
    def test_bad_values_are_refused(self, name, value):
        with pytest.raises(Failure, match=re.escape(f"{name}={value}")):
            self.read(**{name: value})


    def test_features_have_one_order(self):
        found = self.read(NACL="sync_sret+sync_csr").nacl
        assert found == "sync_csr+sync_sret"
        assert self.read(NACL="+".join(settings.NACL_FEATURES)).nacl == "all"
        names = list(settings.nacl_combinations())
        assert len(set(names)) == 16
        assert {"none", "all", found} < set(names)


GUEST_FILES = ("busybox-static_1%3a1.37.0-6+b9_riscv64.deb",
               "qemu-system-data_1%3a11.1.2+ds-3_all.deb",
               "qemu-system-riscv_1%3a10.0.13+ds-0+deb13u1_riscv64.deb")


class TestQemu:
    @pytest.fixture(autouse=True)
    def pins(self, monkeypatch):
        monkeypatch.setattr(pins, "HOST_QEMU", "10.0")
        monkeypatch.setattr(pins, "GUEST_QEMU",
                            {"10.0": "trixie", "11.1": "forky"})

    @staticmethod
    def offer(monkeypatch, names):
        """Let Debian have these packages and no others."""
        state = SimpleNamespace(
            update=lambda log, what: None,
            download_closure=lambda *_: [Path(name) for name in names])
        monkeypatch.setattr(apt, "suite_state", lambda *_: state)

    def test_host(self):
        line = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1)"
        assert qemu.require_host(line) == "10.0.2"

    @pytest.mark.parametrize("version", ("9.2.0", "10.1.0", "100.0.1", "?"))
    def test_another_host_is_refused(self, version):
        with pytest.raises(Failure, match="by QEMU 10.0") as failure:
            qemu.require_host(f"QEMU emulator version {version}")
        assert version in str(failure.value)
        assert "bookworm-backports" in failure.value.advice

    def test_guests(self):
        assert qemu.require_guests(GUEST_FILES, "10.0") == "10.0.13"

    def test_another_series_for_guests_is_refused(self, monkeypatch):
        self.offer(monkeypatch, GUEST_FILES)
        with pytest.raises(Failure, match="forky has QEMU 10.0.13") as failure:
            image._downloaded(None, None, "11.1")
        assert "under 11.1" in failure.value.message
        assert "GUEST_QEMU=10.0" in failure.value.advice
        assert "pins.py" in failure.value.advice

    def test_no_qemu_for_guests_is_refused(self):
        with pytest.raises(Failure, match="trixie has no QEMU"):
            qemu.require_guests(GUEST_FILES[:2], "10.0")

    def test_what_another_series_has_left_is_not_used(self, tmp_path,
                                                      monkeypatch):
        other = tmp_path / "image" / image.root_name("11.1")
        other.mkdir(parents=True)
        self.offer(monkeypatch, ())
        with pytest.raises(Failure, match="trixie has no QEMU"):
            image._unpacked(tmp_path, None, "10.0")
        assert image._unpacked(tmp_path, None, "11.1") == other

    def test_a_suite_is_not_taken_for_another(self, monkeypatch):
        before = image.root_name("10.0")
        monkeypatch.setitem(pins.GUEST_QEMU, "10.0", "sid")
        assert image.root_name("10.0") != before

    def test_other_series_stay_in_the_cache(self, tmp_path):
        kept = [image.root_name("10.0"), image.root_name("11.1"),
                "disk-11.1-0"]
        for name in (*kept, "disk-10.0-0", "debian-0", "0"):
            (tmp_path / name).mkdir()
        image._remove_old(tmp_path, "10.0")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)

    def test_a_mirror_without_packages_is_no_reason_for_another_suite(
            self, monkeypatch):
        def fail(*_):
            raise Failure("no such package")

        self.offer(monkeypatch, ())
        monkeypatch.setattr(apt.suite_state(), "download_closure", fail)
        with pytest.raises(Failure, match="no such package") as failure:
            image._downloaded(None, None, "10.0")
        assert "trixie" in failure.value.advice


def test_a_child_and_its_children_end_with_the_block(tmp_path):
    pid = tmp_path / "pid"
    with process.child(["sh", "-c", f"sleep 60 & echo $! >{pid}; wait"]):
        while not pid.exists() or not pid.read_text():
            time.sleep(0.01)
        number = pid.read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", number], text=True,
                           check=False, stdout=subprocess.PIPE).stdout
    assert state.strip() in ("", "Z")
