"""The state of the MMUs after each step, as a table of the cells that ever change.

Invariant: a cell is marked `*` in exactly the rows whose step changed it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmunotify.report.ink import Ink, Line
from mmunotify.report.prose import cells, clean
from mmunotify.report.steps import Step
from mmunotify.trace.record import Column, Trace

__all__ = ["StateTable", "changing_columns", "states_after"]

_GAP = 2
_MARK = "*"
# The cells that an interleaving is about: either all of them stand in the table, or there is none.
_ESSENTIAL = ("pte", "spte", "tlb", "frame")


def changing_columns(trace: Trace) -> list[Column]:
    """Return the cells that some event changes, in the order of the header."""
    changed = {change.column for event in trace.events for change in event.changes}
    return [column for column in trace.header.columns if column.name in changed]


def states_after(trace: Trace, steps: list[Step]) -> list[dict[str, str]]:
    """Return the value of every cell after each step."""
    state = {column.name: column.initial for column in trace.header.columns}
    states = []
    for step in steps:
        state = state | {change.column: change.after for change in step.changes}
        states.append(state)
    return states


@dataclass(frozen=True, slots=True)
class _Cells:
    """One column on paper: its heading on several lines, and the text of each row."""

    name: str
    heading: list[str]
    values: list[str]

    @property
    def width(self) -> int:
        return max(cells(text) for text in [*self.heading, *self.values])


class StateTable:
    """The columns of the state that fit into `room`, one row for each step."""

    def __init__(self, trace: Trace, steps: list[Step], room: int, ink: Ink) -> None:
        self._ink = ink
        states = states_after(trace, steps)
        changing = changing_columns(trace)
        columns = [_column(one, steps, states, ink) for one in changing]
        essential = {column.name for column in changing if column.group in _ESSENTIAL}
        chosen = _fitting(columns, essential, room)
        self._columns = [column for column in columns if column.name in chosen]
        self.names = chosen
        self.height = max((len(column.heading) for column in self._columns), default=0)

    @property
    def width(self) -> int:
        """The cells that a row takes."""
        return sum(column.width for column in self._columns) + _GAP * (len(self._columns) - 1)

    def heading(self, height: int) -> list[Line]:
        """Return the names of the columns on `height` lines, the last ones filled."""
        lines: list[Line] = []
        for index in range(height):
            line: Line = []
            for column in self._columns:
                skipped = height - len(column.heading)
                text = column.heading[index - skipped] if index >= skipped else ""
                line.append((_padded(text, column.width), "bold"))
            lines.append(line)
        return lines

    def rule(self) -> Line:
        """Return the line under the heading."""
        gap = " " * _GAP
        return [(gap.join(self._ink.rule * column.width for column in self._columns), "dim")]

    def row(self, index: int) -> Line:
        """Return the state after the step with this index."""
        line: Line = []
        for column in self._columns:
            value = column.values[index]
            style = "change" if value.endswith(_MARK) else "dim"
            line.append((_padded(value, column.width), style))
        return line


def _column(column: Column, steps: list[Step], states: list[dict[str, str]], ink: Ink) -> _Cells:
    values = []
    for step, state in zip(steps, states, strict=True):
        mark = _MARK if any(change.column == column.name for change in step.changes) else ""
        values.append(clean(state[column.name] + mark, unicode=ink.unicode))
    return _Cells(column.name, _heading(clean(column.name, unicode=ink.unicode)), values)


def _heading(name: str) -> list[str]:
    """Return `spte[0x1000]` on two lines: long names must not make narrow columns wide."""
    for sign in ("[", " "):
        head, found, rest = name.partition(sign)
        if found and head and len(name) > 5:
            return [head, (found + rest).strip()]
    return [name]


def _fitting(columns: list[_Cells], essential: set[str], room: int) -> set[str]:
    """Return the names of the columns that fit: all essential ones or none, then the others."""
    room += _GAP
    first = [column for column in columns if column.name in essential] or columns
    room -= sum(column.width + _GAP for column in first)
    if room < 0:
        return set()
    chosen = {column.name for column in first}
    for column in columns:
        if column.name not in chosen and column.width + _GAP <= room:
            room -= column.width + _GAP
            chosen.add(column.name)
    return chosen


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text) + _GAP)
