"""The record of claims that were put to the test: what `mmunotify claims --json` saves.

Invariant: the verdict on a claim follows from its evidence, and evidence that did not come out as
it should shows as such.
"""

from __future__ import annotations

import msgspec

from mmunotify.trace.record import Bounds, Result

__all__ = ["CLAIMS_FORMAT", "ClaimResult", "ClaimsResult", "EvidenceResult"]

CLAIMS_FORMAT = "mmunotify.claims/1"


class EvidenceResult(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence.

    `supports` tells for which side it speaks, `found` what came out ("holds in all 913 states",
    "violates paired after 12 steps", "1 flush for 1 to 1,024 pages"), `as_expected` whether that
    is what it should be. `states` were searched within `bounds`, `replay` and `command` show an
    interleaving again, and `result` is the whole answer, if it is one of a check.
    """

    text: str
    supports: bool
    found: str
    as_expected: bool
    states: int = 0
    steps: int = 0
    bounds: Bounds | None = None
    replay: str = ""
    command: str = ""
    result: Result | None = None


class ClaimResult(msgspec.Struct, frozen=True, kw_only=True):
    """One claim: "holds", "refuted" or "depends", or "unexpected" where evidence came out wrong.

    `on` is what a "depends" depends on, `outcome` what became of it in Linux.
    """

    number: int
    claim: str
    verdict: str
    on: str
    outcome: str
    evidence: list[EvidenceResult]


class ClaimsResult(msgspec.Struct, frozen=True, kw_only=True):
    """All claims that were asked for."""

    format: str = CLAIMS_FORMAT
    version: str = ""
    claims: list[ClaimResult] = []
    seconds: float = 0.0
