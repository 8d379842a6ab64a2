"""Golden errors: every pair in tests/golden/errors is a user's file and what the user is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmunotify.cli.main import main

GOLDEN = Path(__file__).parents[1] / "golden" / "errors"
FILES = sorted(GOLDEN.glob("*.py"))


def told(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a check of the file prints, after asserting that it is a user's error."""
    monkeypatch.chdir(path.parent)
    assert main(["check", "--workers", "1", "--scenario", "munmap", path.name]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_golden(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text is the golden one, to the letter."""
    assert told(path, monkeypatch, capsys) == path.with_suffix(".txt").read_text()


def test_each_file_is_named_by_the_code_it_shows() -> None:
    """`E104-dict.py` shows E104."""
    for path in FILES:
        code = path.stem.split("-")[0]
        if code.startswith("E"):
            assert f"{code} " in path.with_suffix(".txt").read_text(), path.name
