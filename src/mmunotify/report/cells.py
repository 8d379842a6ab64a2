"""The state of the MMUs after each step, as a table of the cells that ever change.

Invariant: a cell is marked `*` in exactly the rows whose step changed it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmunotify.report.ink import Ink, Line
from mmunotify.report.prose import cells, clean
from mmunotify.report.steps import Step
from mmunotify.trace.record import Column, Trace

__all__ = ["StateTable", "changing_columns", "states_after"]

_GAP = 2
_MARK = "*"
# The cells that an interleaving is about. If not all of them fit, those of the MMUs alone; if not
# even these fit, there is no table. Others only join where they leave the lanes wide.
_ESSENTIAL = ("pte", "spte", "tlb", "frame")
_LEAST = ("pte", "spte", "tlb")


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
    group: str
    heading: list[str]
    values: list[str]

    @property
    def width(self) -> int:
        return max(cells(text) for text in [*self.heading, *self.values])


class StateTable:
    """The columns of the state that fit, one row for each step.

    `room` is what the table may take at most, `spare` what it may take without need.
    """

    def __init__(self, trace: Trace, steps: list[Step], room: int, spare: int, ink: Ink) -> None:
        self._ink = ink
        states = states_after(trace, steps)
        columns = [_column(one, steps, states, ink) for one in changing_columns(trace)]
        self._columns = _fitting(columns, room, spare)
        self.names = {column.name for column in self._columns}
        self.height = max((len(column.heading) for column in self._columns), default=0)

    @property
    def width(self) -> int:
        """The cells that a row takes."""
        return _width(self._columns)

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
    heading = _heading(clean(column.name, unicode=ink.unicode), max(map(cells, values), default=0))
    return _Cells(column.name, column.group, heading, values)


def _heading(name: str, width: int) -> list[str]:
    """Return the name on as many lines as make it no wider than the values, where it can be."""
    parts = re.findall(r"[\[. ]?[^\[. ]+|.", name)
    width = max([width, *(cells(part.strip()) for part in parts)])
    lines: list[str] = []
    for part in parts:
        if lines and cells(lines[-1] + part) <= width:
            lines[-1] += part
        else:
            lines.append(part.strip())
    return lines


def _fitting(columns: list[_Cells], room: int, spare: int) -> list[_Cells]:
    """Return the columns that fit, in their order."""
    chosen: list[_Cells] = []
    for groups in (_ESSENTIAL, _LEAST):
        chosen = [column for column in columns if column.group in groups] or columns
        if _width(chosen) <= room:
            break
    else:
        return []
    for column in columns:
        if column not in chosen and _width([*chosen, column]) <= spare:
            chosen.append(column)
    return [column for column in columns if column in chosen]


def _width(columns: list[_Cells]) -> int:
    return sum(column.width + _GAP for column in columns) - _GAP


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text) + _GAP)
