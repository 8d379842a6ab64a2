"""`Watched`: one address space of a running program, with a driver that is told of what it does.

The driver is told by the protocol that `check` explores (`live.notifiers`).
Invariant: whatever a hook does, the program goes on, and the failure is in the record.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final, TypeVar

from mmunotify.kernel.maps import permitted_areas_of
from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import Violation
from mmunotify.lang.thread import Thread
from mmunotify.live.coherence import Coherence, Found
from mmunotify.live.guarded import HookError
from mmunotify.live.memory import PAGE_SIZE, MemoryRange
from mmunotify.live.only import Only
from mmunotify.live.open_mm import TOP, OpenMm, opened
from mmunotify.live.page_table import PageTable
from mmunotify.live.recording import Recording
from mmunotify.live.simulated import DeviceThreads, Simulated

__all__ = ["Watched"]

R = TypeVar("R", bound=MemoryRange | None)

_LARGE: Final = 1 << 14  # pages; a hook goes through smaller ranges in a few milliseconds
_LOOK_AGAIN: Final = 0.1  # seconds that what is mapped is believed
_EVERYTHING: Final = (0, TOP)  # what a call by a descriptor may be about


class Watched:
    """What a monitor tells of process `process`: an mm with a driver of class `kind`.

    Each thread of the program is a `Thread` of the protocol; what a monitor calls runs on behalf of
    the one that its range names. The driver is told of `only` a part of the memory. With `device`
    there is one that uses the driver (`live.simulated`).
    """

    def __init__(
        self,
        kind: type[Driver],
        recording: Recording,
        process: int,
        name: str,
        only: Only,
        device: bool,
    ) -> None:
        self.table = PageTable(process) if device else None
        self.mm = OpenMm(DeviceThreads(), self._fails, self.table)
        self._recording = recording
        self._open: dict[int, MemoryRange] = {}
        self._threads: dict[int, Thread] = {}
        self._process, self._only = process, only
        self._broken = False  # the protocol was left in the middle of something
        self._lane = recording.lane(process, name)
        with self.mm.threads.running():
            self.driver = opened(kind, self.mm)
        recording.attend(self.driver)
        self.device: Simulated | None = None
        self.coherence: Coherence | None = None
        if self.table is not None:
            anywhere = Anywhere(process, only)
            self.device = Simulated(
                self.driver, self.mm.threads, anywhere, self._device_fails, not only.is_all
            )
            self.coherence = Coherence(self.driver, self.table, self.device.used, self._stale)

    # -- what the monitor calls -----------------------------------------------------------------

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """An operation waits."""
        self._on_behalf_of(rng, self._begin)

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """It is over."""
        self._on_behalf_of(rng, self._end)

    def release(self) -> None:
        """The program has ended."""
        if self.device is not None:
            self.device.stop()
        self._on_behalf_of(None, self._release)
        if self.device is not None:
            self.device.end()  # the driver may have needed its own threads
        if self.table is not None:
            self.table.close()

    def gives_up(self, found: HookError) -> None:
        """The monitor waits for a hook no longer: the driver is told nothing more."""
        self._recording.note(f"{found.error}; nothing later was told, nor is it in the record")
        self._fails(found)
        self._rests()

    def _rests(self) -> None:
        """The driver is told nothing more, so nothing may be asked of it."""
        self._broken = self.mm.exits = True
        if self.device is not None:
            self.device.end()

    def _fails(self, found: HookError) -> None:
        self._recording.fails(HookError(self.driver, found.hook, found.range, found.error))

    def _begin(self, rng: MemoryRange) -> None:
        parts = list(self._parts(rng))
        for part in parts:
            self._recording.keep(self._lane, part)
        if parts:
            told = self._narrowed(MemoryRange.over(parts))
            if self.device is not None and not self._open:
                self.device.before(told)  # no fault can wait for the end of another section
            self._open[id(rng)] = told
            if self.coherence is not None:
                self.coherence.begins(told)
            self.mm.section_begins(told)

    def _narrowed(self, rng: MemoryRange) -> MemoryRange:
        """Leave out of a large range the pages that nobody can have translated."""
        pieces = rng.pieces or (rng,)
        if sum(piece.size for piece in pieces) <= _LARGE:
            return rng
        runs = list(self.mm.pages.runs())
        if self.table is not None:
            try:
                for piece in pieces:
                    runs += self.table.populated(piece.start, piece.end)
            except OSError:
                return rng
        spans = _joined(sorted((first, first + size) for first, size in runs))
        inside = [
            replace(
                rng,
                start=max(low, piece.start),
                size=min(high, piece.end) - max(low, piece.start),
                pieces=(),
            )
            for low, high in spans
            for piece in pieces
            if low < piece.end and piece.start < high
        ]
        return replace(rng, pieces=tuple(inside) or (replace(rng, size=0, pieces=()),))

    def _end(self, rng: MemoryRange) -> None:
        over = time.monotonic_ns()
        told = self._open.pop(id(rng), None)
        if told is None:
            return
        self._recording.ended(self._lane, rng)
        self.mm.section_ends(told)
        if self.device is not None and self.coherence is not None:
            self.device.after()
            self.coherence.ends(told, over)

    def _release(self, _: None) -> None:
        if self.coherence is not None:
            self.coherence.releases()
        self.mm.notifiers.release()
        if self.coherence is not None:
            self.coherence.released()

    def _stale(self, found: Found) -> None:
        self._recording.stale(self._lane, self.driver.name, found)

    def _device_fails(self, hook: str, error: Exception) -> None:
        self._recording.note(f"{hook} failed: the device did nothing more")
        self._fails(HookError(self.driver, hook, None, error))

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
            self._rests()
            self._recording.note(f"{violation}; nothing later was told")
            self._fails(HookError(self.driver, "the protocol", rng, violation))

    def _parts(self, rng: MemoryRange) -> Iterator[MemoryRange]:
        """Cut a range to what is to be told of, one that may be any memory to what is mapped."""
        start, end = rng.address, rng.address + rng.length
        anything = (start, end) == _EVERYTHING
        if self._only.is_all and not anything:
            if rng.size:
                yield rng
            return
        areas = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            areas = list(permitted_areas_of(self._process))
        if self._only.is_all:
            parts = _joined(area[:2] for area, mode in areas if mode[:3] != "---")
        else:
            parts = self._only.parts(start, end, [area for area, _ in areas])
        for low, high in parts:
            if high <= TOP:
                yield MemoryRange.around(low, high, rng.event, rng.operation, rng.thread)


class Anywhere:
    """Picks the memory of a process that a device may use: anonymous, or what is asked for."""

    def __init__(self, process: int, only: Only) -> None:
        self._process, self._only = process, only
        self._random = random.Random(1)
        self._looked = 0.0
        self._areas: list[tuple[int, int]] = []

    def __call__(self) -> tuple[int, int] | None:
        """Return the first page and the number of some, None if there is nothing."""
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            self._areas = list(self._look())
            self._looked = time.monotonic()
        if not self._areas:
            return None
        start, end = self._random.choice(self._areas)
        page = self._random.randrange(start // PAGE_SIZE, end // PAGE_SIZE)
        return page, end // PAGE_SIZE - page

    def _look(self) -> Iterator[tuple[int, int]]:
        areas = []
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            areas = list(permitted_areas_of(self._process))
        if not self._only.is_all:
            yield from self._only.parts(0, TOP, [area for area, _ in areas])
            return
        for (start, end, name), mode in areas:
            if mode == "rw-p" and (not name or name in ("[heap]", "[stack]")) and end <= TOP:
                yield start, end


def _joined(areas: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Take areas together, in order, that overlap or lie side by side."""
    first = last = -1
    for start, end in areas:
        if start > last:
            if first >= 0:
                yield first, last
            first = start
        last = max(last, end)
    if first >= 0:
        yield first, last


def _nothing() -> None:
    """The body of a thread that is another program's."""
