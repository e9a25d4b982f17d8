# SPDX-License-Identifier: GPL-2.0
"""The parts of the workspace that a mistake in would go unnoticed."""

import re
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import backend, interface, selftest, selftest_runs, splats
from harness import tests as harness_tests
from harness import verdicts
from harness.agent import TimedOut
from harness.exceptions import DIFFERS, SKIPS, Differs, Skip, complaints
from harness.report import WIDTH, Report, reason_of
from workspace import (apt, compiler_warnings, image, insertions, pins,
                       process, qemu, settings, tables, tree)
from workspace.errors import Failure
from workspace.settings import REPOSITORY

# The words of a message at that level in the sources of the backend.
ERROR = re.compile(r"pr_err(?:_once)?!\(\s*\"(.*?)\\n\"")
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

    def test_both_backends_are_tested_unless_one_is_asked_for(self):
        assert self.read().tested_backends == settings.BACKENDS
        assert self.read(BACKEND="c").tested_backends == ("c",)

    @pytest.mark.parametrize("name, value", (
        ("BACKEND", "go"), ("SMP", "0"), ("SMP", "9"), ("SMP", "two"),
        ("HOST_SMP", "-1"), ("CPU", "rv32"), ("MACHINE", "virt -bios x"),
        ("KERNEL_SRC", "/nonexistent"), ("KERNEL_TARBALL", "/nonexistent"),
        ("TIMEOUT_FACTOR", "0"), ("TIMEOUT_FACTOR", "nan"),
        ("NACL", "sync"), ("NACL", "none+all"), ("GUEST_QEMU", "9.2"),
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


class TestJudges:
    @pytest.mark.parametrize("line", (
        "WARNING: CPU: 0 PID: 71 at arch/riscv/kvm/mmu.c:12 f+0x0/0x10",
        "BUG: sleeping function called from invalid context at x.c:1",
        "Oops [#1]",
        "kernel BUG at virt/kvm/kvm_main.c:1!",
        "BUG: KASAN: slab-out-of-bounds in f+0x0/0x10",
        "UBSAN: shift-out-of-bounds in x.c:1:1",
        "WARNING: possible circular locking dependency detected",
        "WARNING: suspicious RCU usage",
        "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
        "INFO: task qemu:71 blocked for more than 120 seconds.",
        "Kernel panic - not syncing: hung_task: blocked tasks",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
        "rust_kernel: panicked at arch/riscv/kvm/vcpu.rs:1:1:",
        "Unable to handle kernel NULL pointer dereference",
        "Insufficient stack space to handle exception!",
        "Kernel BUG [#1]",
        "BUG kmalloc-64 (Not tainted): Poison overwritten",
        "INFO: lockdep is turned off.",
        "INFO: trying to register non-static key.",
        "irq 5: nobody cared (try booting with the \"irqpoll\" option)",
        "Failed to handle interrupt (cause: 2)",
        "debugfs: '71-4' already exists in 'kvm'",
        "Out of memory: Killed process 71 (qemu-system-ris) total-vm:1kB",
        "Memory cgroup out of memory: Killed process 71 (sh) total-vm:1kB",
        "sh[71]: unhandled signal 11 code 0x1 at 0x0000000000000000 in sh",
        "workqueue: flush_to_ldisc hogged CPU for >1000000us 4 times, consider "
        "switching to WQ_UNBOUND",
        "sched: RT throttling activated",
        "EXT4-fs error (device vda): ext4_lookup:1: inode #2",
        "Buffer I/O error on dev vda, logical block 1",
        "virtio_blk virtio0: requests:id 7 is not a head!",
        "unregister_netdevice: waiting for eth0 to become free",
        "** 17 printk messages dropped **",
        "kvm: NACL: an entry failed with SBI error -9",
        "kvm: CPU 1: shared memory could not be disabled, it is leaked",
    ))
    def test_splats_are_found(self, line):
        log = f"[    1.0] fine\n[    2.0] {line}\n[    2.1] after\n"
        assert splats.find(log)[0].endswith(line)

    def test_a_clean_log_is_clean(self):
        assert not splats.find(
            "[ 0.0] Kernel command line: root=/dev/vda panic=-1 "
            "sysctl.kernel.hung_task_timeout_secs=0\n"
            "[ 0.1] rcu: Hierarchical SRCU implementation.\n"
            "[ 0.2] Run /init as init process\n"
            "[ 0.2] kfence: initialized - using 2097152 bytes\n"
            "[ 0.3] kvm [59]: hypervisor extension available\n"
            "[ 0.3] kvm: [rust]: using SBI nested acceleration with sync_csr\n")

    def test_each_error_of_the_backend_is_found(self):
        """Of the sources, whatever their level of an error says."""
        said = [text for path in (REPOSITORY / "arch/riscv/kvm").rglob("*.rs")
                for text in ERROR.findall(path.read_text(encoding="utf-8"))]
        assert len(said) >= 7
        for text in said:
            assert splats.find("[ 0.3] kvm: " + text.replace("{}", "1")), text

    VECTOR_LEFT_ON = (
        "[ 74.1] ------------[ cut here ]------------\n"
        "[ 74.1] WARNING: arch/riscv/include/asm/vector.h:419 at "
        "__schedule+0xc7e/0xc82, CPU#1: sh/99\n"
        "[ 74.1] Modules linked in: kvm\n"
        "[ 74.2] ---[ end trace 0000000000000000 ]---\n")

    def test_a_known_warning_of_the_kernel_is_no_splat(self):
        assert not splats.find("[ 1.0] fine\n" + self.VECTOR_LEFT_ON)

    @pytest.mark.parametrize("line", (
        "WARNING: arch/riscv/kvm/mmu.c:419 at __schedule+0xc7e/0xc82",
        "WARNING: arch/riscv/include/asm/vector.h:419 at kvm_vcpu_load+0x1/0x2",
    ))
    def test_a_known_warning_hides_no_other(self, line):
        other = self.VECTOR_LEFT_ON.replace(
            "WARNING: arch/riscv/include/asm/vector.h:419 at "
            "__schedule+0xc7e/0xc82", line)
        for log in (other, self.VECTOR_LEFT_ON + other,
                    other + self.VECTOR_LEFT_ON):
            assert any(line in found for found in splats.find(log))

    @pytest.mark.parametrize("line", ("BUG: KFENCE: use-after-free read",
                                      "WARNING: possible deadlock",
                                      "------------[ cut here ]------------"))
    def test_a_known_warning_hides_nothing_within(self, line):
        lines = self.VECTOR_LEFT_ON.splitlines(keepends=True)
        lines.insert(2, f"[ 74.1] {line}\n")
        if "cut here" in line:
            lines.insert(3, "[ 74.1] WARNING: mm/slub.c:1 at kfree+0x1/0x2\n")
        assert splats.find("".join(lines))

    @pytest.mark.parametrize("log, shown", (
        ("[    2.1] ------------[ cut here ]------------\n"
         "[    2.1] WARNING: mm/slub.c:1 at kfree+0x1/0x2\n",
         "WARNING: mm/slub.c:1 at kfree+0x1/0x2"),
        ("[ 11.5] BUG: KFENCE: use-after-free read\n[ 11.6] more\n",
         "BUG: KFENCE: use-after-free read"),
        ("------------[ cut here ]------------\n",
         "------------[ cut here ]------------"),
    ), ids=("warning", "bug", "nothing else"))
    def test_the_headline_of_a_complaint(self, log, shown):
        assert splats.headline(splats.find(log)) == shown

    def test_a_known_warning_says_what_it_is(self):
        lines = self.VECTOR_LEFT_ON.splitlines(keepends=True)
        assert splats.find("".join([lines[0], *lines[2:]]))

    FAILED_ALLOCATION = (
        "[ 3.0] fault: page allocation failure: order:0, mode:0xcc0\n"
        "[ 3.0] Call Trace:\n[ 3.0] [<1>] dump_backtrace+0x1/0x2\n"
        "[ 3.0] Mem-Info:\n")

    def test_a_failed_allocation_is_forgiven(self):
        log = self.FAILED_ALLOCATION + "[ 3.1] active_anon:1\n"
        assert splats.find(log)
        assert not splats.find(splats.FAILED_ALLOCATION.without(log))

    @pytest.mark.parametrize("line, times", (
        ("BUG: KFENCE: use-after-free read", 1),
        ("WARNING: possible circular locking dependency detected", 1),
        # No complaint is as long; its end is that of another one.
        ("[<2>] another+0x1/0x2", splats.MOST_LINES)))
    def test_a_failed_allocation_hides_nothing_within(self, line, times):
        log = self.FAILED_ALLOCATION.replace(
            "[ 3.0] Mem-Info", f"[ 3.0] {line}\n" * times + "[ 3.0] Mem-Info")
        assert splats.find(splats.FAILED_ALLOCATION.without(log))

    @pytest.mark.parametrize("bit, what", splats.TAINTS.items())
    def test_taint_is_found(self, bit, what):
        assert splats.find_wrong_state(f"{1 << bit}\n", "") == \
            [f"it is tainted, {what}"]

    def test_taint_of_a_known_warning_is_no_other(self):
        every = str(sum(1 << bit for bit in splats.TAINTS))
        assert not splats.find_wrong_state("512\n", self.VECTOR_LEFT_ON)
        assert len(splats.find_wrong_state(every, self.VECTOR_LEFT_ON)) == 3
        # Of a module that is out of the tree, or unsigned: of no interest.
        assert not splats.find_wrong_state(str(1 << 12 | 1 << 13), "")

    @pytest.mark.parametrize("locks, wrong", ((1, 0), (0, 1)))
    def test_locks_that_are_not_watched_are_found(self, locks, wrong):
        state = f"0\n debug_locks:                   {locks:11}\n"
        assert len(splats.find_wrong_state(state, "")) == wrong

    @pytest.mark.parametrize("line", (
        "kvm [71]: VCPU exit error -95",
        "error: kvm run failed Operation not supported",
        "KVM internal error. Suberror: 1",
    ))
    def test_a_guest_that_cannot_go_on_is_found(self, line):
        assert splats.find_exit_error(f"fine\n[ 1.0] {line}\nfine") == \
            line.removeprefix("kvm [71]: ")
        assert not splats.find(line)

    def test_the_log_names_the_backend(self):
        c = "[ 0.3] kvm [59]: hypervisor extension available\n"
        assert backend.loaded("") is None
        assert backend.loaded(c) == "c"
        assert backend.loaded(
            "[ 0.3] kvm: [rust]: hypervisor extension available\n") == "rust"

    def test_warnings_of_both_compilers_are_found(self):
        log = ("/t/arch/riscv/kvm/trace_points.c:3:5: warning: unused\n"
               "warning: unused variable: `x`\n"
               "  --> /t/arch/riscv/kvm/mmu.rs:1:2\n"
               "warning: unused import\n  |\n"
               "  --> arch/riscv/kvm/vm.rs:1:2\n"
               "../lib/other.c:1:1: warning: not ours\n"
               "arch/riscv/kvm/fine.c:1:1: note: no warning\n")
        assert compiler_warnings.found(log, "/t") == {
            "arch/riscv/kvm/trace_points.c", "arch/riscv/kvm/mmu.rs",
            "arch/riscv/kvm/vm.rs", "lib/other.c"}

    def test_warnings_are_found_below_the_directory_of_the_compiler(self):
        assert "tools/x/riscv/y.c" in compiler_warnings.found(
            "riscv/y.c:3:5: warning: unused\n", "/t", "tools/x")


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
        assert DIFFERS and SKIPS
        assert all(entry.why for entry in (*DIFFERS, *SKIPS))


def test_a_child_and_its_children_end_with_the_block(tmp_path):
    pid = tmp_path / "pid"
    with process.child(["sh", "-c", f"sleep 60 & echo $! >{pid}; wait"]):
        while not pid.exists() or not pid.read_text():
            time.sleep(0.01)
        number = pid.read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", number], text=True,
                           check=False, stdout=subprocess.PIPE).stdout
    assert state.strip() in ("", "Z")


def report_of(tests):
    """What a run has reported by its end: {name: the failure, or nothing}."""
    results = Report(settings=None, artifacts=None)
    for name, said in tests.items():
        results.pytest_runtest_logreport(SimpleNamespace(
            user_properties=[],
            nodeid=f"test_x.py::{name}", when="call", skipped=False,
            failed=bool(said), duration=1.5, longrepr=said))
    return results


def test_a_failure_is_shown_again_at_the_end(capsys):
    results = report_of({"test_good": "", "test_bad": "first\nlast"})
    capsys.readouterr()
    results.print_failures()
    assert capsys.readouterr().out == (
        "\nFailures in full:\n  test_bad  1.5 s\n    first\n    last\n")


@pytest.mark.parametrize("kind, late", ((Failure, set()),
                                        (TimedOut, {"test_x.py::test_bad"})))
def test_a_test_that_only_ran_out_of_time_is_known(kind, late):
    results = report_of({})
    shown = SimpleNamespace(nodeid="test_x.py::test_bad")
    hook = results.pytest_runtest_makereport(
        SimpleNamespace(stash=pytest.Stash()), SimpleNamespace(
            excinfo=SimpleNamespace(value=kind("It is late.")), when="call"))
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(SimpleNamespace(get_result=lambda: shown))
    assert shown.longrepr == "It is late." and results.timed_out == late


def test_the_tally_names_what_failed(capsys):
    tally = harness_tests.Tally(1, 1, 0, report_of(
        {"test_good": "", "test_bad": "first\nlast"}).failures)
    # Else it would be in the log of the tests, as if it were theirs.
    capsys.readouterr()
    assert str(tally) == ("Failed:\n  test_bad: first\n"
                          "1 passed, 1 failed, 0 skipped")
    assert str(harness_tests.Tally(2)) == "2 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("said, shown", (
    ("\n  one\ntwo", "one"),
    ("The kernel complained:\n    BUG: here\n    there",
     "The kernel complained: BUG: here"),
    # Of a failed assertion, the traceback begins with its arguments.
    (SimpleNamespace(reprcrash=SimpleNamespace(
        message="AssertionError: no pages\nassert 1 == 2")),
     "AssertionError: no pages"),
    ("", "no reason is given"),
), ids=("text", "title", "assertion", "nothing"))
def test_the_reason_for_a_failure(said, shown):
    assert reason_of(said) == shown


def test_a_reason_is_short():
    assert len(reason_of("word " * 1000)) <= WIDTH


@pytest.mark.parametrize("said, shown", (
    ("test a ... ok\ntest b::c ... FAILED\ntest d ... FAILED\n\nfailures:\n\n"
     "---- b::c stdout ----\nit prints\n\n"
     "thread 'b::c' (7) panicked at tests/b.rs:1:2:\nleft is not right\n"
     "  left: 1\n\n---- d stdout ----\nError: 3\n",
     ["logic: b::c: left is not right", "logic: d: it did not panic"]),
    ("   Compiling x\nerror[E0425]: cannot find value `y`\n  --> a.rs\n",
     ["logic: error[E0425]: cannot find value `y`"]),
    ("", ["logic: cargo test exited with status 101"]),
), ids=("tests", "compiler", "nothing"))
def test_failures_of_the_logic_are_named(said, shown):
    assert harness_tests.logic_failures(said, 101) == shown


RESULT = "test result: ok. {} passed; {} failed; {} ignored; 0 measured\n"


@pytest.mark.parametrize("said, status, counted", (
    (RESULT.format(3, 0, 1) + RESULT.format(4, 0, 0), 0, (7, 0, 1)),
    (RESULT.format(3, 2, 0), 101, (3, 2, 0)),
    (RESULT.format(3, 0, 0), 101, (3, 1, 0)),
    (RESULT.format(0, 0, 0), 0, (0, 1, 0)),
    (RESULT.format(0, 0, 5), 0, (0, 1, 5)),
    ("", 0, (0, 1, 0)),
), ids=("passed", "failed", "killed", "empty", "ignored", "nothing"))
def test_results_of_the_logic_are_counted(said, status, counted):
    assert harness_tests.count_logic(said, status) == counted


def test_logic_that_tests_nothing_is_named():
    assert harness_tests.logic_failures("", 0) == ["logic: no test has passed"]


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
