"""The answer of a check as lines of text: FAIL with its interleaving, PASS, or INCOMPLETE.

Invariant: the same result and options give the same text; ASCII without colour is always enough.
"""

from __future__ import annotations

from mmunotify.report.ink import Ink, Line
from mmunotify.report.prose import cells, clean, count, wrap
from mmunotify.report.sheet import lane_lines
from mmunotify.report.steps import (
    blocked_steps,
    collapsed,
    has_many_steps,
    is_same_file,
    step_rows,
)
from mmunotify.report.summary import summary_lines
from mmunotify.trace.record import Result, Trace

__all__ = ["blame", "render_text", "render_trace", "repeated", "replay_command"]

LABEL = 6
_LEGEND = {
    "invalidation": "invalidation, range_start to range_end",
    "stale": "stale translation",
    "cycle": "repeats for ever",
}


def render_text(
    result: Result,
    *,
    width: int = 80,
    unicode: bool = False,
    color: bool = False,
    all_steps: bool = False,
    page: str = "",
) -> str:
    """Return the report of a check, with a final line break. `page` is where the HTML page is."""
    ink = Ink(unicode, color)
    if result.verdict == "VIOLATED":
        lines = _failure(result, width, ink, all_steps, page)
    else:
        lines = summary_lines(result, width, ink, page)
    return "".join(ink.paint(line) + "\n" for line in lines)


def render_trace(
    trace: Trace,
    *,
    file: str = "",
    width: int = 80,
    unicode: bool = False,
    color: bool = False,
    all_steps: bool = False,
) -> str:
    """Return a trace in lanes, without a verdict; lines of `file` are named by number only."""
    ink = Ink(unicode, color)
    lines = _interleaving(trace, file, "", width, ink, all_steps)
    return "".join(ink.paint(line) + "\n" for line in lines)


def blame(result: Result) -> str:
    """Return the place that a violation is put down to, as `file:line`, or ""."""
    if result.place:
        return f"{result.place.file}:{result.place.line}"
    events = result.trace.events if result.trace else []
    for event in reversed(events):
        if event.slice:
            for line in reversed(event.where):
                if is_same_file(line.file, result.file):
                    return f"{result.file}:{line.line}"
    return result.file


def repeated(trace: Trace) -> str:
    """Return which steps of a trace repeat for ever, in words."""
    last = trace.events[-1].n
    if last == trace.cycle:
        return f"step {last} repeats for ever"
    return f"steps {trace.cycle}-{last} repeat for ever"


def replay_command(result: Result) -> str:
    """Return the command that shows the same interleaving again, or ""."""
    if result.command or not result.replay:
        return result.command
    return f"mmunotify check {result.file} --replay {result.replay}"


def _failure(result: Result, width: int, ink: Ink, all_steps: bool, page: str) -> list[Line]:
    lines = _verdict(result, width, ink)
    if result.trace:
        mark = "" if result.trace.blocked else result.property
        lines.append([])
        lines += _interleaving(result.trace, result.file, mark, width, ink, all_steps)
    lines.append([])
    facts = [("why", result.why), ("fix", result.fix)]
    for label, text in facts:
        lines += _labelled(label, text, width, ink)
    # A command is never wrapped: it is there to be copied.
    for label, text in (("run", replay_command(result)), ("page", page)):
        if text:
            lines.append([(f"{label:<{LABEL}}", "label"), (text, "")])
    return lines


def _verdict(result: Result, width: int, ink: Ink) -> list[Line]:
    """Return the first lines: property and place, what happened, how long the way there is."""
    name = clean(result.property, unicode=ink.unicode)
    place = clean(blame(result), unicode=ink.unicode)
    first: Line = [("FAIL", "bad"), ("  ", ""), (name, "bold")]
    lines = [first]
    space = width - LABEL - cells(name) - cells(place)
    if space >= 2:
        first.append((" " * space + place, "dim"))
    else:
        lines += [[(" " * LABEL + part, "dim")] for part in wrap(place, width - LABEL)]
    message = clean(result.message, unicode=ink.unicode)
    lines += [[(" " * LABEL + part, "")] for part in wrap(message, width - LABEL) if part]
    facts = ", ".join(_length(result))
    return lines + [[(" " * LABEL + part, "dim")] for part in wrap(facts, width - LABEL) if part]


def _length(result: Result) -> list[str]:
    facts = [f"scenario {clean(result.scenario)}"] if result.scenario else []
    if result.trace:
        facts.append(count(len(result.trace.events), "step"))
    if result.trace and result.trace.cycle:
        facts.append(repeated(result.trace))
    if result.shortest:
        facts.append("the shortest there is")
    return facts


def _interleaving(
    trace: Trace, file: str, mark: str, width: int, ink: Ink, all_steps: bool
) -> list[Line]:
    steps = step_rows(trace, file, unicode=ink.unicode)
    if has_many_steps(trace) and not all_steps:
        steps = collapsed(steps, trace)
    steps += blocked_steps(trace, file, unicode=ink.unicode)
    return lane_lines(trace, steps, mark, width, ink) + _legend(trace, width, ink)


def _legend(trace: Trace, width: int, ink: Ink) -> list[Line]:
    """Return what the bars mean; a bar that is not there is not explained."""
    kinds = [kind for kind in _LEGEND if any(window.kind == kind for window in trace.windows)]
    lines: list[Line] = [[]] if kinds else []
    for kind in kinds:
        mark = ink.bar(kind)[1]
        for index, part in enumerate(wrap(_LEGEND[kind], width - LABEL)):
            head = f"{mark if index == 0 else '':>{LABEL - 2}}  "
            lines.append([(head, kind), (part, "dim")])
    return lines


def _labelled(label: str, text: str, width: int, ink: Ink) -> list[Line]:
    parts = wrap(clean(text, unicode=ink.unicode), width - LABEL) if text else []
    return [
        [(f"{label if index == 0 else '':<{LABEL}}", "label"), (part, "")]
        for index, part in enumerate(parts)
    ]
