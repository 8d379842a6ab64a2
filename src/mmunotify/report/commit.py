"""The interleaving as kernel people write it in a commit message: columns CPU0 and CPU1.

Invariant: no line is wider than 72 characters, and none begins with a sign that git would take
for its own (`#` is a comment, `---` ends the message), which is why all of the drawing is indented.
"""

from __future__ import annotations

from mmunotify.report.lanes import lane_order, shared_out
from mmunotify.report.prose import cells, clean, wrap
from mmunotify.report.summary import bounds_text
from mmunotify.report.text import repeated
from mmunotify.trace.record import Event, Lane, Result, Trace

__all__ = ["render_commit"]

_INDENT = 5  # two or three digits and a space on either side
_GAP = 2
_HANGING = 2


def render_commit(result: Result, *, width: int = 72, all_steps: bool = False) -> str:
    """Return the counterexample for a commit message, with a final line break.

    Only the causal slice is shown unless `all_steps`, with the numbers that the reason refers to.
    Without a counterexample the text is empty.
    """
    if not result.trace:
        return ""
    parts = [
        wrap(_ascii(f"{result.property}: {result.message}"), width),
        _columns(result.trace, width, all_steps),
        [f" *** {_ascii(result.property)} ***"],
        [f" {repeated(result.trace)}"] if result.trace.cycle else [],
        wrap(_ascii(result.why), width) if result.why else [],
        wrap(_ascii(_origin(result)), width),
    ]
    return "\n".join("\n".join(lines) + "\n" for lines in parts if lines)


def _columns(trace: Trace, width: int, all_steps: bool) -> list[str]:
    events = _worth_telling(trace, all_steps)
    entries = [(str(event.n), event.lane, _ascii(event.text)) for event in events]
    entries += [("", blocked.lane, f"<{_ascii(blocked.text)}>") for blocked in trace.blocked]
    lanes = [lane for lane in lane_order(trace) if any(lane == one for _, one, _ in entries)]
    names = _names([trace.header.lanes[lane] for lane in lanes])
    natural = [
        max([cells(name)] + [cells(text) for _, one, text in entries if one == lane])
        for lane, name in zip(lanes, names, strict=True)
    ]
    room = width - _INDENT - _GAP * (len(lanes) - 1)
    widths = shared_out(natural, room)
    heads = [wrap(name, width) for name, width in zip(names, widths, strict=True)]
    lines = [
        _line("", [head[index] if index < len(head) else "" for head in heads], widths)
        for index in range(max((len(head) for head in heads), default=0))
    ]
    lines.append(_line("", ["----"] * len(lanes), widths))
    for number, lane, text in entries:
        column = lanes.index(lane)
        for index, part in enumerate(wrap(text, widths[column], hanging=_HANGING)):
            lines.append(_line("" if index else number, [""] * column + [part], widths))
    return lines


def _worth_telling(trace: Trace, all_steps: bool) -> list[Event]:
    kept = [
        event for event in trace.events if event.slice or (trace.cycle and event.n >= trace.cycle)
    ]
    return trace.events if all_steps or not kept else kept


def _names(lanes: list[Lane]) -> list[str]:
    """Return `CPU0 (munmap)` and so on; a device is no CPU and keeps its name."""
    names = []
    cpu = 0
    for lane in lanes:
        if lane.mmu == "device":
            name = lane.name
        else:
            name = f"CPU{cpu}"
            cpu += 1
        names.append(_ascii(f"{name} ({lane.role})" if lane.role else name))
    return names


def _line(number: str, texts: list[str], widths: list[int]) -> str:
    padded = [
        text + " " * (width - cells(text)) for text, width in zip(texts, widths, strict=False)
    ]
    return (f"{number:>{_INDENT - 2}}  " + (" " * _GAP).join(padded)).rstrip()


def _origin(result: Result) -> str:
    checked = [one for one in result.scenarios if one.name == result.scenario]
    bounds = f" ({bounds_text(checked)})" if checked else ""
    scenario = f", scenario {result.scenario}{bounds}" if result.scenario else ""
    return f"Found by mmunotify {result.version} in {result.file or result.driver}{scenario}."


def _ascii(text: str) -> str:
    return clean(text, unicode=False)
