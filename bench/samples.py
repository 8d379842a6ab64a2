"""Repeated measurements: taken in turn, so that a noisy moment hits all alike.

Invariant: what is quoted is the median, and the least and the greatest stand beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Samples", "clocked", "in_turn"]

T = TypeVar("T")


@dataclass(frozen=True)
class Samples:
    """Measurements of one thing, in seconds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def text(self) -> str:
        """The median, with the least and the greatest if they differ; ms below a second."""
        scale, unit = (1, "s") if self.median >= 1 else (1000, "ms")
        least, middle, most = (
            f"{value * scale:.3g}" for value in (min(self.values), self.median, max(self.values))
        )
        spread = f" ({least}-{most})" if least != most else ""
        return f"{middle} {unit}{spread}"


def in_turn(runs: int, actions: Sequence[Callable[[], T]]) -> list[list[T]]:
    """Carry out all actions in order, `runs` times over; return the results of each action."""
    results: list[list[T]] = [[] for _ in actions]
    for _ in range(runs):
        for action, found in zip(actions, results, strict=True):
            found.append(action())
    return results


def clocked(action: Callable[[], T]) -> tuple[T, float]:
    """Return what an action returns and how long it took."""
    began = time.perf_counter()
    result = action()
    return result, time.perf_counter() - began
