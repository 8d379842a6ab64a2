"""`Row`: a litmus test on the model and on the machine, side by side.

Invariant: the only failure is an outcome that the machine showed and the model forbids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mmunotify.errors import CannotError
from mmunotify.litmus.case import Case, Outcome
from mmunotify.litmus.machine import Observed, observe
from mmunotify.litmus.model import Allowed, allowed

__all__ = ["Row", "Verdict", "how_often", "run_case"]


class Verdict(StrEnum):
    """How the model and the machine relate."""

    AGREE = "agree"
    MODEL_ALLOWS_MORE = "model allows more"  # the machine was never seen doing it: no contradiction
    TOO_STRONG = "MODEL TOO STRONG"  # the machine did what the model says cannot happen
    MODEL_ONLY = "model only"  # the machine cannot run it; `reason` says why


@dataclass(frozen=True)
class Row:
    """One test; `forbidden` are the outcomes that make the model too strong."""

    case: Case
    model: str
    machine: str
    verdict: Verdict
    allowed: Allowed
    observed: Observed | None
    reason: str = ""
    forbidden: tuple[Outcome, ...] = ()

    @property
    def hits(self) -> int:
        """In how many rounds the condition held."""
        if self.observed is None:
            return 0
        return sum(n for o, n in self.observed.outcomes.items() if self.case.satisfied(o))


def how_often(case: Case, outcomes: Iterable[Outcome]) -> str:
    """Return whether the condition holds in none, some or all of the outcomes."""
    found = [case.satisfied(outcome) for outcome in outcomes]
    if all(found):
        return "Always" if found else "Never"
    return "Sometimes" if any(found) else "Never"


def run_case(
    case: Case, *, rounds: int = 20_000, seconds: float = 1.0, seed: int = 0, machine: bool = True
) -> Row:
    """Run a case on the model, and on the machine within these bounds."""
    model = allowed(case)
    said = how_often(case, model.outcomes)
    if not machine:
        return Row(case, said, "-", Verdict.MODEL_ONLY, model, None, "not asked for")
    try:
        observed = observe(case, rounds=rounds, seconds=seconds, seed=seed)
    except CannotError as error:
        reason = error.diagnostics[0].what
        return Row(case, said, "-", Verdict.MODEL_ONLY, model, None, reason)
    seen = how_often(case, observed.outcomes)
    forbidden = tuple(sorted(set(observed.outcomes) - model.outcomes))
    if forbidden:
        verdict = Verdict.TOO_STRONG
    elif seen == said:
        verdict = Verdict.AGREE
    else:
        verdict = Verdict.MODEL_ALLOWS_MORE
    return Row(case, said, seen, verdict, model, observed, "", forbidden)
