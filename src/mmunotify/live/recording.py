"""`Recording`: what a driver was told of a running program, as a trace in the common record.

Invariant: every event is counted once, kept or omitted; hooks are counted whether they fail or not.
"""

from __future__ import annotations

import platform
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from mmunotify.kernel.maps import Maps
from mmunotify.lang.driver import Driver
from mmunotify.live.coherence import Found
from mmunotify.live.guarded import HookError, print_hook_error
from mmunotify.live.memory import PAGE_SIZE, MemoryRange
from mmunotify.primary.notifiers import overrides
from mmunotify.trace.record import (
    Activity,
    Header,
    Lane,
    Mapping,
    Notified,
    Omitted,
    Stale,
    Trace,
)

__all__ = ["CALLED", "Recording", "Told"]

CALLED: Final = (
    "invalidate_range_start",
    "invalidate",
    "arch_invalidate_secondary_tlbs",
    "invalidate_range_end",
    "release",
)
"""The hooks that are called, if the driver has them."""

_STALE: Final = 1000  # stale translations that are kept; a driver that is wrong makes many
_SHOWN: Final = 3  # of each operation, while the program runs

Told = Callable[[Notified | Stale, list[Lane]], None]
"""Given each event as it is recorded, and the first stale translations; and the lanes."""


class Recording:
    """The events of a run, of one process or several; `limit` of them are kept."""

    def __init__(self, limit: int, told: Told) -> None:
        self._notes: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._lanes: list[Lane] = []
        self._maps: list[Maps] = []
        self._kept: list[Notified] = []
        self._open: dict[tuple[int, int], list[int]] = {}  # which of them, by lane and thread
        self._stale_by: Counter[str] = Counter()
        self._stale: list[Stale] = []
        self._omitted: dict[str, tuple[int, int]] = {}
        self._limit, self._told = limit, told
        self._lock = threading.Lock()  # hooks run in several threads
        self._began = time.monotonic_ns()

    @property
    def stale_count(self) -> int:
        """How many stale translations were found."""
        return sum(self._stale_by.values())

    def lane(self, process: int, name: str) -> int:
        """Return the number of a new lane, for a process."""
        self._lanes.append(Lane(name=f"{name} {process}", role="process"))
        self._maps.append(Maps(process))
        return len(self._lanes) - 1

    def keep(self, lane: int, rng: MemoryRange) -> None:
        """An operation waits, its memory as it was."""
        maps = self._maps[lane]
        with self._lock:
            if len(self._kept) >= self._limit:
                calls, pages = self._omitted.get(rng.operation, (0, 0))
                self._omitted[rng.operation] = calls + 1, pages + rng.size
                return
            if maps.find(rng.address) is None:
                maps.look()  # the program stands still: the memory is there yet
            one = Notified(
                time=self._now(),
                lane=lane,
                kind="unmap",
                start=rng.address,
                end=rng.address + rng.length,
                cause=rng.operation,
                by=rng.thread,
            )
            self._open.setdefault((lane, rng.thread), []).append(len(self._kept))
            self._kept.append(one)
            self._told(one, self._lanes)

    def ended(self, lane: int, rng: MemoryRange) -> None:
        """The operation is over."""
        with self._lock:
            for at in self._open.pop((lane, rng.thread), ()):
                self._kept[at] = replace(self._kept[at], ended=self._now())

    def stale(self, lane: int, driver: str, found: Found) -> None:
        """A driver translates what it must not."""
        rng = found.rng
        one = Stale(
            time=self._now(),
            lane=lane,
            page=found.page * PAGE_SIZE,
            start=rng.address,
            end=rng.address + rng.length,
            cause=rng.operation,
            by=rng.thread,
            text=f"{driver}: {found.text}",
        )
        with self._lock:
            self._stale_by[one.cause] += 1
            if self.stale_count <= _STALE:
                self._stale.append(one)
            if self._stale_by[one.cause] <= _SHOWN:
                self._told(one, self._lanes)

    def attend(self, driver: Driver) -> None:
        """Count the calls of the driver's hooks from now on, and the time they take."""
        for hook in CALLED:
            if overrides(type(driver), hook):
                setattr(driver, hook, self._timed(hook, getattr(driver, hook)))

    def note(self, text: str) -> None:
        """Have something said in the summary, once, however often it comes."""
        self._notes[text] += 1

    def fails(self, found: HookError) -> None:
        """A hook has raised, or not returned."""
        self.failed[found.hook] += 1
        print_hook_error(found)

    def trace(self, subject: str, notes: Sequence[str]) -> Trace:
        """Return what happened so far."""
        return Trace(
            header=Header(source="live", subject=subject, lanes=self._lanes),
            notified=self._kept,
            stale=self._stale,
            mappings=list(self._mappings()),
            activity=Activity(
                machine=f"{platform.system()} {platform.release()}",
                seconds=round((time.monotonic_ns() - self._began) / 1e9, 6),
                omitted=[
                    Omitted(kind="unmap", cause=cause, calls=calls, pages=pages)
                    for cause, (calls, pages) in sorted(self._omitted.items())
                ],
                page=PAGE_SIZE,
                notes=[*self._noted(), *notes, *self._hooks()],
            ),
        )

    def _now(self) -> int:
        return time.monotonic_ns() - self._began

    def _timed(self, hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            self._calls[hook] += 1
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self._seconds[hook] += time.perf_counter() - began  # type: ignore[assignment]

        return timed

    def _noted(self) -> Iterator[str]:
        for text, times in self._notes.items():
            yield text if times == 1 else f"{text} ({times:,} times)"
        if self.stale_count > _STALE:
            yield f"stale translations: {self.stale_count:,}, of which {_STALE:,} were kept"

    def _hooks(self) -> Iterator[str]:
        for hook in CALLED:
            if self._calls[hook]:
                calls = "1 call" if self._calls[hook] == 1 else f"{self._calls[hook]:,} calls"
                text = f"{hook}: {calls}, {self._seconds[hook] * 1e3:.3f} ms"
                failed = self.failed[hook]
                yield f"{text}, {failed:,} failed" if failed else text

    def _mappings(self) -> Iterator[Mapping]:
        for lane, maps in enumerate(self._maps):
            starts = sorted({one.start for one in self._kept if one.lane == lane})
            for start, end, name in maps:
                at = bisect_left(starts, start)
                if at < len(starts) and starts[at] < end:
                    yield Mapping(lane=lane, start=start, end=end, name=name)
