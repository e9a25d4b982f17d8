# SPDX-License-Identifier: GPL-2.0
"""Byte streams between programs in the emulated host and this machine.

Each is a virtio port of the host. Here it is a socket, in the host a
character device that a guest's QEMU opens as it would a serial line.
"""

import re
import socket

from pexpect import fdpexpect


def options(directory, names):
    """QEMU's options for the ports; the sockets go to `directory`."""
    for name in names:
        yield from (
            "-chardev", f"socket,id={name},path={directory / name},"
                        "server=on,wait=off",
            "-device", f"virtserialport,chardev={name},name={name}")


def connect(directory, name):
    """The socket of a port, which must be there before the port is opened."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(directory / name))
    return connection


def terminal(connection, log):
    """A connection to read from by patterns."""
    spawned = fdpexpect.fdspawn(connection, encoding="utf-8",
                                codec_errors="replace")
    spawned.logfile_read = log
    return spawned


def devices(host):
    """{name: path} of the ports, by what the host's kernel says."""
    names = host.check("grep . /sys/class/virtio-ports/*/name")
    return {name: f"/dev/{device}" for device, name in
            re.findall(r"virtio-ports/(\w+)/name:(\S+)", names)}


def state(device):
    """The host's file that tells the state of the port behind a device."""
    return f"/sys/kernel/debug/virtio-ports/{device.rpartition('/')[2]}"
