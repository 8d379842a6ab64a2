"""What repeats for ever: every report says from which step on, and draws it where it draws."""

from __future__ import annotations

import json

from mmunotify.report import render_commit, render_ktap, render_page, render_sarif, render_text
from mmunotify.trace.record import (
    Bounds,
    Event,
    Header,
    Lane,
    Result,
    ScenarioResult,
    Statistics,
    Trace,
    Window,
)

SAYS = "steps 2-4 repeat for ever"


def endless(first: int = 2) -> Result:
    """Return a fault that tries again for ever, from step `first` of four."""
    texts = ["seq = self.seq.read()", "self.sections += 1", "return RETRY", "self.sections -= 1"]
    trace = Trace(
        header=Header(
            lanes=[Lane(name="munmap"), Lane(name="device0", role="device", mmu="secondary")]
        ),
        events=[Event(n=n, lane=n % 2, text=text, slice=n == 3) for n, text in enumerate(texts, 1)],
        windows=[Window(kind="cycle", lane=0, first=first, last=4, text="repeats for ever")],
        cycle=first,
    )
    bounds = Bounds(pages=1, frames=1, devices=1, operations=["munmap"], protocol="srcu")
    return Result(
        driver="Mine",
        file="mine.py",
        verdict="VIOLATED",
        property="progress",
        properties=["progress"],
        message="the fault of device0 never ends",
        why="device0 makes step 3 again and again.",
        scenario="munmap/endless",
        scenarios=[
            ScenarioResult(
                name="munmap/endless",
                verdict="VIOLATED",
                bounds=bounds,
                statistics=Statistics(states=9),
                property="progress",
                message="the fault of device0 never ends",
            )
        ],
        trace=trace,
    )


def test_text() -> None:
    """The heading says it; a bar and two lines mark it."""
    lines = render_text(endless()).splitlines()
    assert f"scenario munmap/endless, 4 steps, {SAYS}" in lines[2]
    begin = next(n for n, line in enumerate(lines) if "from here on the steps repeat" in line)
    end = next(n for n, line in enumerate(lines) if "and again from step 2, for ever" in line)
    assert lines[begin + 1].split() == ["2", ".", "self.sections", "+=", "1"]
    assert lines[end - 2].split() == ["4", "'", "self.sections", "-=", "1"]
    assert any(line.split() == [":", "repeats", "for", "ever"] for line in lines)
    assert "step 4 repeats for ever" in render_text(endless(4))


def test_commit_message() -> None:
    """All of the cycle is there, slice or not."""
    text = render_commit(endless())
    assert f"\n {SAYS}\n" in text
    assert [n for n in "1234" if f"\n  {n}  " in text] == ["2", "3", "4"]


def test_the_others() -> None:
    """KTAP, SARIF and the page say it, too."""
    assert f"# {SAYS}" in render_ktap([endless()])
    [result] = json.loads(render_sarif([endless()]))["runs"][0]["results"]
    assert SAYS in result["message"]["text"]
    assert SAYS in render_page(endless())


def test_what_was_left_open() -> None:
    """A pass says where progress was not decided."""
    scenario = ScenarioResult(
        name="cow",
        verdict="HOLDS",
        bounds=endless().scenarios[0].bounds,
        statistics=Statistics(states=9),
        undecided="its limit of states is reached",
    )
    text = render_text(Result(file="mine.py", properties=["paired"], scenarios=[scenario]))
    assert text.startswith("PASS")
    assert "open    progress in cow: its limit of states is reached" in text
    assert "--property progress" in " ".join(text.split())
