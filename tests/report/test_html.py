"""The page as a file: self-contained, escaped, small, always the same bytes."""

from __future__ import annotations

import html
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs
from tests.report.samples import SAMPLES, incomplete, nine_steps, passed

from mmunotify.errors import DiagnosticError
from mmunotify.report import page_name, render_page, write_page
from mmunotify.report.html import LIMIT
from mmunotify.trace.file import encode_result
from mmunotify.trace.record import Change, Column, Event, Result, Trace

EVIL = "</script><!--<script>alert(1)</script>&\u2028'\""


def embedded(page: str) -> bytes:
    """Return the JSON that a browser finds in the page."""
    found = re.search(r'<script type="application/json" id="result">(.*?)</script>', page, re.S)
    assert found
    return found[1].encode()


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_is_small_and_always_the_same(name: str) -> None:
    """Same result, same bytes, below the limit; nothing is fetched from anywhere."""
    page = render_page(SAMPLES[name]())
    assert page == render_page(SAMPLES[name]())
    assert len(page.encode()) < LIMIT
    assert not re.search(r'(?:src|href)="(?!#step=|data:)', page)
    assert "@import" not in page


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_holds_the_whole_result(name: str) -> None:
    """What the button downloads is what --json writes."""
    result = SAMPLES[name]()
    assert json.loads(embedded(render_page(result))) == json.loads(encode_result(result))


def test_nothing_in_a_result_becomes_markup() -> None:
    """Texts of the user and of the driver's source stay texts."""
    result = nine_steps()
    assert result.trace
    event = structs.replace(result.trace.events[0], text=EVIL)
    trace = structs.replace(
        result.trace, events=[event, *result.trace.events[1:]], sources={EVIL: EVIL}
    )
    result = structs.replace(
        result, trace=trace, message=EVIL, why=EVIL, file=EVIL, property=EVIL, replay=EVIL
    )
    page = render_page(result)
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert "<!--" not in page
    assert json.loads(embedded(page)) == json.loads(encode_result(result))


def huge(steps: int) -> Result:
    """Return a result with far more steps than a page has room for."""
    result = nine_steps()
    assert result.trace
    first, *_, last = result.trace.events
    filling = [
        Event(
            n=n,
            lane=n % 3,
            text=f"step {n} of a long way",
            changes=[Change(column="clock", before=str(n - 1), after=str(n))],
            uses=[n - 1],
            slice=n % 50 == 0,
        )
        for n in range(2, steps)
    ]
    trace = structs.replace(
        result.trace,
        events=[first, *filling, structs.replace(last, n=steps)],
        header=structs.replace(
            result.trace.header,
            columns=[*result.trace.header.columns, Column(name="clock", initial="1")],
        ),
        sources={name: text * 200 for name, text in result.trace.sources.items()},
    )
    return structs.replace(result, trace=trace)


@pytest.mark.parametrize("steps", [400, 3_000, 20_000])
def test_a_huge_trace_is_folded_and_the_page_says_so(steps: int) -> None:
    """Steps that matter stay, under their own numbers, with the state they leave."""
    page = render_page(huge(steps))
    assert len(page.encode()) < LIMIT
    assert 'class="notice"' in page
    events = json.loads(embedded(page))["trace"]["events"]
    assert events[-1]["n"] == steps
    assert all(earlier["n"] < later["n"] for earlier, later in pairwise(events))
    values = [change["after"] for event in events for change in event["changes"]]
    assert str(steps - 1) in values
    numbers = {event["n"] for event in events}
    assert all(use in numbers for event in events for use in event["uses"])


def test_a_huge_source_keeps_the_numbers_of_its_lines() -> None:
    """Only lines near a step are kept, and they stand where they stood."""
    result = nine_steps()
    assert result.trace
    (name, text), *_ = result.trace.sources.items()
    long = text + "# far away from every step of the interleaving\n" * 6000
    page = render_page(
        structs.replace(result, trace=structs.replace(result.trace, sources={name: long}))
    )
    assert len(page.encode()) < LIMIT
    kept = json.loads(embedded(page))["trace"]["sources"][name].split("\n")
    assert kept[37] == text.split("\n")[37]
    assert len(kept) == len(long.split("\n"))


def test_a_pass_says_what_it_rests_on() -> None:
    """Bounds, scenarios, memory model and the lines that nothing executed."""
    page = html.unescape(render_page(passed()))
    for words in (
        "PASS",
        "all 1,482,930 states (exhaustive)",
        "2 pages, 3 frames, 1 device, 10 scenarios",
        "drivers/kvm_seq.py:52-54",
        "if not rng.blockable:",
        "sequential consistency",
        "munmap_fault",
        "retry_taken",
    ):
        assert words in page


def test_incomplete_never_looks_like_a_pass() -> None:
    """Neither by its word nor by its colour nor by its table."""
    page = render_page(incomplete())
    visible = re.sub(r"<(style|script).*?</\1>", "", page, flags=re.S)
    assert '<body class="incomplete">' in page
    assert "PASS" not in visible
    assert "exhaustive" not in visible
    assert "no proof" in visible


def test_the_name_of_a_page_is_a_file_name() -> None:
    """Driver and property, nothing that leads elsewhere."""
    assert page_name(nine_steps()) == "kvm_like-no_stale_translation.html"
    assert page_name(passed()) == "kvm_seq.html"
    assert page_name(Result(file="../a b.py", property="x/y")) == "a_b-x_y.html"


def test_writing_it_fails_with_one_clear_line(tmp_path: Path) -> None:
    """The directory must exist."""
    write_page(tmp_path / "page.html", passed())
    assert (tmp_path / "page.html").read_text() == render_page(passed())
    with pytest.raises(DiagnosticError, match="E505"):
        write_page(tmp_path / "no" / "page.html", passed())


def test_an_empty_trace_has_a_page() -> None:
    """Nothing happened, and nothing breaks."""
    result = nine_steps()
    assert result.trace
    assert render_page(structs.replace(result, trace=Trace(header=result.trace.header)))
