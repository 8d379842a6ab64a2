"""The interleaving drawn in lanes: a heading, then one row for each step.

Invariant: no text is cut; what does not fit on a line goes on in the next line of its lane.
"""

from __future__ import annotations

from dataclasses import replace

from mmunotify.report.bars import gutter_spans
from mmunotify.report.cells import StateTable
from mmunotify.report.ink import Ink, Line, Span, width_of
from mmunotify.report.lanes import Layout, Place, lay_out, shared_out
from mmunotify.report.prose import cells, wrap
from mmunotify.report.steps import Step, change_text
from mmunotify.trace.record import Trace

__all__ = ["lane_lines"]

# How wide a lane must stay beside the cells that matter, and beside those that are good to have.
_LEAST = 20
_EASY = 26
_WALL = 5  # cells of the line between lanes and table
_INDENT = 2


def lane_lines(trace: Trace, steps: list[Step], mark: str, width: int, ink: Ink) -> list[Line]:
    """Return the steps in lanes. `mark` is the property that the last event violates, or ""."""
    number = max([3, *(len(str(step.first)) for step in steps)]) + 1
    layout = lay_out(trace, steps, width - number, ink)
    room = width - number - layout.margin
    least, easy = (room - _WALL - size * len(layout.places) for size in (_LEAST, _EASY))
    table = StateTable(trace, steps, least, easy, ink)
    if table.names:
        room -= table.width + _WALL
    sheet = _Sheet(layout, mark, number, table, ink)
    sheet.widen(room)
    return [*sheet.heading(), *sheet.body(trace.cycle)]


class _Sheet:
    """Draws rows into places whose width is settled."""

    def __init__(self, layout: Layout, mark: str, number: int, table: StateTable, ink: Ink) -> None:
        self._steps = layout.steps
        self._places = layout.places
        self._heads = _heads(layout, number)
        self._number = max((cells(head) for head in self._heads), default=number)
        self._title = f"{'':>{number}}lane" if layout.names else ""
        self._mark = mark
        self._last = max((step.last for step in self._steps), default=0)
        self._table = table
        self._ink = ink

    def widen(self, room: int) -> None:
        """Give each place its share of `room`."""
        widths = shared_out([self.natural(place) for place in self._places], room)
        pairs = zip(self._places, widths, strict=True)
        self._places = [replace(place, width=width) for place, width in pairs]

    def natural(self, place: Place) -> int:
        """Return how wide a lane has to be for nothing in it to be wrapped."""
        lines = [
            line
            for step in self._steps
            if step.lane == place.lane
            for line in self._body(step, 10_000, flush=False)
        ]
        return max([width_of(line) for line in lines] + [cells(place.heading)], default=0)

    def heading(self) -> list[Line]:
        """Return the names of the lanes and the line under them."""
        names = [wrap(place.heading, place.width) for place in self._places]
        height = max([len(name) for name in names] + [self._table.height])
        state = self._table.heading(height)
        lines: list[Line] = []
        for index in range(height):
            title = self._title if index == height - 1 else ""
            line: Line = [(f"{title:<{self._number}}", "bold")]
            for place, name in zip(self._places, names, strict=True):
                skipped = height - len(name)
                text = name[index - skipped] if index >= skipped else ""
                line += [(" " * place.margin, ""), *_padded([(text, place.style)], place.width)]
            lines.append(self._with_state(line, state[index]))
        rule: Line = [(" " * self._number, "")]
        for place in self._places:
            rule += [(" " * place.margin, ""), (self._ink.rule * place.width, "dim")]
        return [*lines, self._with_state(rule, self._table.rule())]

    def body(self, cycle: int) -> list[Line]:
        """Return all rows; `cycle` is the number of the event that everything returns to."""
        lines: list[Line] = []
        for index, step in enumerate(self._steps):
            if cycle and step.first == cycle:
                lines.append([(" " * (self._number + 2), ""), (_AGAIN, "bad")])
            lines += self._row(index, step)
        if cycle:
            text = f"-- and again from step {cycle}, for ever"
            lines.append([(" " * (self._number + 2), ""), (text, "bad")])
        return lines

    def _row(self, index: int, step: Step) -> list[Line]:
        width = next(place.width for place in self._places if place.lane == step.lane)
        body = self._body(step, width, flush=True)
        lines: list[Line] = []
        for row, text in enumerate(body):
            head = self._heads[index] if row == 0 else ""
            line: Line = [(f"{head:<{self._number}}", "" if step.in_slice else "dim")]
            for place in self._places:
                line.append((" " * place.gap, ""))
                if place.tracks:
                    line += gutter_spans(place.bars, place.tracks, index, row, self._ink)
                    line.append((" ", ""))
                line += _padded(text if place.lane == step.lane else [], place.width)
            lines.append(self._with_state(line, self._table.row(index) if row == 0 else []))
        return lines

    def _body(self, step: Step, width: int, *, flush: bool) -> list[Line]:
        """Return what one step puts into its lane: text, line of source, changes, verdict."""
        style = "bad" if not step.first else "" if step.in_slice else "dim"
        lines: list[Line] = [[(text, style)] for text in wrap(step.text, width, hanging=_INDENT)]
        if step.place:
            _add_place(lines, step.place, width if flush else 0)
        for change in step.changes:
            if change.column not in self._table.names:
                text = " " * _INDENT + change_text(change, unicode=self._ink.unicode)
                hanging = 2 * _INDENT
                lines += [[(one, "change")] for one in _indented(text, width, hanging)]
        if self._mark and step.first and step.last == self._last:
            lines += [[(one, "bad")] for one in wrap(f"^ {self._mark}", width, hanging=_INDENT)]
        return lines

    def _with_state(self, line: Line, state: Line) -> Line:
        if not self._table.names:
            return line
        return [*line, (f"  {self._ink.wall}  ", "dim"), *state]


_AGAIN = "-- from here on the steps repeat"


def _heads(layout: Layout, number: int) -> list[str]:
    """Return what stands before each row: its number and, in a list, its lane."""
    numbers = ["" if step.is_run else step.number for step in layout.steps]
    if not layout.names:
        return [f"{one:>{number - 1}} " for one in numbers]
    widest = max(cells(name) for name in layout.names)
    return [
        f"{one:>{number - 1}} {name}{' ' * (widest - cells(name))} "
        for one, name in zip(numbers, layout.names, strict=True)
    ]


def _add_place(lines: list[Line], place: str, width: int) -> None:
    """Put the place at the end of the last line, or on a line of its own if it does not fit."""
    used = width_of(lines[-1])
    if not width:
        lines[-1].append((f"  {place}", "dim"))
    elif used + 2 + cells(place) <= width:
        lines[-1].append((" " * (width - used - cells(place)) + place, "dim"))
    else:
        for part in wrap(place, width):
            lines.append([(" " * (width - cells(part)) + part, "dim")])


def _indented(text: str, width: int, hanging: int) -> list[str]:
    first, *rest = wrap(text.strip(), width - _INDENT, hanging=hanging - _INDENT)
    return [" " * _INDENT + line for line in (first, *rest)]


def _padded(line: Line, width: int) -> list[Span]:
    return [*line, (" " * (width - width_of(line)), "")]
