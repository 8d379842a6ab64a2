"""`Spans`: ranges of addresses with a value each, changed piece by piece.

Invariant: the spans are disjoint and in order, and none is empty.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Spans"]

V = TypeVar("V")


class Spans(Generic[V]):
    """A map from addresses to values; most addresses have none."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._values: list[V] = []

    def change(self, start: int, end: int, change: Callable[[V | None], V | None]) -> None:
        """Give every piece of `[start, end)` the value that `change` makes of its own; None: none.

        What was one span stays a span of its own on each side.
        """
        first = last = bisect_right(self._ends, start)
        pieces: list[tuple[int, int, V | None]] = []
        at = start
        while last < len(self._starts) and self._starts[last] < end:
            begin, stop, value = self._starts[last], self._ends[last], self._values[last]
            if begin < start:
                pieces.append((begin, start, value))
            if at < begin:
                pieces.append((at, begin, change(None)))
            at = min(stop, end)
            pieces.append((max(begin, start), at, change(value)))
            if end < stop:
                pieces.append((end, stop, value))
            last += 1
        if at < end:
            pieces.append((at, end, change(None)))
        kept = [(a, b, value) for a, b, value in pieces if value is not None]
        self._starts[first:last] = [a for a, _, _ in kept]
        self._ends[first:last] = [b for _, b, _ in kept]
        self._values[first:last] = [value for _, _, value in kept]

    def clear(self, start: int, end: int) -> None:
        """Take the values of `[start, end)` away."""
        if next(self.within(start, end), None) is not None:
            self.change(start, end, lambda _: None)

    def within(self, start: int, end: int) -> Iterator[tuple[int, int, V]]:
        """Yield the pieces of `[start, end)` that have a value, in order."""
        at = bisect_right(self._ends, start)
        while at < len(self._starts) and self._starts[at] < end:
            yield max(self._starts[at], start), min(self._ends[at], end), self._values[at]
            at += 1
