# SPDX-License-Identifier: GPL-2.0
"""What the log of a host, of a guest, or of a compiler is judged by."""

import re

import pytest

from harness import backend, splats
from workspace import compiler_warnings
from workspace.settings import REPOSITORY

# The words of a message at that level in the sources of the backend.
ERROR = re.compile(r"pr_err(?:_once)?!\(\s*\"(.*?)\\n\"")


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
            line = "[ 0.3] kvm: " + text.replace("{}", "1")
            assert splats.find(line) or splats.find_exit_error(line), text

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

    def test_a_process_that_is_killed_for_its_group_is_no_splat_if_forgiven(self):
        log = ("[ 9.1] qemu-system-ris invoked oom-killer: gfp_mask=0xcc0\n"
               "[ 9.1] Call Trace:\n" + "[ 9.1] memory: usage 102400kB\n" * 90 +
               "[ 9.2] Memory cgroup out of memory: Killed process 80 (qemu)\n")
        assert splats.find(log)
        assert not splats.find(splats.OUT_OF_MEMORY.without(log))
        # The host's own memory is another matter.
        for wrong in (log.replace("Memory cgroup out", "Out"),
                      log.replace("memory: usage", "BUG: usage", 1)):
            assert splats.find(splats.OUT_OF_MEMORY.without(wrong))

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
        "Convert non guest_memfd backed memory region (0x8000 ,+ 0x1000) to shared",
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
