"""One interleaving again: as a report, step by step, under pdb; and results that were saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.command import BUGGY, RIGHT, mmunotify

from mmunotify.cli.main import main

ONE = ("--scenario", "munmap")


@pytest.fixture(scope="module")
def replay() -> str:
    """The replay string of the driver without its retry check."""
    result = json.loads(mmunotify("check", BUGGY, *ONE, "--json", "-").stdout)
    found: str = result["replay"]
    return found


def test_replay(replay: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same lanes, without a search."""
    assert main(["check", str(BUGGY), *ONE]) == 1
    searched = capsys.readouterr().out
    assert main(["check", str(BUGGY), *ONE, "--replay", replay]) == 1
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == searched.splitlines()[0]
    assert shown.splitlines()[-1] == searched.splitlines()[-1]


def test_step(replay: str) -> None:
    """The stepper goes forward and back in the interpreter."""
    for words in (("--step",), ("--step", "--replay", replay)):
        run = mmunotify("check", BUGGY, *ONE, *words, stdin="s\nb\np spte[0x1000]\nq\n")
        assert run.returncode == 1
        assert "spte[0x1000] = none" in run.stdout
        assert run.stderr == ""


def test_pdb(replay: str) -> None:
    """The driver's real code under pdb, from a search or from a replay string."""
    for words in (("--pdb",), ("--pdb", "--replay", replay)):
        run = mmunotify("check", BUGGY, *ONE, *words, stdin="c\nc\nc\n" + "c\n" * 40)
        assert run.returncode == 1
        assert "step 1 device0: " in run.stdout
        assert "> " in run.stdout
        assert "end: no_stale_translation: a frame is freed while" in run.stdout
        assert run.stderr == ""
    run = mmunotify("check", BUGGY, *ONE, "--pdb", stdin="c\nq\n")
    assert run.returncode == 1
    assert "end:" not in run.stdout


def test_nothing_to_step_through() -> None:
    """A driver that is right has no interleaving to look at."""
    for option in ("--pdb", "--step"):
        run = mmunotify("check", RIGHT, *ONE, option)
        assert run.returncode == 0
        assert run.stdout.startswith("PASS")
        assert "nothing is violated" in run.stderr


def test_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json and --html write files; `show` renders the result again."""
    saved, page = tmp_path / "result.json", tmp_path / "page.html"
    assert main(["check", str(BUGGY), *ONE, "--json", str(saved), "--html", str(page)]) == 1
    searched = capsys.readouterr().out
    assert f"page  {page}" in searched
    assert page.read_text().startswith("<!doctype html>")
    assert main(["show", str(saved)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[:5] == searched.splitlines()[:5]
    assert main(["show", str(saved), "--commit"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 72
    assert main(["show", str(saved), "--sarif"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"
    assert main(["show", str(saved), "--ktap"]) == 0
    assert capsys.readouterr().out.startswith("KTAP version 1")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every scenario and property by name."""
    assert main(["check", str(RIGHT), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  munmap" in lines
    assert any(line.startswith("  no_stale_translation ") for line in lines)


def test_several_drivers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All are checked, the worst verdict is the exit code; a file can be about one only."""
    both = tmp_path / "both.py"
    method = "\n    def is_stale(self, seq: int) -> bool:\n        return {}\n\n\n"
    text = RIGHT.read_text().replace(
        "if self.in_progress > 0 or self.seq.read() != seq:", "if self.is_stale(seq):"
    )
    right = method.format("self.in_progress > 0 or self.seq.read() != seq")
    classes = f"class Right(Minimal):{right}class Wrong(Minimal):{method.format('False')}"
    both.write_text(text + "\n\n" + classes)
    assert main(["check", str(both), *ONE]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Right"
    assert lines[1].startswith("PASS")
    assert "Wrong" in lines
    assert main(["check", f"{both}:Right", *ONE]) == 0
    capsys.readouterr()
    assert main(["check", str(both), *ONE, "--json", str(tmp_path / "x.json")]) == 2
    assert "E303" in capsys.readouterr().err


def test_keep_going(capsys: pytest.CaptureFixture[str]) -> None:
    """After a violation the other scenarios follow."""
    words = ["check", str(BUGGY), *ONE, "--scenario", "clear_refs", "--keep-going", "--json", "-"]
    assert main(words) == 1
    result = json.loads(capsys.readouterr().out)
    assert [s["name"] for s in result["scenarios"]] == ["munmap", "clear_refs"]
