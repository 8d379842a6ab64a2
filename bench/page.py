"""The measured part of docs/benchmarks.md, written by `bench/run.py --page`.

Invariant: the same figures give the same page, and no line but a table's is over 100 columns.
"""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.table import Table

__all__ = ["PAGE", "renewed", "write"]

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_BEGIN = "<!-- measured: from here on written by bench/run.py --page -->\n"


def write(about: Mapping[str, str], tables: Iterable[Table]) -> None:
    """Replace what the page says was measured."""
    today = datetime.date.today().isoformat()
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), today, about, tables), "utf-8")


def renewed(text: str, date: str, about: Mapping[str, str], tables: Iterable[Table]) -> str:
    """Return the page with new figures; raise `ValueError` where it has no place for them."""
    head, mark, _ = text.partition(_BEGIN)
    if not mark:
        raise ValueError(f"the page has no line {_BEGIN.strip()!r}")
    return "\n".join([head + mark, f"Measured on {date}.\n", *_list(about), *_sections(tables)])


def _list(about: Mapping[str, str]) -> Iterator[str]:
    yield from (_item(f"{name}: {value}") for name, value in about.items())
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
