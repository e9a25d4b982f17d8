# SPDX-License-Identifier: GPL-2.0
"""Running other programs: logged, with progress, and never left behind."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

from .errors import Failure

# How often a line of progress is printed where no terminal shows a live one.
QUIET_INTERVAL = 30
LAST_LINES = 20
GRACE = 5


def raise_on_signals():
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does."""

    def interrupt(number, _frame):
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


@contextlib.contextmanager
def child(argv, **options):
    """A child in a process group of its own, all of it gone when this ends."""
    process = subprocess.Popen([str(arg) for arg in argv], process_group=0,
                               **options)
    try:
        yield process
    finally:
        end_group(process)


def end_group(process):
    """End what is left of the group that `process` leads."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + GRACE
        while _signal_group(process, number) and time.monotonic() < deadline:
            # Only so that the leader is no zombie when it is looked for again.
            process.poll()
            time.sleep(0.02)
            number = 0
    process.wait()


def _signal_group(process, number):
    """Signal the group; say whether there was anything to signal."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # The group runs under sudo, which passes signals on.
        if process.poll() is not None:
            return False
        process.send_signal(number)
    return True


def output(argv, **options):
    """What a short command prints."""
    try:
        done = subprocess.run([str(arg) for arg in argv], check=True,
                              text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **options)
    except FileNotFoundError as error:
        raise Failure(f"{argv[0]} is not there.",
                      f"Run `make run`, which installs it: {error}") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip()
        raise Failure(f"`{_shown(argv)}` failed with status "
                      f"{error.returncode}:\n{said}") from error
    return done.stdout


def run_quietly(argv):
    """What a command prints, whatever its status."""
    return subprocess.run([str(arg) for arg in argv], text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def in_foreground(argv):
    """Run a command that talks to the terminal."""
    if subprocess.run([str(arg) for arg in argv], check=False).returncode:
        raise Failure(f"`{_shown(argv)}` failed.")


def run(argv, log, what, advice=None, check=True, **options):
    """Run a command whose output goes to `log`; return its exit status.

    A failure shows the last lines and says where the whole log is.
    """
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as sink:
        begin = sink.tell()
        sink.write(f"$ {_shown(argv)}\n".encode())
        sink.flush()
        progress = Progress(what)
        try:
            with child(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, **options) as process:
                _follow(process, sink, progress)
                status = process.wait()
        except FileNotFoundError as error:
            raise Failure(f"{what}: {argv[0]} is not there.",
                          advice) from error
        finally:
            progress.clear()
    if check and status:
        raise Failure(
            f"{what} failed: `{_shown(argv)}` exited with status {status}.\n"
            f"{last_lines(log, begin=begin)}\nThe whole log: {log}", advice)
    return status


def new_log(log):
    """Empty the log that the commands of a step are going to share."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")


def last_lines(path, count=LAST_LINES, begin=0):
    """How a log ends, from the offset `begin` on at most."""
    try:
        with open(path, "rb") as file:
            file.seek(begin)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return "    (no log was written)"
    return "\n".join(f"    {line}" for line in lines[-count:])


class Progress:
    """One live line on a terminal; a line now and then anywhere else."""

    def __init__(self, what):
        self.what = what
        self.start = time.monotonic()
        self.live = sys.stdout.isatty()
        self.interval = 0.2 if self.live else QUIET_INTERVAL
        self.next = self.start + self.interval

    def show(self, line):
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + self.interval
        text = f"  {self.what} {clock(now - self.start)}  {line.strip()}"
        if self.live:
            width = os.get_terminal_size(sys.stdout.fileno()).columns
            print(f"\r\033[K{text[:max(width - 1, 20)]}", end="", flush=True)
        else:
            print(text[:110], flush=True)

    def clear(self):
        if self.live:
            print("\r\033[K", end="", flush=True)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _follow(process, sink, progress):
    line = partial = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=1):
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    return
                sink.write(data)
                sink.flush()
                *whole, partial = (partial + data).split(b"\n")
                line = whole[-1] if whole else line
            progress.show(line.decode(errors="replace"))


def _shown(argv):
    text = " ".join(str(arg) for arg in argv)
    return text if len(text) <= 300 else f"{text[:300]} ..."
