# SPDX-License-Identifier: GPL-2.0
"""What a step of the workspace has in common: a lock, a stamp, a line said."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path

from .process import clock

_start = time.monotonic()


def say(step, text):
    """One line of progress of a step."""
    say_line(f"{step}: {text}")


def say_line(line):
    """One line, with the time since the command began."""
    elapsed = clock(time.monotonic() - _start)
    print(f"[{elapsed:>5}] {line}", flush=True)


@contextlib.contextmanager
def lock(path, step="workspace"):
    """Hold the file lock `path`, saying so when another run has it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            say(step, f"waiting for another run (process {owner}) to let go "
                      f"of {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def digest(*parts):
    """A short name for everything in `parts`: strings, bytes, files."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes()
        elif not isinstance(part, bytes):
            part = str(part).encode()
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()[:16]


@contextlib.contextmanager
def whole(path):
    """A temporary place beside `path`, renamed to it only when complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    remove(partial)
    try:
        yield partial
        remove(path)
        partial.rename(path)
    finally:
        remove(partial)


def remove(path):
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_if_changed(path, data):
    """Write `data`, unless it is there already: then the mtime stays."""
    path = Path(path)
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return False
    with whole(path) as partial:
        partial.write_bytes(data)
        if path.is_file():
            shutil.copymode(path, partial)
    return True
