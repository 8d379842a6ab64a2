"""`mmunotify corpus`: the table, one bug in full, the record, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmunotify.cli import corpus as verb
from mmunotify.cli.main import main
from mmunotify.corpus.registry import wanted
from mmunotify.corpus.trial import Trial, try_bug
from mmunotify.errors import Exit

Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trial() -> Trial:
    """The trial of one bug."""
    return try_bug(wanted(["C3"])[0])


def test_table(capsys: Printed) -> None:
    """A line for each, from several processes, and a sum."""
    assert main(["corpus", "c3", "C3", "--workers", "2"]) == Exit.HOLDS
    head, one, two, empty, walk, total = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["bug", "what", "class"]
    assert one.startswith("C3   invlpg drops an spte")
    assert one.rsplit(maxsplit=1)[0] == two.rsplit(maxsplit=1)[0]
    assert one.split()[-3] == "walk"
    assert "no_stale_translation" in one
    assert not empty
    assert walk.startswith("walk: found by random walks")
    assert total.startswith("2 bugs, every one found; every fix holds")


def test_in_full(capsys: Printed) -> None:
    """Facts, the interleaving, the fix and the proof."""
    assert main(["corpus", "C3"]) == Exit.HOLDS
    text = capsys.readouterr().out
    for expected in (
        "commit  4539b35881ae",
        "FAIL  no_stale_translation",
        "run   mmunotify check",
        "fix   Flush before mmu_lock is released",
        "class InvlpgFlushes(Invlpg):",
        "PASS  ",
    ):
        assert expected in text


def test_json(capsys: Printed) -> None:
    """One object a bug."""
    assert main(["corpus", "C3", "--json", "-"]) == Exit.HOLDS
    [found] = json.loads(capsys.readouterr().out)
    assert found["found"] is True
    assert found["fixed_holds"] is True
    assert found["violated"] == found["property"] == "no_stale_translation"
    assert found["steps"] > 0
    assert found["fixed_states"] > 0


def test_exit_codes(trial: Trial, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    """A bug that is not found, a fix that does not hold, and a search that does not end."""

    def outcome(wrong: Trial) -> int:
        monkeypatch.setattr("mmunotify.corpus.trial.tried", lambda ids, workers: iter([wrong]))
        return main(["corpus", "C3", "--json", "/dev/null"])

    assert outcome(replace(trial, buggy=trial.fixed)) == Exit.VIOLATED
    assert outcome(replace(trial, fixed=trial.buggy)) == Exit.VIOLATED
    unfinished = type(trial.fixed)(verdict="INCOMPLETE", scenarios=trial.fixed.scenarios)
    assert outcome(replace(trial, fixed=unfinished)) == Exit.INCOMPLETE
    rows = verb._row(wanted(["C3"])[0], replace(trial, buggy=trial.fixed))
    assert "NOT FOUND: HOLDS" in rows
    assert verb._sum([replace(trial, buggy=trial.fixed)]) == "\nnot found: C3\n"
    assert "still violated: C3" in verb._sum([replace(trial, fixed=trial.buggy)])


def test_page_of_one(tmp_path: Path, capsys: Printed) -> None:
    """The page of the interleaving; of one bug only."""
    page = tmp_path / "bug.html"
    assert main(["corpus", "C3", "--html", str(page)]) == Exit.HOLDS
    assert "no_stale_translation" in page.read_text()
    assert main(["corpus", "C3", "C4", "--html", str(page)]) == Exit.ERROR
    assert "the page of one bug" in capsys.readouterr().err


def test_unknown(capsys: Printed) -> None:
    """All that are unknown at once, with the nearest."""
    assert main(["corpus", "c33", "Z9"]) == Exit.ERROR
    text = capsys.readouterr().err
    assert "there is no bug c33" in text
    assert "did you mean C3" in text
    assert "there is no bug Z9" in text
