"""The parts of the page that are text and tables: heading, facts, scenarios, steps.

Invariant: all of it is there without JavaScript; the script only draws and moves.
"""

from __future__ import annotations

import textwrap

from mmunotify.report.markup import Markup, element, joined, linked, table, table_row
from mmunotify.report.prose import clean, count, megabytes, seconds
from mmunotify.report.steps import blocked_steps, change_text, collapsed, step_rows
from mmunotify.report.summary import bounds_text, facts_of, headline, verdict_word
from mmunotify.report.text import blame, repeated, replay_command
from mmunotify.trace.record import Result, ScenarioResult, Trace, Unused

__all__ = ["cards", "heading", "steps_table"]

_SCENARIOS = 200  # rows of the table of scenarios


def heading(result: Result) -> Markup:
    """Return the verdict, what happened, why, and what to do."""
    violated = result.verdict == "VIOLATED"
    title = result.property if violated else headline(result)
    badge = element("span", verdict_word(result), class_="badge")
    return joined(
        [
            element("h1", badge, " ", title),
            element("p", result.message, class_="message") if result.message else "",
            element("p", *_facts(result), class_="facts"),
            _reason("Why", result.why),
            _reason("Fix", result.fix),
        ]
    )


def steps_table(result: Result, trace: Trace) -> Markup:
    """Return every step as a row: number, lane, text, line, changes."""
    steps = step_rows(trace, result.file)
    runs = {
        number: str(run.first)
        for run in collapsed(steps, trace)
        if run.is_run
        for number in range(run.first, run.last + 1)
    }
    steps += blocked_steps(trace, result.file)
    last = trace.events[-1].n if trace.events else 0
    rows = []
    for index, step in enumerate(steps, 1):
        number = str(step.first or last + index - len(trace.events))
        row = table_row(
            element("a", step.number, href=f"#step={number}"),
            clean(trace.header.lanes[step.lane].name),
            step.text,
            step.place,
            "; ".join(change_text(change) for change in step.changes),
            class_="slice" if step.in_slice else "",
            data_n=number,
            data_run=runs.get(step.first, ""),
        )
        rows.append(row)
    return table("steps", ["step", "lane", "what happens", "line", "changes"], rows)


def cards(result: Result) -> Markup:
    """Return what the verdict rests on: replay, properties, bounds, scenarios, unused lines."""
    return joined(
        [
            _replay(result),
            _card("Properties", _properties(result)),
            _card("Bounds", _bounds(result)),
            _card("Never executed", _unused(result.unused), class_="wide") if result.unused else "",
            _card("Scenarios", _scenarios(result.scenarios), class_="wide"),
        ]
    )


def _facts(result: Result) -> list[Markup]:
    facts = [blame(result) if result.verdict == "VIOLATED" else result.file or result.driver]
    if result.scenario:
        facts.append(f"scenario {result.scenario}")
    if result.trace:
        steps = count(len(result.trace.events), "step")
        facts.append(f"{steps}, the shortest there is" if result.shortest else steps)
    if result.trace and result.trace.cycle:
        facts.append(repeated(result.trace))
    facts.append(f"{count(sum(one.statistics.states for one in result.scenarios), 'state')}")
    facts.append(seconds(result.seconds))
    facts.append(f"mmunotify {result.version}")
    return [element("span", fact) for fact in facts]


def _reason(label: str, text: str) -> str:
    return element("p", element("b", label), " ", linked(text), class_="reason") if text else ""


def _card(title: str, body: str, **attributes: str) -> Markup:
    return element("section", element("h2", title), body, **attributes)


def _replay(result: Result) -> str:
    command = replay_command(result)
    if not command:
        return ""
    body = [
        element("code", command, id="command"),
        element("button", "Copy", id="copy", type="button"),
    ]
    return _card("The same interleaving again", element("p", *body, class_="command"))


def _properties(result: Result) -> Markup:
    rows = []
    for name in result.properties:
        if name == result.property:
            verdict = element("b", "violated", class_="bad")
        elif verdict_word(result) == "PASS":
            verdict = Markup("holds")
        else:
            verdict = Markup("no violation found so far")
        rows.append(element("li", element("code", name), " ", verdict))
    return element("ul", *rows, class_="plain")


def _bounds(result: Result) -> Markup:
    facts = [
        (label, text) for label, text in facts_of(result) if label not in ("checked", "unused")
    ]
    pairs = [joined([element("dt", label), element("dd", text)]) for label, text in facts]
    return element("dl", *pairs)


def _unused(unused: list[Unused]) -> Markup:
    items = []
    for one in unused:
        lines = str(one.first) if one.first == one.last else f"{one.first}-{one.last}"
        where = f"{one.file}:{lines}"
        name = [" in ", element("code", f"{one.function}()")] if one.function else []
        source = element("pre", textwrap.dedent(one.text)) if one.text else ""
        items.append(element("li", element("code", where), *name, source))
    advice = "No state of any scenario reached these lines: what they do was not checked. "
    return joined(
        [
            element("p", advice, element("code", "mmunotify explain W201")),
            element("ul", *items, class_="plain"),
        ]
    )


def _scenarios(scenarios: list[ScenarioResult]) -> Markup:
    shown = scenarios[:_SCENARIOS]
    rows = [
        table_row(
            one.name,
            _verdict(one),
            f"{one.statistics.states:,}",
            str(one.statistics.depth),
            seconds(one.statistics.seconds),
            megabytes(one.statistics.bytes),
            bounds_text([one]),
        )
        for one in shown
    ]
    heads = ["scenario", "verdict", "states", "depth", "time", "memory", "bounds"]
    rest = len(scenarios) - len(shown)
    more = element("p", f"and {rest} more; the JSON has all of them") if rest else ""
    return joined([element("div", table("scenarios", heads, rows), class_="scroll"), more])


def _verdict(scenario: ScenarioResult) -> str:
    words = {"HOLDS": "holds", "VIOLATED": f"violated: {scenario.property}"}
    text = words.get(scenario.verdict, f"not finished: {scenario.reason}")
    text += "".join(f"; {goal} never reached" for goal in scenario.unreached)
    return text if scenario.verdict == "HOLDS" else element("b", text, class_="bad")
