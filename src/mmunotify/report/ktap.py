"""The answer of a check in KTAP, which the kernel's test systems read.

One test point for each scenario. Invariant: only a scenario that holds is `ok`.
"""

from __future__ import annotations

from mmunotify.report.prose import clean, count
from mmunotify.report.steps import blocked_steps, change_text, step_rows
from mmunotify.report.summary import verdict_word
from mmunotify.report.text import repeated
from mmunotify.trace.record import Result, ScenarioResult

__all__ = ["render_ktap"]


def render_ktap(results: list[Result]) -> str:
    """Return a document in which each result is a test and each scenario a subtest."""
    lines = ["KTAP version 1", f"1..{len(results)}"]
    for number, result in enumerate(results, 1):
        inner = ["KTAP version 1", f"1..{len(result.scenarios)}"]
        for index, scenario in enumerate(result.scenarios, 1):
            inner += [f"# {line}" for line in _notes(result, scenario)]
            inner.append(_point(index, scenario.name, scenario.verdict, _reason(scenario)))
        lines += [f"  {line}" for line in inner]
        verdict = result.verdict if verdict_word(result) != "INCOMPLETE" else "INCOMPLETE"
        lines.append(_point(number, result.driver or result.file, verdict, ""))
    return "\n".join(lines) + "\n"


def _point(number: int, name: str, verdict: str, reason: str) -> str:
    """Return `ok 1 name` and so on; in a name `#` would begin a directive."""
    name = clean(name, unicode=False).replace("#", "_")
    if verdict == "HOLDS":
        return f"ok {number} {name}"
    if verdict == "VIOLATED":
        return f"not ok {number} {name}"
    return f"not ok {number} {name} # TIMEOUT {reason}".rstrip()


def _reason(scenario: ScenarioResult) -> str:
    return clean(scenario.reason, unicode=False)


def _notes(result: Result, scenario: ScenarioResult) -> list[str]:
    """Return the diagnostic lines that stand before a test point."""
    lines = [f"{scenario.name}: {count(scenario.statistics.states, 'state')}"]
    if scenario.verdict == "VIOLATED":
        lines.append(f"{scenario.property}: {scenario.message or result.message}")
        if scenario.name == result.scenario:
            lines += _steps(result)
    return [clean(line, unicode=False) for line in lines]


def _steps(result: Result) -> list[str]:
    if result.trace is None:
        return []
    trace = result.trace
    lines = []
    for step in step_rows(trace, result.file) + blocked_steps(trace, result.file):
        name = trace.header.lanes[step.lane].name
        changes = "".join(f"; {change_text(change)}" for change in step.changes)
        lines.append(f"{step.number} {name}: {step.text}{changes}")
    if trace.cycle:
        lines.append(repeated(trace))
    return lines
