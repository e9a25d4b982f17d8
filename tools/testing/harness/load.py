# SPDX-License-Identifier: GPL-2.0
"""Work for all CPUs of a guest, whose result is known beforehand.

The guest's side, guest/guest-load, says what is written when. While it goes
on, the guest compares what it reads with what it has written; at its end, all
is compared here with what there has to be.
"""

import hashlib

FILES = 1
KIB = 256
TIMEOUT = 120


def start(vm, files=FILES, kib=KIB):
    vm.check(f"load start {files} {kib}")


def advance(vm, rounds=1, timeout=TIMEOUT):
    """Wait until every CPU has written all of its files some more times."""
    vm.check(f"load advance {rounds}", timeout)


def finish(vm, files=FILES, kib=KIB):
    """End the load; fail unless every file holds what it should."""
    lines = [line.split() for line in
             vm.check("load stop", TIMEOUT).splitlines() if line.strip()]
    found = {(int(cpu), int(file)): (int(done), md5)
             for cpu, file, done, md5, _ in lines}
    if len(found) != vm.vcpus * files:
        raise vm.failure(f"The load has {len(found)} files, "
                         f"not {vm.vcpus * files}")
    for (cpu, file), (done, md5) in found.items():
        if not done:
            raise vm.failure(f"The load has done nothing on CPU {cpu}")
        if md5 != checksum(f"{cpu} {file} {done}", kib):
            vm.run(f"load differ {cpu} {file}")
            raise vm.failure(f"File {file} of CPU {cpu} is not what was "
                             f"written in round {done}")


def checksum(text, kib):
    """Of what `load pattern TEXT KIB` prints."""
    line = f"{text}\n".encode()
    size = kib * 1024
    data = (line * (size // len(line) + 1))[:size]
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
