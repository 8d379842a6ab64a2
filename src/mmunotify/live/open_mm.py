"""`OpenMm`: what a driver takes for its `mm` when its pages are those of a running program.

A model has a few pages and threads and small counters; a program has as many as it likes. So tables
over the pages hold a value for every page there may be, and counters are not bounded. Frames are
those of the real page table, if there is one.
Invariant: what belongs to the model alone is not there, and whoever asks for it is told so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

from mmunotify.lang.counter import Counter
from mmunotify.lang.driver import EFAULT, Driver
from mmunotify.lang.interval_notifier import MmuIntervalNotifier
from mmunotify.lang.intrinsics import atomic, might_sleep, require
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.lang.rcu import Rcu, Reader
from mmunotify.lang.rwsem import RwSem
from mmunotify.lang.table import Table
from mmunotify.live.guarded import Guard, HookError, guarded, print_hook_error
from mmunotify.live.memory import PAGE_SIZE, MemoryRange
from mmunotify.live.notifiers import LiveNotifiers, ThreadTable
from mmunotify.live.open_table import ANY_PAGE, OpenPages, OpenTable
from mmunotify.live.open_tlb import OpenTlb
from mmunotify.live.page_table import PageTable
from mmunotify.live.simulated import Crossing, DeviceThreads
from mmunotify.primary.frame import Owner

__all__ = ["TOP", "OpenFrame", "OpenMm", "OpenNotifiers", "opened"]

TOP: Final = 1 << 47
"""The end of the addresses that a program can use."""

_ALL_PAGES: Final = range(TOP // PAGE_SIZE)
_UNBOUNDED: Final = 1 << 63


class OpenFrame:
    """A frame as a driver sees it: `number` at `page` when it was looked up, at time `seen` (ns).

    References are counted and hold nothing: the frame is another process's.
    """

    def __init__(self, page: int, number: int, seen: int) -> None:
        self.name = f"frame {number:#x}"
        self.page, self.number, self.seen = page, number, seen
        self.refcount = Counter(high=127)
        self.owner = Owner.MM

    def get(self) -> None:
        """Take a reference."""
        with atomic():
            self.refcount += 1

    def put(self) -> None:
        """Drop a reference."""
        with atomic():
            require("quiescent", self.refcount > 0, "a reference is dropped that nobody holds")
            self.refcount -= 1


class OpenNotifiers(LiveNotifiers):
    """The protocol, for drivers whose hooks may do anything: `report` is told when one fails."""

    def __init__(self, mm: OpenMm, report: Callable[[HookError], None]) -> None:
        super().__init__(mm)
        self._report = report
        self._guards: dict[Driver, Guard] = {}

    def register(self, driver: Driver) -> None:
        """Subscribe a driver, guarded."""
        guard = guarded(driver, self.mm, (), self._report, None)
        guard.interval_notifiers = driver.interval_notifiers
        for sub in driver.interval_notifiers:
            sub.driver = guard
        self._guards[driver] = guard
        super().register(guard)

    def unregister(self, driver: Driver) -> None:
        """End its subscription."""
        super().unregister(self._guards.pop(driver))

    def subscribed(self, driver: Driver) -> bool:
        """Tell whether a driver is on the list."""
        return driver in self._guards and super().subscribed(self._guards[driver])


class OpenMm:
    """The memory of a running program, as far as drivers and the protocol ask.

    `section_begins` and `section_ends` are an operation's part: a section runs while its thread
    holds `mmap_lock`.
    """

    def __init__(
        self,
        threads: DeviceThreads,
        report: Callable[[HookError], None] = print_hook_error,
        table: PageTable | None = None,
    ) -> None:
        self.threads = threads
        self.table = table
        self.pages = OpenPages()
        self.mmap_lock, self.rmap_lock = _MmapLock(self), RwSem(high=127)
        self.ghost = SimpleNamespace(watches_age=False)
        self.pte, self.pte_write, self.pte_young = _Entries(self), _WriteBits(self), _YoungBits(())
        self.crossing: Crossing | None = None
        self.exits = False
        self.users = 0
        self._lock = threading.Lock()
        self.notifiers = OpenNotifiers(self, report)

    def __getattr__(self, name: str) -> Any:
        why = "it is a part of the model, and these are the pages of a running program"
        raise AttributeError(f"mm.{name} is not there: {why}")

    def section_begins(self, rng: PageRange) -> None:
        """Before the program's memory changes."""
        self.mmap_lock.down_read()
        self.notifiers.invalidate_range_start(rng)

    def section_ends(self, rng: PageRange) -> None:
        """It has changed; from outside, this is where the CPUs are known to have been flushed."""
        self.notifiers.arch_invalidate_secondary_tlbs(rng)
        self.notifiers.invalidate_range_end(rng)
        self.mmap_lock.up_read()

    # -- what drivers call ----------------------------------------------------------------------

    def get_user_page(self, page: int, write: bool) -> OpenFrame:
        """Return the frame at `page` with a reference taken, faulting it in; raises EFAULT."""
        might_sleep()
        frame = self._faulted(page, write)
        frame.get()
        self.stand_still()
        return frame

    def get_user_page_fast_only(self, page: int, write: bool) -> OpenFrame | None:
        """Return the frame at `page` with a reference taken, or None where that takes a fault."""
        frame = self.entry(page, write)
        if frame is not None:
            frame.get()
        return frame

    def get_user_pages_remote(self, page: int, write: bool) -> OpenFrame:
        """As `get_user_page`, for a caller that holds `mmap_lock.read`."""
        frame = self.hmm_range_fault(page, write)
        frame.get()
        return frame

    def hmm_range_fault(self, page: int, write: bool) -> OpenFrame:
        """Return the frame at `page` without a reference, faulting it in."""
        might_sleep()
        require("context", self.mmap_lock.is_held(), "a fault without mmap_lock")
        return self._faulted(page, write)

    def whole_range(self, event: Event = Event.UNMAP) -> MemoryRange:
        """Return the range of all pages that drivers know."""
        pieces = [MemoryRange(first, size, event) for first, size in self.pages.runs()]
        return MemoryRange.over(pieces) if pieces else MemoryRange(0, 0, event)

    def kernel_access(self, frame: OpenFrame, page: int, write: bool) -> None:
        """The driver does an access itself; nothing is read or written."""

    # -- what devices call ----------------------------------------------------------------------

    def mmget_not_zero(self) -> bool:
        """Keep the memory from being released, unless it is."""
        with self._lock:
            self.users += not self.exits
            return not self.exits

    def mmput(self) -> None:
        """Give that up."""
        with self._lock:
            self.users -= 1

    def walked(self, page: int, write: bool) -> None:
        """The hardware has read an entry; its bits are the kernel's and stay as they are."""

    def stand_still(self) -> None:
        """A device's fault has got what it wanted: it may be crossed by a section now."""
        crossing = self.crossing
        if crossing is not None and crossing.is_mine():
            self.crossing = None
            crossing.stand_still()

    def entry(self, page: int, write: bool) -> OpenFrame | None:
        """What the page table has, None if there is nothing, or a write would have to copy it."""
        if self.table is None:
            return None
        now = time.monotonic_ns()
        number = self.table.frame_for(page, write)
        return None if number is None else OpenFrame(page, number, now)

    def _faulted(self, page: int, write: bool) -> OpenFrame:
        frame = self.entry(page, write)
        if frame is None and self.table is not None:
            self.table.fault_in(page, write)
            frame = self.entry(page, write)
        if frame is None:
            raise EFAULT
        return frame


class _MmapLock(RwSem):
    """A fault that has given `mmap_lock` back can be crossed."""

    def __init__(self, mm: OpenMm) -> None:
        super().__init__(high=127)
        self.readers.high = _UNBOUNDED
        self._mm = mm

    def up_read(self) -> None:
        """Give a reader's hold back."""
        super().up_read()
        self._mm.stand_still()


class _Entries(Table[OpenFrame | None]):
    """`mm.pte`: the entries of the real page table."""

    def __init__(self, mm: OpenMm) -> None:
        super().__init__(())
        self._mm = mm

    def __getitem__(self, key: Any) -> OpenFrame | None:
        return self._mm.entry(key, False)


class _WriteBits(Table[bool]):
    """`mm.pte_write`: pagemap does not say, but a frame that others map may not be written to."""

    def __init__(self, mm: OpenMm) -> None:
        super().__init__(())
        self._mm = mm

    def __getitem__(self, key: Any) -> bool:
        return self._mm.entry(key, True) is not None


class _YoungBits(Table[bool]):
    """`mm.pte_young`: the kernel's, which nobody else may set."""

    def __getitem__(self, key: Any) -> bool:
        return False

    def __setitem__(self, key: Any, value: bool) -> None:
        pass


def opened(driver: type[Driver], mm: OpenMm) -> Driver:
    """Return a subscribed driver of that class for `mm`; what it raises is raised."""
    made = driver(mm)
    made.tlb = OpenTlb(made)
    _open(made, made, set(), {})
    mm.pages.endless = True
    made.register()
    return made


def _open(thing: Any, driver: Driver, seen: set[int], tables: dict[int, OpenTable[Any]]) -> None:
    """Open the tables and counters that hang on an object."""
    mm = driver.mm
    pages: OpenPages = mm.pages
    if id(thing) in seen or isinstance(thing, type) or thing is mm:
        return
    seen.add(id(thing))
    if isinstance(thing, Counter):
        thing.high = _UNBOUNDED
        return
    if isinstance(thing, Rcu):
        thing.readers = ThreadTable(Reader)
        thing.threads = thing.readers  # type: ignore[assignment]  # iterated over only
        return
    if isinstance(thing, MmuIntervalNotifier):
        if thing.length == len(pages) - thing.start:  # up to the last page
            thing.length = len(_ALL_PAGES) - thing.start
        thing.mm = SimpleNamespace(pages=_ALL_PAGES)
        return
    if isinstance(thing, list | tuple):
        for one in thing:
            _open(one, driver, seen, tables)
        return
    held = thing if isinstance(thing, dict) else getattr(thing, "__dict__", {})
    for name, value in list(held.items()):
        if isinstance(value, Table) and value.domain is pages:
            if id(value) not in tables:
                _open(value.values[ANY_PAGE], driver, seen, tables)
                tables[id(value)] = OpenTable(pages, value.values[ANY_PAGE], (mm, driver))
            held[name] = tables[id(value)]
        else:
            _open(value, driver, seen, tables)
