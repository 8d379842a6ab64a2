"""The page in a real browser, opened as a file with the network cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.report.chromium import MISSING, Chromium, Tab, executable
from tests.report.reading import read_lanes
from tests.report.samples import SAMPLES, nine_steps

from mmunotify.report import render_text, write_page
from mmunotify.trace.record import Result

Open = Callable[..., Tab]

# Rectangles of all labels and points along all arrows, in the coordinates of the window.
LABELS = """[...document.querySelectorAll('#diagram text')].map(text => {
  const box = text.getBoundingClientRect();
  return [box.left, box.top + 3, box.right, box.bottom - 3, text.textContent];
})"""
ARROWS = """[...document.querySelectorAll('#diagram .arrow')].flatMap(path => {
  const at = path.getScreenCTM(), points = [];
  for (let done = 0; done <= path.getTotalLength(); done += 2) {
    const point = path.getPointAtLength(done).matrixTransform(at);
    points.push([point.x, point.y]);
  }
  return points;
})"""
WAIT = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 20)))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """Start one browser for all tests of this file."""
    if not executable():
        pytest.skip(MISSING)
    with Chromium() as started:
        yield started


@pytest.fixture
def show(browser: Chromium, tmp_path: Path) -> Open:
    """Open the page of a result, and check that it asks for nothing and complains of nothing."""

    def opened(result: Result, address: str = "", width: int = 1400) -> Tab:
        path = tmp_path / "page.html"
        write_page(path, result)
        tab = browser.open(path, width)
        if address:
            tab.run(f"location.hash = '{address}'")
            tab.run(WAIT)
        assert tab.requests == [path.as_uri()]
        assert tab.complaints == []
        return tab

    return opened


def heading(tab: Tab) -> str:
    """Return what the page says about which step it shows."""
    return str(tab.run("document.querySelector('#step h2').textContent"))


def table(tab: Tab) -> list[list[str]]:
    """Return the cells of the table of steps."""
    rows: list[list[str]] = tab.run(
        "[...document.querySelector('#steps tbody').rows].map("
        "row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("width", [1400, 600])
def test_it_opens_without_a_request_or_an_error(show: Open, name: str, width: int) -> None:
    """Every sample, on a wide and on a narrow screen."""
    tab = show(SAMPLES[name](), width=width)
    drawn = tab.run("document.querySelectorAll('#diagram .row').length")
    assert bool(drawn) == bool(SAMPLES[name]().trace)


@pytest.mark.parametrize(
    ("name", "width"), [("nine_steps", 80), ("long_trace", 80), ("deadlock", 72)]
)
def test_its_table_says_what_the_text_says(show: Open, name: str, width: int) -> None:
    """Number, lane, words, line and changes of each step are those of the terminal."""
    result = SAMPLES[name]()
    violated = "^" + result.property
    text = read_lanes(render_text(result, width=width, all_steps=True))
    rows = [
        (number, lane, "".join((what + line + changes.replace("; ", "")).split()))
        for number, lane, what, line, changes in table(show(result))
    ]
    assert rows == [(number, lane, words.removesuffix(violated)) for number, lane, words in text]


def test_keys_move_from_step_to_step(show: Open) -> None:
    """The last step is shown first; j, k, arrows, Home and End move and stop at the ends."""
    tab = show(nine_steps())
    assert heading(tab) == "Step 9 of 9"
    moves = [
        ("Home", 1),
        ("k", 1),
        ("j", 2),
        ("ArrowDown", 3),
        ("ArrowUp", 2),
        ("k", 1),
        ("End", 9),
        ("ArrowLeft", 8),
        ("ArrowRight", 9),
        ("j", 9),
    ]
    for key, step in moves:
        tab.press(key)
        assert heading(tab) == f"Step {step} of 9", key
        assert tab.run("location.hash") == f"#step={step}"
        assert tab.run("document.querySelector('#steps .chosen th').textContent") == str(step)


def test_the_address_names_the_step(show: Open) -> None:
    """A link to a step opens there, with its line of source in sight."""
    tab = show(nine_steps(), "step=6")
    assert heading(tab) == "Step 6 of 9"
    line = tab.run("document.querySelector('#source .on').textContent")
    assert line.split() == [">", "38", "self.spte[page]", "=", "pfn"]
    assert tab.run(
        "(() => { const pane = document.querySelector('#source').getBoundingClientRect(),"
        " line = document.querySelector('#source .on').getBoundingClientRect();"
        " return line.top >= pane.top && line.bottom <= pane.bottom })()"
    )
    assert "cpu0" in tab.run("document.querySelector('#others').textContent")


def test_a_state_cell_leads_to_the_step_that_wrote_it(show: Open) -> None:
    """In the map of a step and in the table of all states."""
    tab = show(nine_steps())
    tab.run("[...document.querySelectorAll('#map a')].find(a => a.textContent === 'none').click()")
    tab.run(WAIT)
    assert heading(tab) == "Step 4 of 9"
    tab.run("document.querySelector('#states tbody').rows[8].cells[2].querySelector('a').click()")
    tab.run(WAIT)
    assert heading(tab) == "Step 6 of 9"
    changed = tab.run("document.querySelector('#map .changed').closest('tr').textContent")
    assert changed == "secondaryspte[0x1000].A* changed"


@pytest.mark.parametrize("width", [1400, 1000, 600])
@pytest.mark.parametrize("name", ["nine_steps", "long_trace", "five_lanes", "deadlock"])
def test_no_label_is_cut_or_crossed(show: Open, name: str, width: int) -> None:
    """Labels overlap neither each other nor the edge, and no arrow runs through one."""
    tab = show(SAMPLES[name](), width=width)
    labels = tab.run(LABELS)
    edge = tab.run("document.querySelector('#diagram svg').getBoundingClientRect().right")
    assert labels
    for index, (left, top, right, bottom, text) in enumerate(labels):
        assert right <= edge, text
        for other in labels[:index]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart, (text, other[4])
    for x, y in tab.run(ARROWS):
        for left, top, right, bottom, text in labels:
            assert not (left < x < right and top < y < bottom), text


def test_runs_collapse_and_open(show: Open) -> None:
    """A long trace starts collapsed; a link into a run opens it; the slice can stand alone."""
    tab = show(SAMPLES["long_trace"]())
    rows = "document.querySelectorAll('#diagram .row').length"
    collapsed = tab.run(rows)
    assert collapsed < 30
    tab.run("location.hash = '#step=11'")
    tab.run(WAIT)
    assert heading(tab) == "Step 11 of 47"
    assert tab.run(rows) == collapsed + 6
    tab.run("document.querySelector('#collapse').click()")
    assert tab.run(rows) == 47
    tab.run("document.querySelector('#only-slice').click()")
    assert tab.run(rows) == 11


def test_the_buttons_do_what_they_say(show: Open) -> None:
    """Colours turn, the command is copied, the download begins; none of them complains."""
    tab = show(nine_steps())
    for scheme in ("light", "dark", ""):
        tab.run("document.querySelector('#theme').click()")
        assert tab.run("document.documentElement.dataset.theme") == scheme
    tab.run("document.querySelector('#copy').click()")
    tab.run(WAIT)
    assert tab.run("document.querySelector('#copy').textContent") == "Copied"
    tab.run("document.querySelector('#download').click()")
    tab.run(WAIT)
    assert tab.complaints == []
    assert all(address.startswith(("file:", "blob:")) for address in tab.requests)


def test_it_prints(show: Open, tmp_path: Path) -> None:
    """Paper gets the diagram and the tables, and the screen is as before afterwards."""
    tab = show(nine_steps())
    before = tab.run("document.querySelector('#diagram').innerHTML")
    tab.print(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert tab.run("document.querySelector('#diagram').innerHTML") == before
