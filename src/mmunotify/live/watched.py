"""`Watched`: the memory of a running program, with drivers that are told of what it does to it.

The drivers are told by the protocol that `check` explores (`live.notifiers`).
Invariant: whatever a hook does, the program goes on, and the failure is in the record.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.maps import areas_of
from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import Violation
from mmunotify.lang.thread import Thread
from mmunotify.live.guarded import HookError
from mmunotify.live.memory import MemoryRange
from mmunotify.live.open_mm import TOP, OpenMm, opened
from mmunotify.live.recording import Recording, Told
from mmunotify.live.runtime import Threads
from mmunotify.live.supervised import Supervised
from mmunotify.trace.record import Trace

__all__ = ["Outcome", "Watched", "watch_command"]

R = TypeVar("R", bound=MemoryRange | None)

_EVERYTHING: Final = (0, TOP)  # what a call by a descriptor may be about
_PATIENCE: Final = 2.0  # seconds that a program has to end after an interrupt


@dataclass(frozen=True)
class Outcome:
    """The record, the program's exit code, and how many calls of hooks failed."""

    trace: Trace
    status: int
    failures: int
    interrupted: bool


class Watched:
    """The notifier of a running program: an mm with a driver of class `kind`.

    Each thread of the program is a `Thread` of the protocol; what a monitor calls runs on behalf of
    the one that its range names.
    """

    def __init__(self, kind: type[Driver], recording: Recording) -> None:
        self.mm = OpenMm(Threads(), self._fails)
        self._recording = recording
        self._open: dict[int, list[MemoryRange]] = {}
        self._threads: dict[int, Thread] = {}
        self._running = threading.Event()
        self._process = self._lane = 0
        self._broken = False  # the protocol was left in the middle of something
        with self.mm.threads.running():
            self.driver = opened(kind, self.mm)
        recording.attend(self.driver)

    def runs(self, process: int, name: str) -> None:
        """The program has this number and name."""
        self._process, self._lane = process, self._recording.lane(process, name)
        self._running.set()

    # -- what the monitor calls -----------------------------------------------------------------

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """An operation waits."""
        self._running.wait()
        self._open[id(rng)] = []
        self._on_behalf_of(rng, self._begin)

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """It is over."""
        self._on_behalf_of(rng, self._end)

    def release(self) -> None:
        """The program has ended."""
        self._on_behalf_of(None, lambda _: self.mm.notifiers.release())

    def gives_up(self, found: HookError) -> None:
        """The monitor waits for a hook no longer: the driver is told nothing more."""
        self._recording.notes.append(
            f"{found.error}; nothing later was told, nor is it in the record"
        )
        self._fails(found)

    def _fails(self, found: HookError) -> None:
        self._recording.fails(HookError(self.driver, found.hook, found.range, found.error))

    def _begin(self, rng: MemoryRange) -> None:
        for part in self._parts(rng):
            self._open[id(rng)].append(part)
            self._recording.keep(self._lane, part)
            self.mm.section_begins(part)

    def _end(self, rng: MemoryRange) -> None:
        for part in reversed(self._open.pop(id(rng), [])):
            self.mm.section_ends(part)

    def _on_behalf_of(self, rng: R, body: Callable[[R], None]) -> None:
        """Run the protocol for a thread of the program, unless a hook has left it in a mess."""
        if self._broken:
            return
        tid = rng.thread if rng is not None else 0
        thread = self._threads.get(tid)
        if thread is None:
            thread = self._threads[tid] = Thread(f"thread {tid}", _nothing, mm=self.mm)
        try:
            with self.mm.threads.running_for(thread):
                body(rng)
        except Violation as violation:  # a hook did what the protocol forbids
            self._broken = True
            self._recording.notes.append(f"{violation}; nothing later was told")
            self._fails(HookError(self.driver, "the protocol", rng, violation))

    def _parts(self, rng: MemoryRange) -> Iterator[MemoryRange]:
        """Cut a range that may be any memory to what is mapped."""
        if (rng.address, rng.address + rng.length) != _EVERYTHING:
            if rng.size:
                yield rng
            return
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for start, end, _ in areas_of(self._process):
                if end <= TOP:
                    yield MemoryRange.around(start, end, rng.event, rng.operation, rng.thread)


def _nothing() -> None:
    """The body of a thread that is another program's."""


def watch_command(
    command: Sequence[str],
    kind: type[Driver],
    *,
    limit: int,
    hook_timeout: float,
    told: Told,
) -> Outcome:
    """Run `command`, telling a driver of class `kind`, until it and its children have ended.

    `limit` events are kept, later ones are counted. After `hook_timeout` seconds the program goes
    on although a hook has not returned. Raises `CannotError` E401 where no filter can be had.
    """
    recording = Recording(limit, told)
    watched = Watched(kind, recording)
    program = _started(command, watched, hook_timeout)
    watched.runs(program.process.pid, Path(command[0]).name)
    status, interrupted = _ended(program)
    notes = [_exit_of(status), "no device ran: the hooks were called, and nothing faulted"]
    driver = watched.driver
    flushes = f"{driver.tlb.flushes:,} {'flush' if driver.tlb.flushes == 1 else 'flushes'}"
    notes.append(f"the driver asked for {flushes} of its translation caches")
    trace = recording.trace(f"{driver.name} on {' '.join(command)}", notes)
    return Outcome(trace, status, sum(recording.failed.values()), interrupted)


def _started(command: Sequence[str], watched: Watched, seconds: float) -> Supervised:
    try:
        return Supervised(command, watched, hook_timeout=seconds, on_error=watched.gives_up)
    except OSError as error:  # TimeoutError and ProcessLookupError among them
        what = f"the program's memory operations cannot be stopped: {error}"
        fix = "seccomp user notification and pidfd_getfd: Linux 5.6, not forbidden by a container"
        raise CannotError(Diagnostic("E401", None, what, fix=fix)) from None


def _ended(program: Supervised) -> tuple[int, bool]:
    """Wait for the end; an interrupt is passed on, and the program has some time to obey."""
    try:
        return program.wait(), False
    except KeyboardInterrupt:
        program.process.send_signal(signal.SIGINT)
    try:
        program.process.wait(_PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        program.process.kill()
    return program.wait(), True


def _exit_of(status: int) -> str:
    if status < 0:
        return f"the command was ended by {signal.Signals(-status).name}"
    return f"the command exited with {status}"
