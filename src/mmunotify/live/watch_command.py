"""`watch_command`: run a program with drivers on its memory, and on that of its children.

Invariant: where the ends of operations cannot be seen, the record says so.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.lang.driver import Driver
from mmunotify.live.guarded import HookError
from mmunotify.live.memory import MemoryRange
from mmunotify.live.only import ALL, Only
from mmunotify.live.recording import Recording, Told
from mmunotify.live.supervised import Supervised
from mmunotify.live.traced import Traced
from mmunotify.live.watched import Watched
from mmunotify.primary.notifiers import overrides
from mmunotify.trace.record import Trace

__all__ = ["Outcome", "Wanted", "watch_command"]

_PATIENCE: Final = 2.0  # seconds that a program has to end after an interrupt


@dataclass(frozen=True)
class Wanted:
    """How a program is watched.

    `limit` events are kept, later ones are counted. After `hook_timeout` seconds a program goes on
    although a hook has not returned. `follow`: children get drivers of their own. `ptrace`: ends
    are told when they come; else when the thread is heard of again. `device`: one uses the driver,
    if it has `fault` and ends are known.
    """

    limit: int
    hook_timeout: float = 10.0
    only: Only = ALL
    follow: bool = True
    ptrace: bool = True
    device: bool = True


@dataclass(frozen=True)
class Outcome:
    """The record, the program's exit code, how many calls of hooks failed, and how many
    translations were stale."""

    trace: Trace
    status: int
    failures: int
    stale: int
    interrupted: bool


def watch_command(
    command: Sequence[str], kind: type[Driver], wanted: Wanted, told: Told
) -> Outcome:
    """Run `command`, telling drivers of class `kind`, until it and its children have ended.

    In the main thread. Raises `CannotError` E401 where no filter can be had.
    """
    run = _Run(command, kind, wanted, told)
    status, interrupted = run.traced() if wanted.ptrace else run.supervised()
    trace = run.recording.trace(
        f"{kind.__name__.lower()} on {' '.join(command)}", [_exit_of(status), *run.notes()]
    )
    failures = sum(run.recording.failed.values())
    return Outcome(trace, status, failures, run.recording.stale_count, interrupted)


class _Run:
    """One run of a command."""

    def __init__(
        self, command: Sequence[str], kind: type[Driver], wanted: Wanted, told: Told
    ) -> None:
        self.recording = Recording(wanted.limit, told)
        self._command, self._kind, self._wanted = command, kind, wanted
        self._watched: list[Watched] = []
        self._unseen = ""  # what of the children is to be said
        self._ends = ""
        self._device = wanted.device and overrides(kind, "fault")

    def traced(self) -> tuple[int, bool]:
        """Run it under ptrace, or as well as that is permitted."""
        try:
            program = Traced(self._command, self._attach, hook_timeout=self._wanted.hook_timeout)
        except OSError as error:
            self._ends = f"ptrace is not permitted ({error.strerror}): "
            return self.supervised()
        status = program.run()
        if not program.processes:
            raise _cannot("the program has not begun")
        others = len(program.processes) - 1
        if others and not self._wanted.follow:
            self._unseen = f"{others:,} {'child' if others == 1 else 'children'} ran unseen"
        if program.debuggers:
            times = "once" if program.debuggers == 1 else f"{program.debuggers:,} times"
            self.recording.note(
                f"the program used ptrace itself, {times}, and could not trace: --no-ptrace lets it"
            )
        return status, program.interrupted

    def supervised(self) -> tuple[int, bool]:
        """Run it by seccomp alone."""
        self._device = False  # what it has after a section cannot be judged
        self._ends += "the end of an operation was told when its thread was heard of again"
        self._unseen = "children, if there were any, ran unseen"
        first = _First()
        try:
            program = Supervised(
                self._command,
                first,
                hook_timeout=self._wanted.hook_timeout,
                on_error=first.fails,
            )
        except OSError as error:  # TimeoutError and ProcessLookupError among them
            raise _cannot(str(error)) from None
        first.runs(self._attach(program.process.pid, Path(self._command[0]).name))
        return _ended(program)

    def notes(self) -> Iterator[str]:
        """Yield what a reader has to know."""
        yield from filter(None, (self._ends, self._unseen))
        yield from self._of_device()
        flushes = sum(one.driver.tlb.flushes for one in self._watched)
        what = f"{flushes:,} {'flush' if flushes == 1 else 'flushes'}"
        yield f"the driver asked for {what} of its translation caches"

    def _of_device(self) -> Iterator[str]:
        """What the devices of all processes did, and what came of it."""
        devices = [one.device for one in self._watched if one.device is not None]
        if not devices:
            yield "no device ran: the hooks were called, and nothing faulted"
            return
        used = sum(one.pages for one in devices)
        accesses, faults = sum(one.accesses for one in devices), sum(one.faults for one in devices)
        retries, refusals = sum(o.retries for o in devices), sum(o.refusals for o in devices)
        yield (
            f"device: {accesses:,} accesses to {used:,} pages, {faults:,} faults, "
            f"{retries:,} retried, {refusals:,} refused"
        )
        untold = sum(len(one.coherence.untold) for one in self._watched if one.coherence)
        yield f"pages that changed and nobody was told: {untold:,}"
        left = sum(one.coherence.left for one in self._watched if one.coherence)
        if left:
            pages = "1 page" if left == 1 else f"{left:,} pages"
            yield f"still translated when the program had ended: {pages}; the driver has no release"
        if any(one.table.hides_frames for one in self._watched if one.table):
            yield "frame numbers are hidden: a page is taken for the same until it was gone once"
        for name in sorted({name for one in devices for name in one.not_run}):
            yield f"the driver's thread {name} did not run: it is no daemon"

    def _attach(self, process: int, name: str) -> Watched | None:
        if self._watched and not self._wanted.follow:
            return None
        made = Watched(self._kind, self.recording, process, name, self._wanted.only, self._device)
        self._watched.append(made)
        return made


class _First:
    """The notifier of a program whose number is not known yet: calls wait until it is."""

    def __init__(self) -> None:
        self._known = threading.Event()
        self._watched: Watched | None = None

    def runs(self, watched: Watched | None) -> None:
        """It has a number, and somebody who is told."""
        self._watched = watched
        self._known.set()

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """An operation waits."""
        self._who().invalidate_range_start(rng)

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """It is over."""
        self._who().invalidate_range_end(rng)

    def release(self) -> None:
        """The program has ended."""
        self._who().release()

    def fails(self, found: HookError) -> None:
        """The monitor waits for a hook no longer."""
        self._who().gives_up(found)

    def _who(self) -> Watched:
        self._known.wait()
        assert self._watched is not None
        return self._watched


def _cannot(reason: str) -> CannotError:
    what = f"the program's memory operations cannot be stopped: {reason}"
    fix = "seccomp and, without ptrace, pidfd_getfd: Linux 5.6, not forbidden by a container"
    return CannotError(Diagnostic("E401", None, what, fix=fix))


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
