"""`OpenMm`: what a driver takes for its `mm` when its pages are those of a running program.

A model has a few pages and threads and small counters; a program has as many as it likes. So tables
over the pages hold a value for every page there may be, and counters are not bounded.
Invariant: a page that nobody has written has the value that its table was made with.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any, Final, TypeVar

from mmunotify.lang.counter import Counter
from mmunotify.lang.driver import Driver
from mmunotify.lang.interval_notifier import MmuIntervalNotifier
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.lang.rcu import Rcu, Reader
from mmunotify.lang.rwsem import RwSem
from mmunotify.lang.table import Table
from mmunotify.live.guarded import Guard, HookError, guarded, print_hook_error
from mmunotify.live.memory import PAGE_SIZE
from mmunotify.live.notifiers import LiveNotifiers, ThreadTable
from mmunotify.live.runtime import Threads
from mmunotify.protocols.srcu import SrcuNotifiers

__all__ = ["TOP", "OpenMm", "OpenNotifiers", "OpenPages", "OpenTable", "OpenTlb", "opened"]

V = TypeVar("V")

TOP: Final = 1 << 47
"""The end of the addresses that a program can use."""

_ANY_PAGE: Final = 0  # stands for every page while a driver is made: nothing is mapped there
_ALL_PAGES: Final = range(TOP // PAGE_SIZE)
_UNBOUNDED: Final = 1 << 63


class OpenPages:
    """The pages that a table has a value of its own for; at first one, which is never mapped."""

    def __init__(self) -> None:
        self._known = {_ANY_PAGE}

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._known))

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, page: object) -> bool:
        return page in self._known

    def add(self, page: int) -> None:
        """Note that a page has a value."""
        self._known.add(page)

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield the first page and the number of each run of pages."""
        first = last = -1
        for page in self:
            if page != last:
                if first >= 0:
                    yield first, last - first
                first = page
            last = page + 1
        if first >= 0:
            yield first, last - first


class OpenTable(Table[V]):
    """A `Table` with every page as a key; `value` is what it holds for a page at first.

    An object is copied for each page when that is first asked for; `shared` are not.
    """

    def __init__(self, pages: OpenPages, value: V, shared: Sequence[object] = ()) -> None:
        super().__init__(())
        self.domain: Any = pages
        self._pages = pages
        self._first = value
        self._shared = shared

    def __getitem__(self, key: Any) -> V:
        """Return the value at a page."""
        if key not in self.values and _is_object(self._first):
            self[key] = copy.deepcopy(self._first, {id(one): one for one in self._shared})
        return self.values.get(key, self._first)

    def __setitem__(self, key: Any, value: V) -> None:
        """Set the value at a page; one that has it already need not become known."""
        if value is self._first and key not in self.values:
            return
        self.values[key] = value
        self._pages.add(key)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the pages that are known."""
        return iter(self._pages)

    def __len__(self) -> int:
        """The number of pages that are known."""
        return len(self._pages)

    def fill(self, value: V) -> None:
        """Set every value."""
        self.values.clear()
        self._first = value


class OpenTlb:
    """`self.tlb` of a driver without a device: it counts the flushes, and caches nothing."""

    def __init__(self) -> None:
        self.flushes = 0

    def flush(self) -> None:
        """Flush everything."""
        self.flushes += 1

    def flush_range(self, rng: PageRange) -> None:
        """Flush a range; an empty one is no flush."""
        self.flushes += rng.size > 0


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

    def release(self) -> None:
        """As in the model, but for interval notifiers: of the pages that drivers know."""
        if self.tree.has_itree:
            for first, size in self.mm.pages.runs():  # type: ignore[attr-defined]  # an OpenMm's
                self.tree.invalidate(PageRange(first, size, Event.RELEASE))
                self.tree.inv_end()
        SrcuNotifiers.release(self)


class OpenMm:
    """The memory of a running program, as far as drivers and the protocol ask.

    `section_begins` and `section_ends` are an operation's part: a section runs while its thread
    holds `mmap_lock`.
    """

    def __init__(
        self, threads: Threads, report: Callable[[HookError], None] = print_hook_error
    ) -> None:
        self.threads = threads
        self.pages = OpenPages()
        self.mmap_lock, self.rmap_lock = RwSem(high=127), RwSem(high=127)
        self.mmap_lock.readers.high = _UNBOUNDED
        self.ghost = SimpleNamespace(watches_age=False)
        self.exits = False
        self.notifiers = OpenNotifiers(self, report)

    def section_begins(self, rng: PageRange) -> None:
        """Before the program's memory changes."""
        self.mmap_lock.down_read()
        self.notifiers.invalidate_range_start(rng)

    def section_ends(self, rng: PageRange) -> None:
        """It has changed; from outside, this is where the CPUs are known to have been flushed."""
        self.notifiers.arch_invalidate_secondary_tlbs(rng)
        self.notifiers.invalidate_range_end(rng)
        self.mmap_lock.up_read()


def opened(driver: type[Driver], mm: OpenMm) -> Driver:
    """Return a subscribed driver of that class for `mm`; what it raises is raised."""
    made = driver(mm)
    made.tlb = OpenTlb()
    _open(made, made, set())
    made.register()
    return made


def _is_object(value: object) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, type | Enum)


def _open(thing: Any, driver: Driver, seen: set[int]) -> None:
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
            _open(one, driver, seen)
        return
    held = thing if isinstance(thing, dict) else getattr(thing, "__dict__", {})
    for name, value in list(held.items()):
        if isinstance(value, Table) and value.domain is pages:
            _open(value.values[_ANY_PAGE], driver, seen)
            held[name] = OpenTable(pages, value.values[_ANY_PAGE], (mm, driver))
        else:
            _open(value, driver, seen)
