"""`Claim`: a sentence of the mail of 2 April 2008, and the evidence for and against it.

Invariant: evidence is a check or a count that anybody can repeat; a verdict is not written down
anywhere, it follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from mmunotify.check.options import Options
from mmunotify.check.run import run
from mmunotify.check.scenario import Scenario
from mmunotify.check.subject import Subject, subject_of
from mmunotify.cost import FORMS
from mmunotify.lang.driver import Driver
from mmunotify.trace.claims import ClaimResult, EvidenceResult
from mmunotify.trace.record import Result

__all__ = ["Check", "Claim", "Count", "Fact", "decide"]

SIZES = (1, 16, 64, 1024)
"""Over how many pages costs are counted for a claim."""


@dataclass(frozen=True)
class Check:
    """Evidence by search: `driver` in `scenario` under `protocol` violates `violates`, or holds.

    `properties` restricts what is checked, as `--property` does; `supports` the claim, or speaks
    against it.
    """

    text: str
    supports: bool
    driver: type[Driver]
    scenario: str | Scenario
    protocol: str = ""
    violates: str = ""
    properties: tuple[str, ...] = ()

    def look(self) -> EvidenceResult:
        """Run the check."""
        result = run(self._subject(), self._options())
        verdict = "VIOLATED" if self.violates else "HOLDS"
        [entry] = result.scenarios
        steps = len(result.trace.events) if result.trace else 0
        return EvidenceResult(
            text=self.text,
            supports=self.supports,
            found=_found(result, steps),
            as_expected=(result.verdict, result.property) == (verdict, self.violates),
            states=entry.statistics.states,
            steps=steps,
            bounds=entry.bounds,
            replay=result.replay,
            command=result.command,
            result=result,
        )

    def _subject(self) -> Subject:
        subject = subject_of(self.driver)
        if isinstance(self.scenario, Scenario):
            return replace(subject, given=(self.scenario,))
        return subject

    def _options(self) -> Options:
        name = self.scenario.name if isinstance(self.scenario, Scenario) else self.scenario
        return Options(
            protocol=self.protocol or None, scenarios=(name,), properties=self.properties
        )


@dataclass(frozen=True)
class Count:
    """Evidence by counting: `form` takes `law(pages)` of `what` for any number of pages."""

    text: str
    supports: bool
    form: str
    what: str
    law: Callable[[int], int]

    def look(self) -> EvidenceResult:
        """Count for a few numbers of pages."""
        [form] = [form for form in FORMS if form.name == self.form]
        counts = [getattr(form.measure(pages), self.what) for pages in SIZES]
        few, many = f"{SIZES[0]:,}", f"{SIZES[-1]:,}"
        return EvidenceResult(
            text=self.text,
            supports=self.supports,
            found=f"{self.what} for {few} to {many} pages: {', '.join(f'{n:,}' for n in counts)}",
            as_expected=counts == [self.law(pages) for pages in SIZES],
        )


@dataclass(frozen=True)
class Fact:
    """Evidence by looking: `look_up` returns what there is, and whether the claim expects that."""

    text: str
    supports: bool
    look_up: Callable[[], tuple[str, bool]]

    def look(self) -> EvidenceResult:
        """Look it up."""
        found, as_expected = self.look_up()
        return EvidenceResult(
            text=self.text, supports=self.supports, found=found, as_expected=as_expected
        )


@dataclass(frozen=True)
class Claim:
    """One claim: `on` is what it depends on, if it does, `outcome` what Linux did."""

    number: int
    claim: str
    outcome: str
    evidence: tuple[Check | Count | Fact, ...]
    on: str = ""


def decide(claim: Claim) -> ClaimResult:
    """Look at all evidence for and against a claim."""
    evidence = [one.look() for one in claim.evidence]
    verdict = _verdict(evidence)
    return ClaimResult(
        number=claim.number,
        claim=claim.claim,
        verdict=verdict,
        on=claim.on if verdict == "depends" else "",
        outcome=claim.outcome,
        evidence=evidence,
    )


def _verdict(evidence: list[EvidenceResult]) -> str:
    if not all(one.as_expected for one in evidence):
        return "unexpected"
    sides = {one.supports for one in evidence}
    if len(sides) == 2:
        return "depends"
    return "holds" if sides == {True} else "refuted"


def _found(result: Result, steps: int) -> str:
    [entry] = result.scenarios
    states = f"{entry.statistics.states:,} states"
    if result.verdict == "VIOLATED":
        return f"violates {result.property} after {steps} steps"
    if result.verdict == "HOLDS":
        return f"holds in all {states}"
    return f"not decided after {states}: {entry.reason}"
