"""A trace of the running kernel as lines of text: what was invalidated, why, where and when.

Invariant: what was lost or left out is said before any number.
"""

from __future__ import annotations

from mmunotify.report.ink import Ink, Line
from mmunotify.report.prose import clean, count, seconds, wrap
from mmunotify.report.tallies import Tally, areas, by_cause, by_lane, merged, over_time
from mmunotify.trace.record import Activity, Notified, Stale, Trace

__all__ = [
    "headline",
    "incompleteness",
    "lasting",
    "notified_line",
    "render_activity",
    "stale_line",
    "stale_lines",
]

_LABEL = 7
_AREAS = 10
_PROCESSES = 6
_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " .:-=+*#@"


def render_activity(
    trace: Trace, *, width: int = 80, unicode: bool = False, color: bool = False
) -> str:
    """Return the summary of a trace of the kernel, with a final line break."""
    ink = Ink(unicode, color)
    lines = _heading(trace, width)
    if trace.stale:
        lines += [[], *([(text, "bad")] for one in stale_lines(trace, width) for text in one)]
    invalidations, aging = by_cause(trace)
    if invalidations:
        lines += [[], *_causes(invalidations)]
    if aging:
        lines += [[], *_aging(aging)]
    if invalidations or aging:
        lines += [[], *_areas(trace, width)]
        lines += [[], *_when(trace, width, ink)]
    if len(trace.header.lanes) > 1:
        lines += [[], *_processes(trace)]
    return "".join(ink.paint(line) + "\n" for line in lines)


def notified_line(one: Notified, trace_lanes: list[str], page: int) -> str:
    """Return one notification as a line of text, for those who watch."""
    pages = -(-(one.end - one.start) // page)
    where = f"[{one.start:#x}, +{pages})"
    who = trace_lanes[one.lane]
    return f"{one.time / 1e9:10.6f}  {who:<20}  {one.kind:<8} {where:<26} {one.cause}"


def stale_line(one: Stale, trace_lanes: list[str], page: int) -> str:
    """Return a stale translation as lines of text: of which page, and what is wrong with it."""
    return "\n".join(_stale_lines(one, trace_lanes, page, 80))


def _stale_lines(one: Stale, lanes: list[str], page: int, width: int) -> list[str]:
    where = f"[{one.start:#x}, +{-(-(one.end - one.start) // page)})"
    who = f" by thread {one.by}" if one.by else ""
    what = f"page {one.page:#x} of {lanes[one.lane]}, after {one.cause} {where}{who}: {one.text}"
    first, *rest = wrap(clean(what), width - _LABEL)
    return [f"{'STALE':<{_LABEL}}{first}", *(" " * _LABEL + part for part in rest)]


def headline(trace: Trace) -> str:
    """Return what the trace says in one sentence."""
    tallies, _ = by_cause(trace)
    calls, pages = sum(t.calls for t in tallies), sum(t.pages for t in tallies)
    activity = trace.activity or Activity()
    return (
        f"{clean(trace.header.subject)}: {count(calls, 'invalidation')} of "
        f"{count(pages, 'page')} in {seconds(activity.seconds)}"
    )


def lasting(trace: Trace) -> list[str]:
    """Return how long the operations took whose end is known, in one sentence if there are any."""
    times = sorted(one.ended - one.time for one in trace.notified if one.ended)
    if not times:
        return []
    median, most = times[len(times) // 2] / 1e6, times[-1] / 1e6
    return [f"from start to end: {median:,.2f} ms at the median, {most:,.2f} ms at most"]


def stale_lines(trace: Trace, width: int) -> list[list[str]]:
    """Return the first stale translation of each operation, and how many more there are."""
    page = trace.activity.page if trace.activity else 4096
    names = [lane.name for lane in trace.header.lanes]
    first: dict[str, Stale] = {}
    for one in trace.stale:
        first.setdefault(one.cause, one)
    found = [_stale_lines(one, names, page, width) for one in first.values()]
    more = len(trace.stale) - len(first)
    return (
        [*found, [f"{'':<{_LABEL}}and {count(more, 'other stale translation')}"]] if more else found
    )


def incompleteness(activity: Activity) -> str:
    """Return what is missing from the trace, "" if nothing is."""
    missing = []
    if activity.lost:
        missing.append(f"{count(activity.lost, 'event')} lost: the kernel's rings were full")
    if activity.omitted:
        later = sum(left.calls for left in activity.omitted)
        missing.append(f"{count(later, 'later event')} in the totals by cause only")
    return "; ".join(missing)


def _heading(trace: Trace, width: int) -> list[Line]:
    activity = trace.activity or Activity()
    wrapped = wrap(headline(trace), width - _LABEL)
    lines: list[Line] = [[(f"{'TRACE':<{_LABEL}}", "label"), (wrapped[0], "bold")]]
    lines += [[(" " * _LABEL + part, "bold")] for part in wrapped[1:]]
    missing = incompleteness(activity)
    processes = "process" if len(trace.header.lanes) == 1 else "processes"
    facts = [
        f"{activity.machine}; {len(trace.header.lanes):,} {processes}",
        missing or "nothing was lost",
        *activity.notes,
        *lasting(trace),
    ]
    for fact in facts:
        style = "bad" if fact == missing else "dim"
        lines += [[(" " * _LABEL + part, style)] for part in wrap(clean(fact), width - _LABEL)]
    return lines


def _causes(tallies: list[Tally]) -> list[Line]:
    total = max(1, sum(tally.calls for tally in tallies))
    lines: list[Line] = [
        [(f"{'invalidated by':<28}{'calls':>11}{'pages':>13}{'share':>8}{'largest':>13}", "label")]
    ]
    for tally in tallies:
        share = f"{100 * tally.calls / total:.0f} %"
        text = f"{tally.name:<28}{tally.calls:>11,}{tally.pages:>13,}{share:>8}"
        lines.append([(f"{text}{tally.largest:>10,} pg", "")])
    return lines


def _aging(tallies: list[Tally]) -> list[Line]:
    lines: list[Line] = [[(f"{'asked for its age by':<28}{'calls':>11}{'pages':>13}", "label")]]
    lines += [[(f"{t.name:<28}{t.calls:>11,}{t.pages:>13,}", "")] for t in tallies]
    return lines


def _areas(trace: Trace, width: int) -> list[Line]:
    name_width = max(28, width - 52)
    lines: list[Line] = [
        [(f"{'hottest memory':<{name_width}}{'calls':>11}{'pages':>13}  mostly", "label")]
    ]
    found = merged(areas(trace))
    for area in found[:_AREAS]:
        name = clean(area.name)
        short = name if len(name) < name_width else "..." + name[-(name_width - 4) :]
        cause = area.causes.most_common(1)[0][0]
        numbers = f"{area.tally.calls:>11,}{area.tally.pages:>13,}"
        lines.append([(f"{short:<{name_width}}{numbers}  {cause}", "")])
    if len(found) > _AREAS:
        lines.append([(f"and {count(len(found) - _AREAS, 'other area')}", "dim")])
    return lines


def _when(trace: Trace, width: int, ink: Ink) -> list[Line]:
    buckets = max(20, min(100, width - 8))
    counts = over_time(trace, buckets)
    most = max(counts) or 1
    signs = _BARS if ink.unicode else _ASCII_BARS
    line = "".join(signs[-(-one * 8 // most)] for one in counts)
    length = seconds((trace.activity.seconds if trace.activity else 0) / buckets)
    return [
        [("when  ", "label"), (f"|{line}|", "")],
        [(f"      at most {most:,} in {length}", "dim")],
    ]


def _processes(trace: Trace) -> list[Line]:
    lines: list[Line] = [[(f"{'process':<28}{'calls':>11}{'pages':>13}", "label")]]
    found = by_lane(trace)
    for tally in found[:_PROCESSES]:
        lines.append([(f"{clean(tally.name):<28}{tally.calls:>11,}{tally.pages:>13,}", "")])
    if len(found) > _PROCESSES:
        lines.append([(f"and {len(found) - _PROCESSES:,} others", "dim")])
    return lines
