"""The text reports: golden files, and what holds for any result at any width."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.report.reading import read_lanes
from tests.report.regenerate import GOLDEN, reports
from tests.report.samples import SAMPLES, deadlock, incomplete, nine_steps, passed

from mmunotify.report import render_text, render_trace
from mmunotify.report.prose import cells, wrap
from mmunotify.report.steps import collapsed, step_rows
from mmunotify.trace.record import Event, Header, Lane, Result, Trace, Window

REPORTS = dict(reports())


@pytest.mark.parametrize("name", REPORTS)
def test_golden(name: str) -> None:
    """Each report is the one that was read and approved (python -m tests.report.regenerate)."""
    assert REPORTS[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    """Each golden file belongs to a report."""
    assert {path.name for path in GOLDEN.iterdir()} == set(REPORTS)


@pytest.mark.parametrize("width", [72, 80, 100, 120, 200])
@pytest.mark.parametrize("name", SAMPLES)
def test_lines_fit_and_are_ascii(name: str, width: int) -> None:
    """No line is wider than asked for, but the command, which is there to be copied."""
    for line in render_text(SAMPLES[name](), width=width).splitlines():
        assert len(line) <= width or line.startswith("run ")
        assert line.isascii()
        assert line == line.rstrip()


@pytest.mark.parametrize("name", SAMPLES)
def test_colour_adds_nothing_but_colour(name: str) -> None:
    """Without its escapes the coloured text is the plain one."""
    coloured = render_text(SAMPLES[name](), color=True)
    assert "\033[" in coloured
    assert re.sub("\033\\[[0-9;]*m", "", coloured) == render_text(SAMPLES[name]())


@pytest.mark.parametrize(("name", "width"), [("nine_steps", 80), ("long_trace", 80)])
def test_every_word_of_every_step_is_there(name: str, width: int) -> None:
    """What stands in the lanes is number, lane, text, line and changes of each step, uncut."""
    result = SAMPLES[name]()
    assert result.trace
    found = read_lanes(render_text(result, width=width, all_steps=True))
    steps = step_rows(result.trace, result.file)
    assert [(number, lane) for number, lane, _ in found] == [
        (step.number, result.trace.header.lanes[step.lane].name) for step in steps
    ]
    for (_, _, words), step in zip(found, steps, strict=True):
        assert words.startswith("".join((step.text + step.place).split()))


def test_lanes_stand_in_the_order_of_the_mmus() -> None:
    """Primary lanes stand left and devices right, however the trace counts them."""
    lanes = [Lane(name="z", mmu="device"), Lane(name="y", mmu="secondary"), Lane(name="x")]
    events = [Event(n=n + 1, lane=n, text=f"step of {lane.name}") for n, lane in enumerate(lanes)]
    text = render_trace(Trace(header=Header(lanes=lanes), events=events))
    assert text.splitlines()[0].split() == ["x", "y", "z"]


def test_shortest_is_said_only_if_it_was_proved() -> None:
    """A trace that a reduced search found is never called shortest."""
    assert "shortest" in render_text(nine_steps())
    assert "shortest" not in render_text(structs.replace(nine_steps(), shortest=False))


def test_a_state_cell_is_marked_where_it_changed() -> None:
    """The row of the step that clears the pte has the mark, the next has not."""
    rows = [line for line in render_text(nine_steps(), width=120).splitlines() if "  |  " in line]
    by_number = {line.split()[0]: line.rpartition("  |  ")[2].split() for line in rows}
    assert by_number["4"][0] == "none*"
    assert by_number["5"][0] == "none"


def test_incomplete_never_looks_like_a_pass() -> None:
    """Neither the word nor the claim of a pass is in it."""
    text = render_text(incomplete())
    assert text.startswith("INCOMPLETE  ")
    for claim in ("PASS", "hold", "exhaustive"):
        assert claim not in text
    assert "the memory" in text
    assert "limit of 4.0 GB was reached" in text


def test_an_unknown_verdict_is_no_pass() -> None:
    """Nor is one that contradicts its scenarios, or has none."""
    unfinished = structs.replace(incomplete(), verdict="HOLDS")
    none = structs.replace(passed(), scenarios=[])
    for result in (structs.replace(passed(), verdict="MAYBE"), unfinished, none):
        assert render_text(result).startswith("INCOMPLETE")


def test_a_deadlock_says_who_waits() -> None:
    """Each blocked lane has a row of its own after the last step."""
    found = read_lanes(render_text(deadlock(), width=72))
    assert [number for number, _, _ in found] == ["1", "2", "3", "end", "end"]


def test_runs_outside_the_slice_are_one_row() -> None:
    """Only runs of one lane collapse, and no step at the edge of a window does."""
    lanes = [Lane(name="a"), Lane(name="b", mmu="secondary")]
    order = [0, 0, 0, 1, 1, 0, 0, 0]
    events = [
        Event(n=n, lane=lane, text=f"step {n}", slice=n == 8) for n, lane in enumerate(order, 1)
    ]
    window = Window(kind="invalidation", lane=0, first=2, last=6)
    trace = Trace(header=Header(lanes=lanes), events=events, windows=[window])
    numbers = [step.number for step in collapsed(step_rows(trace, ""), trace)]
    assert numbers == ["1", "2", "3", "4-5", "6", "7", "8"]


def test_names_from_elsewhere_command_no_terminal() -> None:
    """Control characters in a trace do not reach the terminal."""
    lane = Lane(name="cpu0\033[2J", role="x\r\ny")
    trace = Trace(header=Header(lanes=[lane]), events=[Event(n=1, lane=0, text="a\x07b\u202ec")])
    for unicode in (False, True):
        text = render_trace(trace, unicode=unicode)
        assert all(one.isprintable() or one == "\n" for one in text)


def test_an_empty_trace_is_shown() -> None:
    """Nothing happened, and nothing breaks."""
    empty = Trace(header=Header())
    assert render_trace(empty) == "\n"
    assert "FAIL" in render_text(Result(verdict="VIOLATED", property="p", trace=empty))


words = st.text(st.sampled_from("ab_[.\u00e9\u4e2d "), max_size=60)


@given(words, st.integers(6, 40), st.integers(0, 2))
def test_wrapping_loses_nothing(text: str, width: int, hanging: int) -> None:
    """Lines fit, and hold all characters in their order."""
    lines = wrap(text, width, hanging=hanging)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
