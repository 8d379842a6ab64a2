"""`OpenMm`: what a driver takes for its `mm` when its pages are those of a running program.

A model has a few pages and small counters; a program has as many pages as it likes. So tables over
the pages hold a value for every page there may be, and counters are not bounded.
Invariant: a page that nobody has written has the value that its table was made with.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any, Final, TypeVar

from mmunotify.lang.counter import Counter
from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.rwsem import RwSem
from mmunotify.lang.table import Table

__all__ = ["OpenMm", "OpenPages", "OpenTable", "OpenTlb", "opened"]

V = TypeVar("V")

_ANY_PAGE: Final = 0  # stands for every page while a driver is made: nothing is mapped there
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
        """Set the value at a page."""
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


class OpenMm:
    """The memory of a running program, as far as the constructor and the hooks of a driver ask."""

    def __init__(self) -> None:
        self.pages = OpenPages()
        self.mmap_lock, self.rmap_lock = RwSem(high=127), RwSem(high=127)
        self.notifiers = SimpleNamespace(register=_noted, unregister=_noted)


def opened(driver: type[Driver]) -> Driver:
    """Return a driver of that class for the pages of a program; what it raises is raised."""
    mm = OpenMm()
    made = driver(mm)
    made.tlb = OpenTlb()
    made.register()
    _open(made, made, set())
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


def _noted(driver: Driver) -> None:
    """A driver subscribes or leaves: it is told as long as the program runs."""
