"""What the notifications of a trace add up to: by cause, by area of memory, over time.

Invariant: the calls of all causes together, aging included, are the notifications of the trace,
those that were only counted included.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from mmunotify.trace.record import Mapping, Notified, Trace

__all__ = ["Area", "Tally", "areas", "by_cause", "by_lane", "merged", "over_time", "page_count"]


@dataclass(slots=True)
class Tally:
    """Calls of one kind: how many, of how many pages, the largest of them in pages."""

    name: str
    calls: int = 0
    pages: int = 0
    largest: int = 0

    def add(self, pages: int) -> None:
        """Count one call."""
        self.add_counted(1, pages)
        self.largest = max(self.largest, pages)

    def add_counted(self, calls: int, pages: int) -> None:
        """Count calls of which only the sums are known."""
        self.calls += calls
        self.pages += pages


@dataclass(slots=True)
class Area:
    """What was told about one area of one process; `causes` counts calls."""

    mapping: Mapping
    tally: Tally
    causes: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """Its name for a reader; anonymous memory is named by its addresses."""
        if self.mapping.name:
            return self.mapping.name
        return f"{self.mapping.start:x}-{self.mapping.end:x}"


def page_count(one: Notified, page: int) -> int:
    """How many pages a notification is about."""
    return -(-(one.end - one.start) // page)


def by_cause(trace: Trace) -> tuple[list[Tally], list[Tally]]:
    """Tally invalidations, and calls of aging, by cause; the most calls come first.

    What was counted and not kept is in it; `largest` is of those that were kept.
    """
    page = _page(trace)
    found: dict[tuple[bool, str], Tally] = {}
    for one in trace.notified:
        key = (one.kind == "unmap", one.cause)
        found.setdefault(key, Tally(one.cause)).add(page_count(one, page))
    for left in trace.activity.omitted if trace.activity else ():
        key = (left.kind == "unmap", left.cause)
        found.setdefault(key, Tally(left.cause)).add_counted(left.calls, left.pages)
    ordered = sorted(found.items(), key=lambda item: (-item[1].calls, item[0]))
    return (
        [tally for (unmap, _), tally in ordered if unmap],
        [tally for (unmap, _), tally in ordered if not unmap],
    )


def by_lane(trace: Trace) -> list[Tally]:
    """Tally invalidations by process, the most calls first."""
    page = _page(trace)
    found = [Tally(lane.name) for lane in trace.header.lanes]
    for one in trace.notified:
        if one.kind == "unmap":
            found[one.lane].add(page_count(one, page))
    return sorted(found, key=lambda tally: -tally.calls)


def areas(trace: Trace) -> list[Area]:
    """Tally all notifications by area, the most calls first.

    What begins in no area that is known is left out here.
    """
    page = _page(trace)
    known = [_Lane(trace.mappings, number) for number in range(len(trace.header.lanes))]
    found: dict[int, Area] = {}
    for one in trace.notified:
        mapping = known[one.lane].find(one.start)
        if mapping is not None:
            area = found.setdefault(id(mapping), Area(mapping, Tally(mapping.name)))
            area.tally.add(page_count(one, page))
            area.causes[one.cause] += 1
    return sorted(found.values(), key=lambda a: (-a.tally.calls, a.mapping.lane, a.mapping.start))


def merged(found: Iterable[Area]) -> list[Area]:
    """Take areas of one name together, of whichever process, the most calls first."""
    together: dict[str, Area] = {}
    for area in found:
        one = together.setdefault(area.name, Area(area.mapping, Tally(area.name)))
        one.tally.calls += area.tally.calls
        one.tally.pages += area.tally.pages
        one.tally.largest = max(one.tally.largest, area.tally.largest)
        one.causes += area.causes
    return sorted(together.values(), key=lambda a: (-a.tally.calls, a.name))


def over_time(trace: Trace, buckets: int) -> list[int]:
    """How many invalidations each of `buckets` equal parts of the trace had."""
    counts = [0] * buckets
    length = max(1, round((trace.activity.seconds if trace.activity else 0) * 1e9))
    for one in trace.notified:
        if one.kind == "unmap":
            counts[min(buckets - 1, one.time * buckets // length)] += 1
    return counts


class _Lane:
    """The areas of one process, to be looked up by address."""

    def __init__(self, mappings: Iterable[Mapping], lane: int) -> None:
        self._mappings = sorted((m for m in mappings if m.lane == lane), key=lambda m: m.start)
        self._starts = [mapping.start for mapping in self._mappings]

    def find(self, address: int) -> Mapping | None:
        """The area that holds `address`."""
        at = bisect_right(self._starts, address) - 1
        if at >= 0 and address < self._mappings[at].end:
            return self._mappings[at]
        return None


def _page(trace: Trace) -> int:
    return trace.activity.page if trace.activity else 4096
