"""`OpenTable`: a table over the pages of a program, of which there is no end.

Invariant: a page that nobody has written has the value that its table was made with.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final, TypeVar

from mmunotify.lang.page_range import PageRange
from mmunotify.lang.table import Table

__all__ = ["ANY_PAGE", "OpenPages", "OpenTable"]

V = TypeVar("V")

ANY_PAGE: Final = 0
"""Stands for every page while a driver is made: nothing is mapped there."""


class OpenPages:
    """The pages that a table has a value of its own for; at first one, which is never mapped."""

    def __init__(self) -> None:
        self.endless = False  # while a driver is made it has one page
        self._known = {ANY_PAGE}

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._known))

    def __len__(self) -> int:
        if self.endless:
            raise TypeError("the pages of a program have no number: use mm.whole_range()")
        return len(self._known)

    def __getitem__(self, index: object) -> int:
        raise TypeError("the pages of a program have no order: use for page in mm.pages")

    def __contains__(self, page: object) -> bool:
        return page in self._known

    def add(self, page: int) -> None:
        """Note that a page has a value."""
        self._known.add(page)

    def within(self, rng: PageRange) -> list[int]:
        """Return those of a range."""
        return [page for page in self if page in rng]

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


def _is_object(value: object) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, type | Enum)
