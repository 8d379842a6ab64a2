"""Every bug of the corpus is found, its fix holds, and docs/corpus.md says what came out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from docs.generate import CORPUS

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Kind
from mmunotify.corpus.omitted import OMITTED
from mmunotify.corpus.page import corpus_page
from mmunotify.corpus.registry import bugs, module_of
from mmunotify.corpus.repair import repair
from mmunotify.corpus.trial import Trial, try_bug
from mmunotify.terms import PROPERTIES

BUGS = bugs()
IDS = [bug.id for bug in BUGS]


@pytest.fixture(scope="module")
def trials() -> dict[str, Trial]:
    """What was decided already, by id."""
    return {}


def trial_of(bug: Bug, trials: dict[str, Trial]) -> Trial:
    """Return the trial of a bug, decided once."""
    if bug.id not in trials:
        trials[bug.id] = try_bug(bug)
    return trials[bug.id]


@pytest.mark.parametrize("bug", BUGS, ids=IDS)
def test_found_and_repaired(bug: Bug, trials: dict[str, Trial]) -> None:
    """With the bug the named property is violated; without it nothing is, in any state."""
    trial = trial_of(bug, trials)
    assert (trial.buggy.verdict, trial.buggy.property) == ("VIOLATED", bug.property)
    assert trial.fixed.verdict == "HOLDS", f"{trial.fixed.property}: {trial.fixed.message}"
    assert trial.steps > 0


# Lines that only the bug makes a thread execute.
ONLY_WITH_THE_BUG = {
    "A4": "an spte is left when the virtual machine is closed",
    "D7": "an spte is put into the obsolete root",
    "E4": "the last reference of a page that never had one is dropped",
}


@pytest.mark.parametrize("bug", BUGS, ids=IDS)
def test_no_proof_is_empty(bug: Bug, trials: dict[str, Trial]) -> None:
    """Every line of the fixed driver is executed in some state, the fix among them."""
    unused = trial_of(bug, trials).fixed.unused
    assert bool(unused) == (bug.id in ONLY_WITH_THE_BUG), unused


@pytest.mark.parametrize("bug", BUGS, ids=IDS)
def test_form(bug: Bug) -> None:
    """The file is one that a user could have written, and the entry is complete."""
    module = module_of(bug.id)
    assert module.__all__ == ["BUG", "SCENARIOS"]
    assert all(isinstance(one, Scenario) for one in module.SCENARIOS)
    for case in (bug.buggy, bug.fixed):
        assert case.scenario in module.SCENARIOS
        assert case.driver.__module__ == module.__name__
    used = {case.scenario.name for case in (bug.buggy, bug.fixed)}
    assert used == {one.name for one in module.SCENARIOS}
    assert len(bug.title) <= 44
    assert bug.title[0].islower() or not bug.title[1].islower(), "a title is no sentence"
    assert bug.property in PROPERTIES
    for text in (bug.what, bug.fix, *([bug.note] if bug.note else [])):
        assert text.endswith(".")
    assert all(re.fullmatch(r"[0-9a-f]{12}", commit.hash) for commit in bug.commits)
    assert not bug.cve or all(re.fullmatch(r"CVE-\d{4}-\d{4,}", one) for one in bug.cve.split(", "))


@pytest.mark.parametrize("bug", BUGS, ids=IDS)
def test_the_models_differ(bug: Bug) -> None:
    """In a class or two that one can read."""
    label, source = repair(bug)
    assert label in ("added", "removed")
    assert source.startswith("class ")
    assert len(source.splitlines()) <= 60


def test_enough() -> None:
    """Every group and every class, and no bug is lost."""
    assert {bug.id[0] for bug in BUGS} == set("ABCDEF")
    assert {bug.kind for bug in BUGS} == set(Kind)
    assert len(BUGS) >= 69
    assert not set(IDS) & set(OMITTED)


def test_page(trials: dict[str, Trial]) -> None:
    """docs/corpus.md is what `make docs` writes, numbers of states included."""
    found: Sequence[Trial] = [trial_of(bug, trials) for bug in BUGS]
    assert CORPUS.read_text() == corpus_page(found)


@pytest.mark.parametrize("bug", BUGS[:1], ids=IDS[:1])
def test_the_command_shows_it_again(
    bug: Bug, trials: dict[str, Trial], capsys: pytest.CaptureFixture[str]
) -> None:
    """The report's command works on the bug's file, as on any user's."""
    from mmunotify.cli.main import main

    trial = trial_of(bug, trials)
    words = trial.buggy.command.split()
    assert Path(words[2].partition(":")[0]).is_file()
    assert main(words[1:]) == 1
    assert bug.property in capsys.readouterr().out
