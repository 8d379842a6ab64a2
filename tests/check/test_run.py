"""Whole checks: which scenarios, what is recorded, and how they end early."""

from __future__ import annotations

import pytest
from tests.api.drivers import Forgetful, Right, Worried

from mmunotify.check import run as module
from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.job import INTERRUPTED, Answer, Job
from mmunotify.check.options import Options
from mmunotify.check.run import interrupted, run
from mmunotify.check.search import Progress
from mmunotify.check.subject import subject_of
from mmunotify.drivers.kvm import Kvm
from mmunotify.errors import DiagnosticError

RIGHT = subject_of(Right)


def names(*wanted: str, all_pairs: bool = False) -> list[str]:
    """Return the names of the scenarios that are chosen."""
    options = Options(scenarios=wanted, all_pairs=all_pairs)
    return [scenario.name for scenario in chosen_scenarios(subject_of(Kvm), options)]


def test_scenarios_by_name() -> None:
    """One, several in the order given, each once; all of them without a name."""
    assert names("munmap") == ["munmap"]
    assert names("cow", "munmap", "cow") == ["cow", "munmap"]
    assert names()[0] == "munmap"
    assert len(set(names())) == len(names())
    assert len(names(all_pairs=True)) > len(names())


def test_unknown_names_all_at_once() -> None:
    """Properties are known with the driver's own ones."""
    options = Options(properties=("nope", "counted_to_five", "paird"))
    with pytest.raises(DiagnosticError) as caught:
        chosen_scenarios(subject_of(Worried), options)
    found = [(d.code, d.what, d.fix) for d in caught.value.diagnostics]
    assert found == [
        ("E304", "there is no property nope", ""),
        ("E304", "there is no property paird", "did you mean paired?"),
    ]


def test_watcher_interrupts() -> None:
    """A watcher that says False ends the check, and the result says where it was."""

    def watch(text: str, progress: Progress) -> bool:
        return not text.startswith("2/3")

    result = run(RIGHT, Options(scenarios=("munmap", "cow", "fork")), watch)
    assert result.verdict == "INCOMPLETE"
    assert interrupted(result)
    assert [s.name for s in result.scenarios] == ["munmap", "cow"]
    assert result.scenarios[1].reason == f"{INTERRUPTED}; 1 more scenarios were not begun"


def test_interrupted_while_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C outside of a search is no pass either."""

    def interrupt(*_: object) -> Answer:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "answer", interrupt)
    result = run(RIGHT, Options(scenarios=("munmap",)))
    assert (result.verdict, interrupted(result)) == ("INCOMPLETE", True)
    assert [s.name for s in result.scenarios] == ["munmap"]


def test_a_violation_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found before an interruption is a violation all the same."""
    calls: list[str] = []
    answer = Job.answer

    def second_interrupts(self: Job, *rest: object) -> Answer:
        calls.append(self.scenario.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return answer(self)

    monkeypatch.setattr(Job, "answer", second_interrupts)
    options = Options(scenarios=("munmap", "cow"), keep_going=True)
    result = run(subject_of(Forgetful), options)
    assert (result.verdict, result.scenario) == ("VIOLATED", "munmap")


def test_progress_is_told() -> None:
    """Which scenario, of how many, before its search begins."""
    told: list[tuple[str, int]] = []
    run(
        RIGHT,
        Options(scenarios=("munmap", "clear_refs")),
        lambda text, progress: told.append((text, progress.states)),
    )
    assert ("1/2 munmap", 0) in told
    assert ("2/2 clear_refs", 0) in told


def test_progress_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of what is searched at the moment, by several processes."""
    told: list[str] = []
    monkeypatch.setattr(module, "_ALONE", 0)
    scenarios = ("munmap+munmap", "clear_refs", "oom_reaper", "munmap", "mprotect")
    result = run(RIGHT, Options(scenarios=scenarios, workers=2), lambda text, _: told.append(text))
    assert result.verdict == "HOLDS"
    assert any(", " in text for text in told)
    assert all(text.split("/")[1].startswith("5") for text in told)


def test_command_shows_it_again() -> None:
    """The command of a counterexample has every option that changes the program."""
    options = Options(pages=1, scenarios=("munmap/2 devices",))
    result = run(subject_of(Forgetful), options)
    assert result.command == (
        f"mmunotify check {result.file}:Forgetful --pages 1 "
        f"--scenario 'munmap/2 devices' --replay {result.replay}"
    )
