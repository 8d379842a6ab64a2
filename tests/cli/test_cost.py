"""`mmunotify cost`: the table, the counts as JSON, the plot."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.cli.command import is_one_error, mmunotify


def test_table() -> None:
    """One flush for any number of translations is a line at 1."""
    run = mmunotify("cost", "--most", "64")
    assert run.returncode == 0, run.stderr
    text = run.stdout.partition("\n\n")[0].splitlines()
    assert text[0].startswith("start_end: ")
    rows = [[int(cell) for cell in line.split()] for line in text[2:]]
    assert [row[0] for row in rows] == [1, 4, 16, 64]
    assert {row[1] for row in rows} == {1}


def test_json_and_plot(tmp_path: Path) -> None:
    """Both files are written, and the plot has a line a form."""
    plot = tmp_path / "cost.svg"
    run = mmunotify("cost", "--most", "4", "--json", "-", "--svg", plot)
    rows = json.loads(run.stdout)
    forms = {row["form"] for row in rows}
    assert {"start_end", "end_only", "by_page"} <= forms
    assert {row["pages"] for row in rows} == {1, 4}
    lines = [one for one in ET.parse(plot).iter() if one.tag.endswith("polyline")]
    assert len(lines) == len(forms)


def test_bad_input(tmp_path: Path) -> None:
    """Impossible sizes and paths are refused before anything is counted."""
    is_one_error(mmunotify("cost", "--most", "0"), "E305")
    is_one_error(mmunotify("cost", "--svg", tmp_path / "no" / "plot.svg"), "E505")
