"""Violations in SARIF 2.1.0, which code hosts show beside the lines they are about.

One result for each violated property, at the line to blame, with one thread flow for each lane.
Viewers that ignore the order across thread flows still find the number of each step in its text.
A check that did not finish is a notification, so that no results does not read as a pass.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from mmunotify.report.lanes import lane_order
from mmunotify.report.steps import Step, driver_line, step_rows
from mmunotify.report.summary import headline, verdict_word
from mmunotify.report.text import blame, repeated
from mmunotify.trace.record import Event, Line, Result, Trace

__all__ = ["render_sarif"]

_Json = dict[str, object]
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_sarif(results: list[Result]) -> str:
    """Return a SARIF log of all violations in `results`, with a final line break."""
    violated = [result for result in results if result.verdict == "VIOLATED"]
    names = sorted({result.property for result in violated})
    driver: _Json = {
        "name": "mmunotify",
        "version": results[0].version if results else "",
        "rules": [{"id": name, "shortDescription": {"text": name}} for name in names],
    }
    unfinished = [one for one in results if verdict_word(one) == "INCOMPLETE"]
    invocation: _Json = {
        "executionSuccessful": not unfinished,
        "toolExecutionNotifications": [
            {"level": "error", "message": {"text": headline(one)}} for one in unfinished
        ],
    }
    run: _Json = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "results": [_result(one) for one in violated],
    }
    log: _Json = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=1).decode() + "\n"


def _result(result: Result) -> _Json:
    around = f"{repeated(result.trace)}." if result.trace and result.trace.cycle else ""
    text = " ".join(part for part in (result.message, around, result.why, result.fix) if part)
    file, _, number = blame(result).rpartition(":")
    place = Line(file=file or result.file, line=int(number) if number.isdigit() else 1)
    made: _Json = {
        "ruleId": result.property,
        "level": "error",
        "message": {"text": text or result.property},
        "locations": [_location(place, "")],
    }
    if result.trace and result.trace.events:
        made["codeFlows"] = [_flow(result, result.trace)]
    return made


def _flow(result: Result, trace: Trace) -> _Json:
    steps = step_rows(trace, result.file)
    flows: list[_Json] = []
    for lane in lane_order(trace):
        places = [
            _step(result, trace, event, step)
            for event, step in zip(trace.events, steps, strict=True)
            if event.lane == lane
        ]
        if places:
            flows.append({"id": trace.header.lanes[lane].name, "locations": places})
    return {"message": {"text": result.why or result.message}, "threadFlows": flows}


def _step(result: Result, trace: Trace, event: Event, step: Step) -> _Json:
    lane = trace.header.lanes[event.lane].name
    text = f"step {event.n}, {lane}: {step.text}"
    line = driver_line(event.where, result.file) or Line(file=result.file, line=1)
    return {
        "location": _location(line, text),
        "executionOrder": event.n,
        "importance": "essential" if event.slice else "unimportant",
        "state": {change.column: {"text": change.after} for change in event.changes},
    }


def _location(line: Line, text: str) -> _Json:
    region: _Json = {"startLine": max(line.line, 1)}
    if line.text:
        region["snippet"] = {"text": line.text}
    made: _Json = {
        "physicalLocation": {"artifactLocation": {"uri": _uri(line.file)}, "region": region}
    }
    if text:
        made["message"] = {"text": text}
    return made


def _uri(file: str) -> str:
    return quote(file.replace("\\", "/"))
