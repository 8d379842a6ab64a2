"""The running kernel against the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmunotify.conform import Row, Verdict, conform
from mmunotify.conform.case import CASES, Case
from mmunotify.errors import CannotError


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Every case, performed once."""
    try:
        return list(conform())
    except CannotError as error:
        pytest.skip(str(error))


def test_nothing_is_surprising(rows: list[Row]) -> None:
    """Each verdict is the one that is explained."""
    assert [row for row in rows if row.surprising] == []


def test_most_cases_are_performed(rows: list[Row]) -> None:
    """At least twenty operations have a list of the kernel's and one of the model's."""
    assert len(rows) == len(CASES)
    held = [row for row in rows if row.model and row.verdict is not Verdict.SKIPPED]
    assert len(held) >= 20
    assert sum(row.verdict is Verdict.AGREE for row in held) >= 15


def test_whatever_does_not_agree_is_explained(rows: list[Row]) -> None:
    """A finding without an explanation is none."""
    for row in rows:
        assert row.verdict is Verdict.AGREE or row.because, row


def test_settings_are_restored(rows: list[Row]) -> None:
    """ksmd is as it was, and nothing is merged any more."""
    assert rows
    assert Path("/sys/kernel/mm/ksm/run").read_text().strip() in "02"


def test_wrong_model_is_found(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    """Held against the wrong operation, a case differs: the comparison can fail."""
    assert rows
    right = CASES["write"]
    wrong = Case(right.name, right.call, ("munmap",), right.run)
    monkeypatch.setitem(CASES, "write", wrong)
    (row,) = conform(["write"])
    assert (row.verdict, row.surprising) == (Verdict.DIFFERS, True)
    assert row.because.startswith("not understood")


def test_refused_call_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without an operation is no difference."""

    def refused(scene: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setitem(CASES, "odd", Case("odd", "odd()", (), refused))
    try:
        (row,) = conform(["odd"])
    except CannotError as error:
        pytest.skip(str(error))
    assert row.verdict is Verdict.SKIPPED
    assert "Invalid argument" in row.because
