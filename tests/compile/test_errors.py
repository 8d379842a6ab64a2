"""Golden errors: every pair in tests/golden/errors is a user's file and what the user is told.

A first line `# $ mmunotify ...` in the file is the command; `...` in the text stands for any lines.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from docs.blocks import matches

from mmunotify.cli.main import main
from mmunotify.codes import CODES

GOLDEN = Path(__file__).parents[1] / "golden" / "errors"
FILES = sorted(GOLDEN.glob("*.py"))
COMMAND = "# $ mmunotify "


def words(path: Path) -> list[str]:
    """Return the arguments that the file is checked with."""
    with path.open() as file:
        first = file.readline()
    if first.startswith(COMMAND):
        return shlex.split(first.removeprefix(COMMAND))
    return ["check", "--workers", "1", "--scenario", "munmap", path.name]


def told(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a check of the file prints: an error, or a report."""
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("COLUMNS", "80")
    code = main(words(path))
    shown = capsys.readouterr()
    if code != 2:
        assert not path.name.startswith("E")
        return shown.out
    assert shown.out == ""
    return shown.err


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_golden(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text is the golden one, to the letter."""
    text, golden = told(path, monkeypatch, capsys), path.with_suffix(".txt").read_text()
    assert text == golden or matches(golden.splitlines(), text.splitlines()), text


def test_each_file_is_named_by_the_code_it_shows() -> None:
    """`E104-dict.py` shows E104."""
    for path in FILES:
        code = path.stem.split("-")[0]
        if re.fullmatch(r"[EW]\d\d\d", code):
            assert re.search(rf"\b{code}\b", path.with_suffix(".txt").read_text()), path.name


def test_each_code_has_a_golden_pair() -> None:
    """All codes but those of what a machine lacks, E4xx, which a file cannot bring about."""
    shown = {path.stem.split("-")[0] for path in FILES}
    assert [code for code in CODES if code not in shown and not code.startswith("E4")] == []
