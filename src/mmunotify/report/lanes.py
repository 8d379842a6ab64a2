"""Where each lane stands on paper: primary ones left, secondary ones beside them, devices right.

Invariant: no lane is narrower than a short word needs. Where the lanes have no room side by side,
all steps stand in one column and name their lane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import structs

from mmunotify.report.bars import Bar, bars_of, gutter_of
from mmunotify.report.ink import Ink
from mmunotify.report.prose import cells, clean
from mmunotify.report.steps import Step
from mmunotify.trace.record import Lane, Trace

__all__ = ["Layout", "Place", "lane_order", "lay_out", "shared_out"]

_NARROW = 14
_RANKS = ("primary", "secondary", "device")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one lane: the gap to its left, the tracks of its bars, its text."""

    lane: int
    heading: str
    style: str
    gap: int
    bars: list[Bar]
    width: int = 0

    @property
    def tracks(self) -> int:
        """How many bars can run side by side."""
        return gutter_of(self.bars)

    @property
    def margin(self) -> int:
        """The cells between the lane before and the text of this one."""
        return self.gap + self.tracks + (1 if self.tracks else 0)


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of the lanes. In a list there is one, and `names` says who does each step."""

    places: list[Place]
    steps: list[Step]
    names: list[str]

    @property
    def margin(self) -> int:
        """The cells that are taken before and between the texts."""
        names = max((cells(name) + 1 for name in self.names), default=0)
        return names + sum(place.margin for place in self.places)


def lane_order(trace: Trace) -> list[int]:
    """Return the lanes that do anything, in the order in which they are shown."""
    active = {event.lane for event in trace.events} | {blocked.lane for blocked in trace.blocked}

    def rank(index: int) -> int:
        mmu = trace.header.lanes[index].mmu
        return _RANKS.index(mmu) if mmu in _RANKS else len(_RANKS)

    return sorted(active, key=lambda index: (rank(index), index))


def lay_out(trace: Trace, steps: list[Step], room: int, ink: Ink) -> Layout:
    """Return the places of the lanes, without a width yet."""
    bars = bars_of(trace, steps)
    places = [
        _place(trace.header.lanes[lane], lane, index == 0, bars, ink)
        for index, lane in enumerate(lane_order(trace))
    ]
    layout = Layout(places, steps, [])
    if room - layout.margin >= _NARROW * len(places):
        return layout
    return _as_list(trace, steps, ink)


def shared_out(natural: list[int], room: int) -> list[int]:
    """Return a width for each lane: its natural one, or an equal share of what is left."""
    widths = [0] * len(natural)
    left = len(natural)
    for index in sorted(range(len(natural)), key=lambda index: natural[index]):
        widths[index] = min(natural[index], room // left)
        room -= widths[index]
        left -= 1
    return widths


def _place(lane: Lane, index: int, first: bool, bars: list[Bar], ink: Ink) -> Place:
    own = [bar for bar in bars if bar.lane == index]
    heading = clean(f"{lane.name} {lane.role}".strip(), unicode=ink.unicode)
    # Without bars the gap is as wide as a bar and its space, so that lanes without look the same.
    gap = (0 if own else 2) if first else (1 if own else 3)
    return Place(index, heading, lane.mmu, gap, own)


def _as_list(trace: Trace, steps: list[Step], ink: Ink) -> Layout:
    """Return one place for the steps of all lanes."""
    names = [clean(lane.name, unicode=ink.unicode) for lane in trace.header.lanes]
    windows = [structs.replace(window, lane=0) for window in trace.windows]
    bars = bars_of(structs.replace(trace, windows=windows), steps)
    place = Place(0, "step", "bold", 0 if bars else 1, bars)
    listed = [replace(step, lane=0) for step in steps]
    return Layout([place], listed, [names[step.lane] for step in steps])
