"""Decide claims, several at a time, with the answers in the order that was asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from mmunotify.claims.claim import decide
from mmunotify.claims.mail import CLAIMS
from mmunotify.terms import VERSION
from mmunotify.trace.claims import ClaimResult, ClaimsResult

__all__ = ["decide_all"]


def decide_all(numbers: Sequence[int], workers: int = 1) -> ClaimsResult:
    """Decide the claims of these numbers in up to `workers` processes."""
    started = time.monotonic()
    if workers > 1 and len(numbers) > 1:
        with ProcessPoolExecutor(min(workers, len(numbers)), get_context("spawn")) as pool:
            found = list(pool.map(_one, numbers))
    else:
        found = [_one(number) for number in numbers]
    return ClaimsResult(version=VERSION, claims=found, seconds=time.monotonic() - started)


def _one(number: int) -> ClaimResult:
    return decide(CLAIMS[number])
