"""The measured parts of pages of docs/, written by `--page` of bench/run.py and bench/live.py.

Invariant: the same figures give the same page, and no line but a table's is over 100 columns.
"""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.table import Table, summary

__all__ = ["BENCHMARKS", "LIVE_COST", "Page"]

_DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Page:
    """A page, and the command that writes what was measured from a certain line on."""

    path: Path
    command: str

    def write(self, about: Mapping[str, str], tables: Sequence[Table]) -> None:
        """Replace what the page says was measured."""
        today = datetime.date.today().isoformat()
        text = self.path.read_text(encoding="utf-8")
        self.path.write_text(self.renewed(text, today, about, tables), encoding="utf-8")

    def renewed(
        self, text: str, date: str, about: Mapping[str, str], tables: Sequence[Table]
    ) -> str:
        """Return the page with new figures; raise `ValueError` where it has no place for them."""
        begin = f"<!-- measured: from here on written by {self.command} -->\n"
        head, mark, _ = text.partition(begin)
        if not mark:
            raise ValueError(f"the page has no line {begin.strip()!r}")
        measured = f"Measured on {date}.\n"
        return "\n".join([head + mark, measured, *_list(about, tables), *_sections(tables)])


BENCHMARKS = Page(_DOCS / "benchmarks.md", "bench/run.py --page")
LIVE_COST = Page(_DOCS / "live-cost.md", "bench/live.py --page")


def _list(about: Mapping[str, str], tables: Sequence[Table]) -> Iterator[str]:
    yield from (_item(f"{name}: {value}") for name, value in about.items())
    yield from map(_item, summary(tables))
    yield ""


def _sections(tables: Iterable[Table]) -> Iterator[str]:
    for table in tables:
        yield f"### {table.name}: {table.title}\n"
        yield _row(table.columns)
        yield _row([":--", *("--:" for _ in table.columns[1:])])
        yield from (_row(cells) for cells in table.rows)
        yield ""
        yield from (_item(line) for line in [*table.verdicts, *table.remarks])
        yield ""


def _item(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 100, initial_indent="- ", subsequent_indent="  ")


def _row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("*", "\\*") for cell in cells)
    return f"| {' | '.join(escaped)} |"
