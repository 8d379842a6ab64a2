"""What a report of the benchmark looks like, and how it ends; nothing is measured here."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from bench import machine, run, spin
from bench.options import Options
from bench.page import BENCHMARKS, LIVE_COST, Page
from bench.samples import Samples, in_turn
from bench.table import Bar, Table

SHOWN = """\
speed: how fast
------------------
checker     states
------------------
engine   1,234,567
other            -
------------------
note: on a good day
meets   1 of 1 exact counts and verdicts
MISSES  ratio: 2.25x (bar >= 2.5x)"""


def table(*bars: Bar) -> Table:
    """Return a small table."""
    made = Table("speed", "how fast", ("checker", "states"), bars=list(bars))
    made.row("engine", 1_234_567)
    made.row("other", None)
    made.notes = ["on a good day"]
    return made


COUNT = Bar("states", 5, "==", 5)
SLOW = Bar("ratio", 2.25, ">=", 2.5, "x")
WRONG = Bar("states", 4, "==", 5)


def test_numbers() -> None:
    """Three digits, and all that stand before the point."""
    made = Table("x", "y", ["a"] * 6)
    made.row(0.1234, 12.345, 57.0, 999.4, 1234.5, 12_345)
    assert made.rows == [["0.123", "12.3", "57", "999", "1,234", "12,345"]]


def test_text() -> None:
    """Numbers stand to the right, exact bars that are met take one line."""
    assert table(COUNT, SLOW).text == SHOWN


pages = pytest.mark.parametrize("page", [BENCHMARKS, LIVE_COST], ids=lambda page: page.path.name)


@pages
def test_page(page: Page) -> None:
    """The measured part is replaced, the rest stays, and the same figures give the same page."""
    old = page.path.read_text(encoding="utf-8")
    about, tables = {"machine": "this one"}, [table(SLOW)]
    new = page.renewed(old, "2026-01-01", about, tables)
    assert new.partition("<!--")[0] == old.partition("<!--")[0]
    assert "Measured on 2026-01-01.\n\n- machine: this one\n" in new
    assert "- 0 bars met, 1 missed\n- speed: MISSES ratio: 2.25x" in new
    assert "| checker | states |\n| :-- | --: |\n| engine | 1,234,567 |\n" in new
    assert "- MISSES ratio: 2.25x" in new
    assert page.renewed(new, "2026-01-01", about, tables) == new
    with pytest.raises(ValueError, match=f"has no line .*{page.command}"):
        page.renewed("# Another page\n", "2026-01-01", {}, [])


@pages
def test_lines_of_the_page(page: Page) -> None:
    """Whatever is said beside a table is filled into 100 columns."""
    made = table(Bar("a figure that is met " * 5, 3.5, ">=", 2.5, "x"))
    made.notes = ["what the reader must know " * 9]
    old = page.path.read_text(encoding="utf-8")
    lines = page.renewed(old, "2026-01-01", {"machine": "m " * 90}, [made]).splitlines()
    assert sum(line.startswith("- ") for line in lines) >= 3
    assert not [line for line in lines if len(line) > 100 and not line.startswith("|")]


def test_page_is_written(tmp_path: Path) -> None:
    """In its place, with the day of today."""
    page = Page(tmp_path / "page.md", LIVE_COST.command)
    page.path.write_text(
        f"# Head\n<!-- measured: from here on written by {page.command} -->\nold\n"
    )
    page.write({"machine": "this one"}, [table(COUNT)])
    written = page.path.read_text()
    assert written.startswith("# Head\n<!--")
    assert "old" not in written
    assert f"Measured on {datetime.date.today()}.\n\n- machine: this one\n- 1 bars met" in written


@pytest.mark.parametrize("also", ["rate", "--quick"])
def test_page_has_all_tables(also: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A page of a part of the figures would lose the others."""
    with pytest.raises(SystemExit):
        run.main(["--page", also])
    assert "--page goes with neither" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("relation", "figure", "meets"),
    [
        (">=", 2.5, True),
        (">=", 2.4, False),
        ("<=", 2.5, True),
        ("<=", 2.6, False),
        ("==", 2.5, True),
        ("==", 2.6, False),
    ],
)
def test_bars(relation: str, figure: float, meets: bool) -> None:
    """A bar is met on its right side."""
    assert Bar("x", figure, relation, 2.5).meets is meets


def test_samples() -> None:
    """The median with its spread, in one unit."""
    assert Samples((0.3, 0.1, 0.2)).text == "200 ms (100-300)"
    assert Samples((1.5, 1.25, 2.0)).text == "1.5 s (1.25-2)"
    assert Samples((0.2, 0.2)).text == "200 ms"


def test_runs_are_in_turn() -> None:
    """A B A B, so that a noisy moment hits both."""
    order: list[str] = []
    results = in_turn(2, [lambda: order.append("A"), lambda: order.append("B")])
    assert order == ["A", "B", "A", "B"]
    assert [len(found) for found in results] == [2, 2]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """Let the benchmark measure one table with the bars that the test puts in this list."""
    bars: list[Bar] = []

    def measure(_: Options) -> Table:
        return table(*bars)

    monkeypatch.setattr(run, "BARS", {"speed": measure})
    monkeypatch.setattr(machine, "describe", lambda: {"machine": "this one"})
    monkeypatch.setattr(spin, "missing", lambda: "")
    monkeypatch.setattr(spin, "version", lambda: "Spin of this test")
    return bars


@pytest.mark.parametrize(("bar", "status"), [(COUNT, 0), (SLOW, 0), (WRONG, 1)])
def test_exit(measured: list[Bar], tmp_path: Path, bar: Bar, status: int) -> None:
    """A slow machine is no failure, a wrong count is one."""
    measured.append(bar)
    path = tmp_path / "out" / "bench.json"
    assert run.main(["--json", str(path)]) == status
    record = json.loads(path.read_text())
    assert record["about"]["machine"] == "this one"
    assert [found["meets"] for found in record["tables"][0]["bars"]] == [bar.meets]


def test_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is none is refused, and the known ones are listed."""
    with pytest.raises(SystemExit, match="2"):
        run.main(["rates"])
    said = capsys.readouterr().err
    assert "rates" in said
    assert "rate, reduced" in said


@pytest.mark.parametrize("lacking", ["spin", "C compiler"])
def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacking: str
) -> None:
    """Without Spin or a compiler there is one line and exit 4."""
    there = {"spin"} if lacking != "spin" else set[str]()
    monkeypatch.setattr("shutil.which", lambda name: name if name in there else None)
    assert run.main([]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert lacking.lower() in said.lower()
    assert "apt-get install" in said
