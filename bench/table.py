"""Tables of what was measured, and the bars that it has to meet.

Invariant: the text of a table depends on its contents alone; what `record` returns is JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bar", "Table", "summary"]


@dataclass(frozen=True)
class Bar:
    """One figure and what it has to be. `exact` figures are right or wrong, never slow."""

    what: str
    figure: float
    relation: str  # ">=", "<=" or "=="
    bound: float
    unit: str = ""

    @property
    def meets(self) -> bool:
        """Whether the figure is as it has to be."""
        if self.relation == "==":
            return self.figure == self.bound
        return self.figure >= self.bound if self.relation == ">=" else self.figure <= self.bound

    @property
    def exact(self) -> bool:
        """Whether a miss is an error and not a slow machine."""
        return self.relation == "=="

    @property
    def text(self) -> str:
        """Figure, bar and verdict in one line."""
        figure, bound = (_number(value) + self.unit for value in (self.figure, self.bound))
        verdict = "meets" if self.meets else "MISSES"
        return f"{verdict:6}  {self.what}: {figure} (bar {self.relation} {bound})"


@dataclass
class Table:
    """Rows under columns, with bars below. `notes` say what the reader must know."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def row(self, *cells: object) -> None:
        """Add a row; numbers get thousands separators, None is a dash."""
        self.rows.append([_cell(cell) for cell in cells])

    @property
    def text(self) -> str:
        """The table as aligned text: the first column to the left, the others to the right."""
        lines = [list(self.columns), *self.rows]
        widths = [max(len(line[n]) for line in lines) for n in range(len(self.columns))]
        shown = [
            "  ".join(
                cell.ljust(width) if n == 0 else cell.rjust(width)
                for n, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        rule = "-" * max(map(len, shown))
        head = f"{self.name}: {self.title}"
        body = [rule, shown[0], rule, *shown[1:], rule]
        return "\n".join([head, *body, *self.remarks, *self.verdicts])

    @property
    def remarks(self) -> list[str]:
        """A line a note."""
        return [f"note: {note}" for note in self.notes]

    @property
    def verdicts(self) -> list[str]:
        """A line a bar, but one for all exact ones that are met."""
        exact = [bar.meets for bar in self.bars if bar.exact]
        right = f"{'meets':6}  {sum(exact)} of {len(exact)} exact counts and verdicts"
        met = [right] if any(exact) else []
        return met + [bar.text for bar in self.bars if not (bar.exact and bar.meets)]

    def record(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "bars": [
                {
                    "what": bar.what,
                    "figure": bar.figure,
                    "relation": bar.relation,
                    "bound": bar.bound,
                    "unit": bar.unit.strip(),
                    "meets": bar.meets,
                }
                for bar in self.bars
            ],
            "notes": list(self.notes),
            "samples": self.samples,
        }


def summary(tables: Sequence[Table]) -> list[str]:
    """Return how many bars are met, and a line for each that is not."""
    bars = [(table.name, bar) for table in tables for bar in table.bars]
    missed = [f"{name}: {bar.text}" for name, bar in bars if not bar.meets]
    return [f"{len(bars) - len(missed)} bars met, {len(missed)} missed", *missed]


def _number(value: float) -> str:
    if value == int(value) and abs(value) >= 10:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cell(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, int):
        return f"{cell:,}"
    return _number(cell) if isinstance(cell, float) else str(cell)
