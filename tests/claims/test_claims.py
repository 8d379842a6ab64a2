"""The twenty claims come out as they did in Linux, each by evidence that can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmunotify.claims import CLAIMS, Check, Claim, decide

VERDICTS = {
    1: "depends",
    2: "depends",
    3: "holds",
    4: "refuted",
    5: "holds",
    6: "refuted",
    7: "holds",
    8: "holds",
    9: "depends",
    10: "depends",
    11: "holds",
    12: "refuted",
    13: "depends",
    14: "depends",
    15: "depends",
    16: "holds",
    17: "holds",
    18: "holds",
    19: "depends",
    20: "holds",
}
"""As kernel history has it: docs/history.md tells each in full."""


def test_numbers() -> None:
    """There are twenty, and each says what became of it."""
    assert list(CLAIMS) == list(range(1, 21))
    assert all(claim.outcome and claim.evidence for claim in CLAIMS.values())


@pytest.mark.parametrize("number", CLAIMS)
def test_verdict(number: int) -> None:
    """Everything comes out as expected, and the verdict follows."""
    result = decide(CLAIMS[number])
    wrong = [(one.text, one.found) for one in result.evidence if not one.as_expected]
    assert not wrong
    assert result.verdict == VERDICTS[number]
    assert (result.verdict == "depends") == bool(result.on)


def test_violations_are_shown() -> None:
    """What is violated has an interleaving that can be replayed."""
    [found] = [one for one in decide(CLAIMS[16]).evidence if one.steps]
    assert found.replay
    assert found.result is not None
    assert found.result.trace is not None


def test_evidence_can_fail() -> None:
    """Evidence that comes out otherwise makes a claim unexpected, whatever the rest says."""
    claim = CLAIMS[16]
    [wrong, *_] = claim.evidence
    assert isinstance(wrong, Check)
    changed = Claim(99, "a claim", "nothing", (replace(wrong, violates=""), *claim.evidence[1:]))
    assert decide(changed).verdict == "unexpected"
