"""A trace of the running kernel as one HTML file: time across, memory down, colour by cause.

Invariant: the page needs no other file and stays below `LIMIT` bytes; the same trace gives the same
bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources
from math import log2
from pathlib import Path
from string import Template
from typing import Any

from mmunotify.report.activity import headline, incompleteness, lasting, stale_lines
from mmunotify.report.markup import Markup, element, joined, table, table_row
from mmunotify.report.prose import count
from mmunotify.report.tallies import Area, areas, by_cause, over_time
from mmunotify.trace.file import write_atomically
from mmunotify.trace.record import Activity, Trace

__all__ = ["LIMIT", "render_timeline", "write_timeline"]

LIMIT = 600_000
_BANDS = 40  # areas that are drawn; of the rest the number is told
_COLUMNS = (800, 400, 200, 100)  # steps of time, as many as the page has room for
_ROWS = 24  # steps of address in one area
_RECTANGLES = 12_000


def render_timeline(trace: Trace) -> str:
    """Return the page of a trace."""
    page = ""
    for columns in _COLUMNS:
        data = _data(trace, columns)
        page = _page(trace, data)
        if len(data["cells"]) <= _RECTANGLES and len(page.encode()) <= LIMIT:
            break
    return page


def write_timeline(path: str | Path, trace: Trace) -> None:
    """Write the page of a trace, or raise `DiagnosticError` if it cannot be written."""
    write_atomically(path, render_timeline(trace).encode())


def _page(trace: Trace, data: dict[str, Any]) -> str:
    activity = trace.activity or Activity()
    missing = incompleteness(activity)
    facts = [activity.machine, missing or "nothing was lost", *activity.notes, *lasting(trace)]
    notices = [missing, *(" ".join(map(str.strip, one)) for one in stale_lines(trace, 100))]
    text = json.dumps(data, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Template(_read("timeline.html")).substitute(
        title=joined([f"trace of {trace.header.subject}"]),
        style=_read("page.css") + _read("timeline.css"),
        headline=joined([headline(trace)]),
        facts=joined([element("span", fact) for fact in facts if fact]),
        notice=joined([element("p", text, class_="notice") for text in notices if text]),
        causes=_cause_table(trace),
        areas=_area_table(trace),
        data=text,
        script=_read("timeline.js"),
    )


def _data(trace: Trace, columns: int) -> dict[str, Any]:
    """What the script draws: bands of memory, and cells of (band, column, rows, cause, calls)."""
    bands = sorted(areas(trace)[:_BANDS], key=lambda area: (area.mapping.lane, area.mapping.start))
    causes = [tally.name for group in by_cause(trace) for tally in group]
    order = {name: number for number, name in enumerate(dict.fromkeys(causes))}
    activity = trace.activity or Activity()
    return {
        "seconds": activity.seconds,
        "columns": columns,
        "rows": _ROWS,
        "causes": list(order),
        "bands": [_band(area, trace) for area in bands],
        "cells": _cells(trace, bands, order, columns),
        "rate": over_time(trace, columns),
    }


def _band(area: Area, trace: Trace) -> dict[str, Any]:
    mapping = area.mapping
    page = trace.activity.page if trace.activity else 4096
    pages = max(1, (mapping.end - mapping.start) // page)
    return {
        "name": area.name,
        "process": trace.header.lanes[mapping.lane].name,
        "start": f"{mapping.start:#x}",
        "end": f"{mapping.end:#x}",
        "pages": pages,
        "height": 16 + round(4 * min(12.0, log2(pages))),
    }


def _cells(trace: Trace, bands: list[Area], order: dict[str, int], columns: int) -> list[list[int]]:
    length = max(1, round((trace.activity.seconds if trace.activity else 0) * 1e9))
    by_lane: dict[int, list[tuple[int, int, int]]] = {}
    for number, area in enumerate(bands):
        by_lane.setdefault(area.mapping.lane, []).append(
            (area.mapping.start, area.mapping.end, number)
        )
    cells: Counter[tuple[int, int, int, int, int]] = Counter()
    for one in trace.notified:
        column = min(columns - 1, one.time * columns // length)
        for start, end, number in by_lane.get(one.lane, ()):
            if one.start < end and one.end > start:
                low = max(0, one.start - start) * _ROWS // (end - start)
                high = -(-(min(one.end, end) - start) * _ROWS // (end - start))
                cells[number, column, low, max(high, low + 1), order[one.cause]] += 1
    return [[*cell, calls] for cell, calls in sorted(cells.items())]


def _cause_table(trace: Trace) -> Markup:
    invalidations, aging = by_cause(trace)
    rows = [
        table_row(tally.name, kind, f"{tally.calls:,}", f"{tally.pages:,}", f"{tally.largest:,}")
        for kind, group in (("invalidation", invalidations), ("aging", aging))
        for tally in group
    ]
    return table("causes", ["Cause", "What", "Calls", "Pages", "Largest"], rows)


def _area_table(trace: Trace) -> Markup:
    found = areas(trace)
    rows = [
        table_row(
            area.name,
            trace.header.lanes[area.mapping.lane].name,
            f"{area.tally.calls:,}",
            f"{area.tally.pages:,}",
            ", ".join(f"{cause} {calls:,}" for cause, calls in area.causes.most_common(4)),
        )
        for area in found[:_BANDS]
    ]
    shown = table("areas", ["Memory", "Process", "Calls", "Pages", "Causes"], rows)
    if len(found) <= _BANDS:
        return shown
    rest = f"and {count(len(found) - _BANDS, 'other area')}, with fewer calls"
    return joined([shown, element("p", rest)])


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
