"""What the page carries as data: the result as JSON, made smaller where a page has no room for it.

Invariant: what is left out is said, and every number that is kept still names the same step.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import structs

from mmunotify.report.prose import count
from mmunotify.report.steps import net_changes
from mmunotify.trace.record import Event, Result, Trace, Window

__all__ = ["as_script", "smaller"]

_AROUND = 25  # lines of source kept around a line that a step is at
_LEAST = 20  # steps kept, however large each of them is


def as_script(result: Result) -> str:
    """Return the JSON of a result in a form that cannot end the element that holds it."""
    text = msgspec.json.encode(result).decode()
    # JSON has these signs in strings only, where an escape means the same.
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def smaller(result: Result) -> Iterable[tuple[Result, str]]:
    """Yield the result in ever smaller forms, each with a sentence that says what is missing."""
    yield result, ""
    trace = result.trace
    if trace is None:
        return
    trace = structs.replace(trace, sources=_near_lines(trace))
    yield (
        structs.replace(result, trace=trace),
        "Of the sources only the lines near a step are here.",
    )
    kept = {event.n for event in trace.events if event.slice} | {trace.events[-1].n, trace.cycle}
    kept |= {edge for window in trace.windows for edge in (window.first, window.last)}
    while True:
        short = _folded(trace, kept)
        missing = len(trace.events) - len(kept & {event.n for event in trace.events})
        notice = f"{count(missing, 'step')} are folded into one another to keep this page small"
        yield structs.replace(result, trace=short), f"{notice}; write them with --json."
        if len(kept) <= _LEAST:
            return
        # The end of a trace is where the violation is.
        kept = set(sorted(kept)[len(kept) // 2 :])


def _near_lines(trace: Trace) -> dict[str, str]:
    """Return the sources with every line empty that is far from all steps, so that numbers stay."""
    near: dict[str, set[int]] = {}
    for event in trace.events:
        for line in event.where:
            around = range(line.line - _AROUND, line.line + _AROUND + 1)
            near.setdefault(line.file, set()).update(around)
    return {
        file: "\n".join(
            line if number in near[file] else "" for number, line in enumerate(text.split("\n"), 1)
        )
        for file, text in trace.sources.items()
        if file in near
    }


def _folded(trace: Trace, kept: set[int]) -> Trace:
    """Return the trace with each run of events that are not `kept` as one event."""
    events: list[Event] = []
    stands_for: dict[int, int] = {}
    run: list[Event] = []
    for event in [*trace.events, None]:
        if run and (event is None or event.n in kept):
            events.append(_as_one(run))
            stands_for |= {one.n: run[0].n for one in run}
            run = []
        if event is not None and event.n in kept:
            events.append(event)
            stands_for[event.n] = event.n
        elif event is not None:
            run.append(event)
    return structs.replace(
        trace,
        events=[_renumbered(event, stands_for) for event in events],
        windows=[_moved(window, stands_for) for window in trace.windows],
        cycle=stands_for.get(trace.cycle, 0),
    )


def _as_one(run: list[Event]) -> Event:
    if len(run) == 1:
        return run[0]
    first, last = run[0].n, run[-1].n
    changes = net_changes([change for event in run for change in event.changes])
    text = f"... {count(len(run), 'step')} ({first}-{last})"
    return Event(n=first, lane=run[0].lane, text=text, changes=changes)


def _renumbered(event: Event, stands_for: dict[int, int]) -> Event:
    uses = sorted({stands_for[use] for use in event.uses})
    return structs.replace(event, uses=uses) if uses != event.uses else event


def _moved(window: Window, stands_for: dict[int, int]) -> Window:
    return structs.replace(
        window, first=stands_for[window.first], last=stands_for.get(window.last, 0)
    )
