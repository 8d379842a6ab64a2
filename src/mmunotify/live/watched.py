"""`watch_command`: a driver's hooks called for every memory operation of a program that it starts.

The program's own system calls are stopped before they change memory (`live.supervised`), so the
start hook runs before and the program waits for it. No device runs: nothing faults.
Invariant: whatever a hook does, the program goes on, and the failure is in the record.
"""

from __future__ import annotations

import contextlib
import platform
import signal
import subprocess
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.maps import Maps, areas_of
from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.live.guarded import HookError, print_hook_error
from mmunotify.live.memory import PAGE_SIZE, MemoryRange
from mmunotify.live.supervised import Supervised
from mmunotify.trace.record import Activity, Header, Lane, Mapping, Notified, Omitted, Trace

__all__ = ["CALLED", "Outcome", "Watched", "watch_command"]

CALLED: Final = (
    "invalidate_range_start",
    "arch_invalidate_secondary_tlbs",
    "invalidate_range_end",
    "release",
)
"""The hooks that are called, if the driver has them."""

_EVERYTHING: Final = (0, 1 << 47)  # what a call by a descriptor may be about
_PATIENCE: Final = 2.0  # seconds that a program has to end after an interrupt


@dataclass(frozen=True)
class Outcome:
    """The record, the program's exit code, and how many calls of hooks failed."""

    trace: Trace
    status: int
    failures: int
    interrupted: bool


class Watched:
    """The notifier of a running program: it calls the driver's hooks and keeps the record."""

    def __init__(self, driver: Driver, limit: int, told: Callable[[Notified], None]) -> None:
        self.driver = driver
        self.calls: Counter[str] = Counter()
        self.seconds: dict[str, float] = dict.fromkeys(CALLED, 0.0)
        self.failed: Counter[str] = Counter()
        self.notes: list[str] = []
        self.kept: list[Notified] = []
        self.omitted: dict[str, tuple[int, int]] = {}
        self._limit, self._told = limit, told
        self._open: dict[int, list[MemoryRange]] = {}
        self._began = time.monotonic_ns()
        self._running = threading.Event()
        self.maps: Maps | None = None

    def runs(self, process: int) -> None:
        """The program has this number."""
        self.maps = Maps(process)
        self._running.set()

    # -- what the monitor calls -----------------------------------------------------------------

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """An operation waits."""
        self._running.wait()
        parts = list(self._parts(rng))
        self._open[id(rng)] = parts
        for part in parts:
            self._keep(part)
            self._call("invalidate_range_start", part)

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """It is over."""
        for part in self._open.pop(id(rng), []):
            self._call("arch_invalidate_secondary_tlbs", part)
            self._call("invalidate_range_end", part)

    def release(self) -> None:
        """The program has ended."""
        self._call("release")

    def fails(self, found: HookError) -> None:
        """The monitor waits for a hook no longer: the driver is told nothing more."""
        self.failed[found.hook] += 1
        self.notes.append(f"{found.error}; nothing later was told, nor is it in the record")
        print_hook_error(HookError(self.driver, found.hook, found.range, found.error))

    # -- the record -----------------------------------------------------------------------------

    def trace(self, subject: str, notes: Sequence[str]) -> Trace:
        """Return what happened so far."""
        return Trace(
            header=Header(
                source="live",
                subject=subject,
                lanes=[Lane(name=self.driver.name, role="driver", mmu="secondary")],
            ),
            notified=self.kept,
            mappings=list(self._mappings()),
            activity=Activity(
                machine=f"{platform.system()} {platform.release()}",
                seconds=round((time.monotonic_ns() - self._began) / 1e9, 6),
                omitted=[
                    Omitted(kind="unmap", cause=cause, calls=calls, pages=pages)
                    for cause, (calls, pages) in sorted(self.omitted.items())
                ],
                page=PAGE_SIZE,
                notes=[*self.notes, *notes, *self._hooks()],
            ),
        )

    def _hooks(self) -> Iterator[str]:
        for hook in CALLED:
            if self.calls[hook]:
                calls = "1 call" if self.calls[hook] == 1 else f"{self.calls[hook]:,} calls"
                text = f"{hook}: {calls}, {self.seconds[hook] * 1e3:.3f} ms"
                failed = self.failed[hook]
                yield f"{text}, {failed:,} failed" if failed else text

    def _mappings(self) -> Iterator[Mapping]:
        starts = sorted({one.start for one in self.kept})
        for start, end, name in self.maps or ():
            at = bisect_left(starts, start)
            if at < len(starts) and starts[at] < end:
                yield Mapping(lane=0, start=start, end=end, name=name)

    def _keep(self, rng: MemoryRange) -> None:
        if len(self.kept) >= self._limit:
            calls, pages = self.omitted.get(rng.operation, (0, 0))
            self.omitted[rng.operation] = calls + 1, pages + rng.size
            return
        if self.maps is not None and self.maps.find(rng.address) is None:
            self.maps.look()  # the program stands still: the memory is there yet
        one = Notified(
            time=time.monotonic_ns() - self._began,
            lane=0,
            kind="unmap",
            start=rng.address,
            end=rng.address + rng.length,
            cause=rng.operation,
        )
        self.kept.append(one)
        self._told(one)

    def _parts(self, rng: MemoryRange) -> Iterator[MemoryRange]:
        """Cut a range that may be any memory to what is mapped."""
        if (rng.address, rng.address + rng.length) != _EVERYTHING:
            if rng.size:
                yield rng
            return
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            for start, end, _ in areas_of(self.maps.pid if self.maps else 0):
                if end <= _EVERYTHING[1]:
                    yield MemoryRange.around(start, end, rng.event, rng.operation)

    def _call(self, hook: str, *rng: PageRange) -> None:
        if getattr(type(self.driver), hook) is getattr(Driver, hook):
            return
        self.calls[hook] += 1
        began = time.perf_counter()
        try:
            getattr(self.driver, hook)(*rng)
        except Exception as error:  # a hook may raise anything; the others are called all the same
            self.failed[hook] += 1
            print_hook_error(HookError(self.driver, hook, rng[0] if rng else None, error))
        finally:
            self.seconds[hook] += time.perf_counter() - began


def watch_command(
    command: Sequence[str],
    driver: Driver,
    *,
    limit: int,
    hook_timeout: float,
    told: Callable[[Notified], None],
) -> Outcome:
    """Run `command`, calling the hooks of `driver`, until it and its children have ended.

    `limit` events are kept, later ones are counted. After `hook_timeout` seconds the program goes
    on although a hook has not returned. Raises `CannotError` E401 where no filter can be had.
    """
    watched = Watched(driver, limit, told)
    program = _started(command, watched, hook_timeout)
    watched.runs(program.process.pid)
    status, interrupted = _ended(program)
    notes = [_exit_of(status), "no device ran: the hooks were called, and nothing faulted"]
    flushes = f"{driver.tlb.flushes:,} {'flush' if driver.tlb.flushes == 1 else 'flushes'}"
    notes.append(f"the driver asked for {flushes} of its translation caches")
    trace = watched.trace(f"{driver.name} on {' '.join(command)}", notes)
    return Outcome(trace, status, sum(watched.failed.values()), interrupted)


def _started(command: Sequence[str], watched: Watched, seconds: float) -> Supervised:
    try:
        return Supervised(command, watched, hook_timeout=seconds, on_error=watched.fails)
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
