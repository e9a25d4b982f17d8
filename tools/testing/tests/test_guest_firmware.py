# SPDX-License-Identifier: GPL-2.0
"""Guests that are firmware: a prompt, a reset, and the end by their command.

Firmware asks for other things than Linux does: it executes from flash memory, which is
a read-only memslot, writes its variables to flash memory that is a device, and polls
instead of waiting for interrupts.
"""

import pytest

from harness.vm import FirmwareVm

pytestmark = [pytest.mark.cpus("rv64"), pytest.mark.rust_sample]

# What each says once in a boot, ahead of its prompt, which may be there twice.
U_BOOT_BEGINS = r"U-Boot 20\d\d"
EDK2_BEGINS = r"UEFI Interactive Shell v\d"
U_BOOT = "/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf"
EDK2 = "/usr/share/qemu-efi-riscv64/RISCV_VIRT"


def test_u_boot(host):
    with FirmwareVm(host, f"-kernel {U_BOOT}",
                    ((U_BOOT_BEGINS, ""), ("Hit any key", " "), ("=> ", "")),
                    "reset", "poweroff") as vm:
        vm.reboot()


def test_edk2(host, report):
    host.check(f"cp {EDK2}_VARS.fd /tmp/vars.fd")
    flash = (f"-drive if=pflash,unit=0,format=raw,readonly=on,file={EDK2}_CODE.fd "
             "-drive if=pflash,unit=1,format=raw,file=/tmp/vars.fd")
    with FirmwareVm(host, flash, ((EDK2_BEGINS, ""), ("Shell> ", "")), "reset -c",
                    "reset -s") as vm:
        if report.settings.full:
            vm.reboot()
    host.check("rm /tmp/vars.fd")
