"""Windows as bars beside a lane: which rows a bar covers, and on which track it runs.

Invariant: two bars of a lane that share a row have different tracks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mmunotify.report.ink import Ink, Span
from mmunotify.report.steps import Step
from mmunotify.trace.record import Trace

__all__ = ["Bar", "bars_of", "gutter_of", "gutter_spans"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A window on paper: rows `first`..`last`, and `open` if it does not end in the trace."""

    kind: str
    lane: int
    first: int
    last: int
    open: bool
    track: int


def bars_of(trace: Trace, steps: list[Step]) -> list[Bar]:
    """Return the bars of all windows that at least one row belongs to."""
    found: list[Bar] = []
    rows = sum(1 for step in steps if step.first)
    for window in sorted(trace.windows, key=lambda window: window.first):
        first = _row(steps, window.first)
        last = _row(steps, window.last) if window.last else rows - 1
        if last < first:
            continue
        used = {bar.track for bar in found if bar.lane == window.lane and bar.last >= first}
        track = next(track for track in range(len(used) + 1) if track not in used)
        found.append(Bar(window.kind, window.lane, first, last, not window.last, track))
    return found


def gutter_of(bars: Iterable[Bar]) -> int:
    """Return how many tracks the bars of one lane need."""
    return max((bar.track + 1 for bar in bars), default=0)


def gutter_spans(bars: list[Bar], tracks: int, row: int, line: int, ink: Ink) -> list[Span]:
    """Return what stands on the tracks of a lane, on one line of a row."""
    spans: list[Span] = [(" ", "")] * tracks
    for bar in bars:
        mark = _mark(bar, row, line, ink)
        if mark:
            spans[bar.track] = (mark, bar.kind)
    return spans


def _mark(bar: Bar, row: int, line: int, ink: Ink) -> str:
    marks = ink.bar(bar.kind)
    if not bar.first <= row <= bar.last:
        return ""
    if row == bar.first and line == 0:
        return marks[0]
    if row == bar.last and not bar.open:
        return marks[2] if line == 0 else ""
    return marks[1]


def _row(steps: list[Step], number: int) -> int:
    """Return the index of the row that shows the event, or would come after it."""
    for index, step in enumerate(steps):
        if step.first and step.last >= number:
            return index
    return sum(1 for step in steps if step.first)
