"""The model and the machine side by side."""

from __future__ import annotations

import pytest

from mmunotify.litmus import row as module
from mmunotify.litmus.case import Outcome, shipped
from mmunotify.litmus.machine import Observed
from mmunotify.litmus.model import Allowed
from mmunotify.litmus.row import Row, Verdict, how_often, run_case

CASE = shipped()["dontneed-read"]
OLD, NEW, STALE = (0, 1), (1, 0), (1, 1)


def run(monkeypatch: pytest.MonkeyPatch, model: set[Outcome], machine: dict[Outcome, int]) -> Row:
    """The row of a model and a machine that say this."""
    rounds = sum(machine.values())
    monkeypatch.setattr(module, "allowed", lambda case: Allowed(frozenset(model), 9, 0.1))
    monkeypatch.setattr(module, "observe", lambda case, **_: Observed(machine, rounds, 0.1))
    return run_case(CASE)


def test_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both say never."""
    row = run(monkeypatch, {OLD, NEW}, {OLD: 5, NEW: 7})
    assert (row.model, row.machine, row.verdict) == ("Never", "Never", Verdict.AGREE)
    assert row.hits == 0


def test_model_allows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine was not seen doing it, which proves nothing."""
    row = run(monkeypatch, {OLD, NEW, STALE}, {OLD: 5})
    assert row.verdict is Verdict.MODEL_ALLOWS_MORE


def test_model_too_strong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine did what the model forbids."""
    row = run(monkeypatch, {OLD, NEW}, {OLD: 5, STALE: 1})
    assert row.verdict is Verdict.TOO_STRONG
    assert (row.forbidden, row.hits) == ((STALE,), 1)


def test_any_forbidden_outcome_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that the condition does not ask for."""
    row = run(monkeypatch, {NEW}, {OLD: 1, NEW: 1})
    assert row.verdict is Verdict.TOO_STRONG


def test_how_often() -> None:
    """Never, sometimes, always."""
    assert how_often(CASE, [OLD, NEW]) == "Never"
    assert how_often(CASE, [OLD, STALE]) == "Sometimes"
    assert how_often(CASE, [STALE]) == "Always"
    assert how_often(CASE, []) == "Never"
