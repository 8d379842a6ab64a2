"""A program whose memory operations wait for hooks."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tests.live.subject import as_nobody

from mmunotify.live import HookError, MemoryRange
from mmunotify.live.supervised import Supervised

PROGRAM = """
import mmap, os, subprocess, sys
m = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m[:3] = b"old"
print("ready", flush=True)
m.madvise(mmap.MADV_DONTNEED)
print(m[:3] == bytes(3), flush=True)
subprocess.run(["/bin/true"])
m.close()
"""


class Looking:
    """Reads the memory that is about to change."""

    def __init__(self) -> None:
        self.seen: dict[str, bytes] = {}
        self.sections: list[str] = []
        self.process = 0

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        self.sections.append("start")
        if rng.length == 1 << 16 and self.process:
            with Path(f"/proc/{self.process}/mem").open("rb", buffering=0) as memory:
                memory.seek(rng.address)
                self.seen.setdefault(rng.operation, memory.read(3))

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        self.sections.append("end")

    def release(self) -> None:
        self.sections.append("release")


def run(notifier: object, source: str = PROGRAM, **more: float) -> tuple[int, str, Supervised]:
    """Run a program of Python under a notifier."""
    errors: list[HookError] = []
    program = Supervised(
        [sys.executable, "-c", source],
        notifier,
        on_error=errors.append,
        stdout=subprocess.PIPE,
        text=True,
        **more,
    )
    if isinstance(notifier, Looking):
        notifier.process = program.process.pid
    assert program.process.stdout is not None
    output = program.process.stdout.read()
    program.process.stdout.close()
    code = program.wait()
    program.errors = errors  # type: ignore[attr-defined]
    return code, output, program


def test_before_and_blocking() -> None:
    """The start hook reads the bytes that the operation drops."""
    looking = Looking()
    code, output, _ = run(looking)
    assert (code, output.split()) == (0, ["ready", "True"])
    assert looking.seen["madvise"] == b"old"
    assert looking.seen["munmap"] == bytes(3)
    assert looking.sections[-1] == "release"
    assert looking.sections.count("start") == looking.sections.count("end")


def test_hook_that_raises() -> None:
    """It is reported, and the program goes on."""

    class Raising:
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            raise RuntimeError("no")

    code, output, program = run(Raising())
    assert (code, output.split()) == (0, ["ready", "True"])
    assert all(str(found.error) == "no" for found in program.errors)  # type: ignore[attr-defined]


def test_report_that_raises() -> None:
    """Whoever is told of a hook's error may fail as well: no call of the program does."""

    class Raising:
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            raise RuntimeError("no")

    def fails(found: HookError) -> None:
        raise ValueError("neither")

    command = [sys.executable, "-c", PROGRAM]
    program = Supervised(command, Raising(), on_error=fails, stdout=subprocess.DEVNULL)
    assert program.wait() == 0


def test_hook_that_never_returns() -> None:
    """After its time the program goes on, and the notifier is told nothing more."""
    leave = threading.Event()
    calls: list[str] = []

    class Stuck:
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            calls.append(rng.operation)
            leave.wait()

    code, output, program = run(Stuck(), hook_timeout=0.05)
    leave.set()
    assert (code, output.split()) == (0, ["ready", "True"])
    [error] = program.errors  # type: ignore[attr-defined]
    assert isinstance(error.error, TimeoutError)
    assert len(calls) == 1


def test_program_that_is_killed() -> None:
    """Nothing hangs when the program goes while it is stopped."""
    running: list[Supervised] = []
    started = threading.Event()

    class Killing:
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            started.wait(20)
            running[0].process.kill()

    running.append(
        Supervised([sys.executable, "-c", PROGRAM], Killing(), stdout=subprocess.DEVNULL)
    )
    started.set()
    assert running[0].wait() == -9


def test_no_such_program() -> None:
    """The launcher says so, and its exit code is not 0."""
    program = Supervised(["/no/such/program"], Looking(), stderr=subprocess.DEVNULL)
    assert program.wait() != 0


def test_without_privilege() -> None:
    """User nobody may do it, too."""
    outcome = as_nobody(
        """
        from tests.live.subject import become_nobody
        import mmap, os
        from mmunotify.live.seccomp import fetch_listener, install_filter, let_go, receive

        become_nobody()
        waits, goes = os.pipe()
        child = os.fork()
        if child == 0:
            memory = mmap.mmap(-1, 1 << 16)
            install_filter()
            os.read(waits, 1)
            memory.madvise(4)
            os._exit(7)
        listener = fetch_listener(child, 20)
        os.write(goes, b"g")
        stopped = receive(listener)
        print(stopped.call.name, stopped.ranges[0][1] - stopped.ranges[0][0])
        let_go(listener, stopped)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert outcome.output.split() == ["madvise", "65536", "7"], outcome
