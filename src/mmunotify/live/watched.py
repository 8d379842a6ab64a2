"""`Watched`: one address space of a running program, with a driver that is told of what it does.

The driver is told by the protocol that `check` explores (`live.notifiers`).
Invariant: whatever a hook does, the program goes on, and the failure is in the record.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from mmunotify.kernel.maps import permitted_areas_of
from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import Violation
from mmunotify.lang.thread import Thread
from mmunotify.live.guarded import HookError
from mmunotify.live.memory import MemoryRange
from mmunotify.live.only import Only
from mmunotify.live.open_mm import TOP, OpenMm, opened
from mmunotify.live.recording import Recording
from mmunotify.live.runtime import Threads

__all__ = ["Watched"]

R = TypeVar("R", bound=MemoryRange | None)

_EVERYTHING: Final = (0, TOP)  # what a call by a descriptor may be about


class Watched:
    """What a monitor tells of process `process`: an mm with a driver of class `kind`.

    Each thread of the program is a `Thread` of the protocol; what a monitor calls runs on behalf of
    the one that its range names. The driver is told of `only` a part of the memory.
    """

    def __init__(
        self, kind: type[Driver], recording: Recording, process: int, name: str, only: Only
    ) -> None:
        self.mm = OpenMm(Threads(), self._fails)
        self._recording = recording
        self._open: dict[int, MemoryRange] = {}
        self._threads: dict[int, Thread] = {}
        self._process, self._only = process, only
        self._broken = False  # the protocol was left in the middle of something
        self._lane = recording.lane(process, name)
        with self.mm.threads.running():
            self.driver = opened(kind, self.mm)
        recording.attend(self.driver)

    # -- what the monitor calls -----------------------------------------------------------------

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """An operation waits."""
        self._on_behalf_of(rng, self._begin)

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """It is over."""
        self._on_behalf_of(rng, self._end)

    def release(self) -> None:
        """The program has ended."""
        self._on_behalf_of(None, lambda _: self.mm.notifiers.release())

    def gives_up(self, found: HookError) -> None:
        """The monitor waits for a hook no longer: the driver is told nothing more."""
        self._recording.note(f"{found.error}; nothing later was told, nor is it in the record")
        self._fails(found)

    def _fails(self, found: HookError) -> None:
        self._recording.fails(HookError(self.driver, found.hook, found.range, found.error))

    def _begin(self, rng: MemoryRange) -> None:
        parts = list(self._parts(rng))
        for part in parts:
            self._recording.keep(self._lane, part)
        if parts:
            told = self._open[id(rng)] = MemoryRange.over(parts)
            self.mm.section_begins(told)

    def _end(self, rng: MemoryRange) -> None:
        told = self._open.pop(id(rng), None)
        if told is not None:
            self.mm.section_ends(told)

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


def _joined(areas: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Take areas together that lie side by side."""
    first = last = -1
    for start, end in areas:
        if start != last:
            if first >= 0:
                yield first, last
            first = start
        last = end
    if first >= 0:
        yield first, last


def _nothing() -> None:
    """The body of a thread that is another program's."""
