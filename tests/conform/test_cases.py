"""The cases, without a kernel: what they say about themselves."""

from __future__ import annotations

from mmunotify.conform.cases import CASES
from mmunotify.conform.row import Verdict
from mmunotify.primary import OPERATIONS


def test_models_exist() -> None:
    """Every operation of the model that a case names is one."""
    for case in CASES.values():
        assert set(case.model) <= set(OPERATIONS)
        assert case.expected in set(Verdict)
        assert bool(case.model) is (case.expected != Verdict.NOT_MODELLED)


def test_expected_differences_have_a_reason() -> None:
    """Nothing is waved through."""
    for case in CASES.values():
        assert case.expected == Verdict.AGREE or case.because
