"""What an invalidation costs: the measurement runs, and its figures make sense."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import kernel

from mmunotify.errors import CannotError


@pytest.mark.parametrize("setting", ["no VM", "empty VM", "guest"])
def test_figures(setting: str) -> None:
    """One figure for each N; nothing is asserted about time."""
    try:
        found = list(kernel.measure(setting, 16, 1))
    except CannotError as error:
        pytest.skip(str(error))
    assert [figure.pages for figure in found] == [1, 4, 16]
    assert all(figure.one_range > 0 and figure.many_ranges > 0 for figure in found)


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table, the figures and the plot."""
    files = [str(tmp_path / name) for name in ("figures.json", "plot.svg")]
    assert kernel.main(["--most", "4", "--runs", "1", "--json", files[0], "--svg", files[1]]) == 0
    assert "N ranges, us" in capsys.readouterr().out
    assert json.loads(Path(files[0]).read_text())["figures"]
    assert Path(files[1]).read_text().startswith("<svg")
