"""The answer of a check that found no violation: what was proved, and how much of it.

Invariant: INCOMPLETE never looks like PASS, and a PASS always says its bounds and what no state
ever executed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from mmunotify.report.ink import Ink, Line
from mmunotify.report.prose import cells, clean, count, listed, megabytes, seconds, wrap
from mmunotify.trace.record import Result, ScenarioResult, Unused

__all__ = [
    "bounds_text",
    "facts_of",
    "headline",
    "largest",
    "speed_text",
    "summary_lines",
    "verdict_word",
]

_MARGIN = 6
_LABEL = 8
_SHOWN = 6  # scenarios in the table; the rest is one line
_COLUMNS = ("scenario", "states", "depth", "time", "memory")
_WIDE = 100  # from this width on, the table says what each scenario does


def summary_lines(result: Result, width: int, ink: Ink, page: str) -> list[Line]:
    """Return the PASS or INCOMPLETE form."""
    name = verdict_word(result)
    style = "good" if name == "PASS" else "warn"
    margin = " " * _MARGIN
    head: Line = [(name, style), ("  ", "")]
    words = wrap(clean(headline(result), unicode=ink.unicode), width - len(name) - 2)
    lines = [[*head, (words[0], "bold")]]
    lines += [[(" " * (len(name) + 2), ""), (one, "bold")] for one in words[1:]]
    for label, text in facts_of(result):
        parts = wrap(clean(text, unicode=ink.unicode), width - _MARGIN - _LABEL)
        for index, part in enumerate(parts):
            shown = f"{label if index == 0 else '':<{_LABEL}}"
            lines.append([(margin, ""), (shown, "label"), (part, "")])
    if page:
        lines.append([(margin, ""), (f"{'page':<{_LABEL}}", "label"), (page, "")])
    return lines + _table(result, width, ink)


def verdict_word(result: Result) -> str:
    """Return PASS, FAIL or INCOMPLETE.

    A verdict that is not known is no pass, nor is one with a scenario that is not finished.
    """
    if result.verdict == "VIOLATED":
        return "FAIL"
    finished = {scenario.verdict for scenario in result.scenarios} == {"HOLDS"}
    return "PASS" if result.verdict == "HOLDS" and finished else "INCOMPLETE"


def headline(result: Result) -> str:
    """Return the verdict in one sentence."""
    name = result.file.rpartition("/")[2] or result.driver
    states = count(_states(result), "state")
    if verdict_word(result) == "PASS":
        noun = "property holds" if len(result.properties) == 1 else "properties hold"
        return f"{name}: {len(result.properties)} {noun} in all {states} (exhaustive)"
    if not result.scenarios:
        return f"{name}: no scenario was checked"
    missing = sum(scenario.verdict != "HOLDS" for scenario in result.scenarios)
    scenarios = count(len(result.scenarios), "scenario")
    return f"{name}: {missing} of {scenarios} not finished; no violation in {states} so far"


def facts_of(result: Result) -> list[tuple[str, str]]:
    """Return what the verdict rests on, each as a label and a sentence."""
    facts = [("stopped", text) for text in _stops(result.scenarios)]
    if verdict_word(result) == "INCOMPLETE":
        facts.append(
            ("means", "nothing is known about the rest: no proof (mmunotify explain W203)")
        )
    facts += [
        ("bounds", bounds_text(result.scenarios)),
        ("checked", ", ".join(result.properties)),
        ("unused", _unused_text(result.unused)),
    ]
    facts += [("open", text) for text in _undecided(result.scenarios)]
    facts += [("goal", text) for text in _missed(result.scenarios)]
    facts += [("caveat", f"{one.text} (mmunotify explain {one.code})") for one in result.caveats]
    facts.append(("model", f"{result.memory_model} of memory accesses"))
    facts.append(("speed", speed_text(result)))
    return [(label, text) for label, text in facts if text]


def bounds_text(scenarios: list[ScenarioResult]) -> str:
    """Return the bounds in words; where scenarios differ, the smallest and the largest."""
    if not scenarios:
        return ""
    bounds = [scenario.bounds for scenario in scenarios]
    sizes = [
        _between([one.pages for one in bounds], "page"),
        _between([one.frames for one in bounds], "frame"),
        _between([one.devices for one in bounds], "device"),
    ]
    operations = _unique(operation for one in bounds for operation in one.operations)
    if len(scenarios) == 1:
        sizes.append(" + ".join(operations))
    else:
        sizes.append(count(len(scenarios), "scenario"))
    protocols = listed(_unique(one.protocol for one in bounds))
    return ", ".join(size for size in sizes if size) + f"; protocol {protocols}"


def speed_text(result: Result) -> str:
    """Return how long it took, how fast, and with how much memory."""
    busy = sum(scenario.statistics.seconds for scenario in result.scenarios)
    parts = [seconds(result.seconds)]
    if busy:
        parts.append(f"{_rate(_states(result) / busy)} states/s")
    memory = max((scenario.statistics.bytes for scenario in result.scenarios), default=0)
    if memory:
        parts.append(megabytes(memory))
    return ", ".join(parts)


def largest(scenarios: list[ScenarioResult]) -> list[ScenarioResult]:
    """Return the scenarios worth a line: unfinished ones, then the largest and the slowest."""
    by_size = sorted(scenarios, key=lambda one: -one.statistics.states)
    by_time = sorted(scenarios, key=lambda one: -one.statistics.seconds)
    chosen = [one.name for one in scenarios if one.verdict != "HOLDS"]
    for pair in zip(by_size, by_time, strict=True):
        for scenario in pair:
            if len(chosen) < _SHOWN and scenario.name not in chosen:
                chosen.append(scenario.name)
    return [one for one in by_size if one.name in chosen]


def _table(result: Result, width: int, ink: Ink) -> list[Line]:
    shown = largest(result.scenarios)
    if len(result.scenarios) < 2:
        return []
    rows: list[tuple[str, ...]] = [_COLUMNS, *(_row(scenario, ink) for scenario in shown)]
    last = ["operations", *(" + ".join(one.bounds.operations) for one in shown)]
    spans = [max(cells(row[index]) for row in rows) for index in range(len(_COLUMNS))]
    spans[0] = min(spans[0], width - _MARGIN - sum(span + 2 for span in spans[1:]))
    left = _MARGIN + sum(span + 2 for span in spans)
    lines: list[Line] = [[]]
    for row, operations in zip(rows, last, strict=True):
        style = "dim" if row is rows[0] else ""
        names = wrap(row[0], spans[0])
        numbers = [f"  {text:>{span}}" for text, span in zip(row[1:], spans[1:], strict=True)]
        doing = wrap(clean(operations, unicode=ink.unicode), width - left) if width >= _WIDE else []
        for index, (name, done) in enumerate(zip_longest(names, doing, fillvalue="")):
            text = "".join(numbers) if index == 0 else " " * (left - _MARGIN - spans[0] - 2)
            shown_name = name + " " * (spans[0] - cells(name))
            lines.append([(f"{' ' * _MARGIN}{shown_name}{text}  {done}", style)])
    rest = len(result.scenarios) - len(shown)
    if rest:
        lines.append([(f"{' ' * _MARGIN}and {rest} more", "dim")])
    return lines


def _row(scenario: ScenarioResult, ink: Ink) -> tuple[str, ...]:
    statistics = scenario.statistics
    name = clean(scenario.name, unicode=ink.unicode)
    if scenario.verdict != "HOLDS":
        name += " (not finished)"
    return (
        name,
        f"{statistics.states:,}",
        str(statistics.depth),
        seconds(statistics.seconds),
        megabytes(statistics.bytes),
    )


def _stops(scenarios: list[ScenarioResult]) -> list[str]:
    """Return how far each unfinished scenario got, and why no further."""
    return [
        f"{one.name} after {count(one.statistics.states, 'state')}, depth "
        f"{one.statistics.depth}: {one.reason or 'no reason given'}"
        for one in scenarios
        if one.verdict == "INCOMPLETE"
    ]


def _undecided(scenarios: list[ScenarioResult]) -> list[str]:
    """Return where `progress` was left undecided, and how to have it decided."""
    open_ = [one for one in scenarios if one.undecided]
    if not open_:
        return []
    where = open_[0].name if len(open_) == 1 else f"{len(open_)} scenarios"
    how = "--property progress decides it"
    return [f"progress in {where}: {open_[0].undecided} ({how})"]


def _missed(scenarios: list[ScenarioResult]) -> list[str]:
    """Return which goals were not reached, and where."""
    found = []
    for goal in _unique(goal for one in scenarios for goal in one.unreached):
        names = [one.name for one in scenarios if goal in one.unreached]
        where = names[0] if len(names) == 1 else f"any of {len(names)} scenarios"
        found.append(f"{goal} was not reached in {where} (mmunotify explain W202)")
    return found


def _unused_text(unused: list[Unused]) -> str:
    if not unused:
        return ""
    places = []
    for one in unused:
        name = one.file.rpartition("/")[2]
        lines = str(one.first) if one.first == one.last else f"{one.first}-{one.last}"
        places.append(f"{name}:{lines}")
    return f"{', '.join(places)} never executed in any state (mmunotify explain W201)"


def _states(result: Result) -> int:
    return sum(scenario.statistics.states for scenario in result.scenarios)


def _between(values: list[int], noun: str) -> str:
    low, high = min(values), max(values)
    if not high:
        return ""
    return count(high, noun) if low == high else f"{low}-{count(high, noun)}"


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _rate(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.1f} M"
    return f"{value / 1e3:.0f} k" if value >= 1e4 else f"{value:,.0f}"
