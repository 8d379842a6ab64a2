"""`Told`: what a secondary MMU is told, the same for the model and for the kernel.

Invariant: pages are numbered as on the real memory of the case; EVERYTHING is beyond all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["EVERYTHING", "Told", "covers", "shown"]

EVERYTHING: Final = (-(10**9), 10**9)


@dataclass(frozen=True, slots=True)
class Told:
    """`kind` is "unmap" (a section begins), "age", or "release" (which no tracepoint shows)."""

    kind: str
    start: int
    end: int

    def __str__(self) -> str:
        if self.kind == "release":
            return "release"
        if (self.start, self.end) == EVERYTHING:
            return f"{self.kind} everything"
        if self.end - self.start == 1:
            return f"{self.kind} {self.start}"
        return f"{self.kind} {self.start}-{self.end - 1}"


def shown(told: list[Told]) -> str:
    """A list for a reader; equal ones in a row are counted."""
    parts: list[tuple[str, int]] = []
    for one in told:
        text = str(one)
        if parts and parts[-1][0] == text:
            parts[-1] = (text, parts[-1][1] + 1)
        else:
            parts.append((text, 1))
    return ", ".join(text if n == 1 else f"{n} x {text}" for text, n in parts) or "nothing"


def covers(more: list[Told], less: list[Told]) -> bool:
    """Tell whether `more` says all that `less` says, in its order, perhaps in smaller pieces."""
    at = 0
    for wanted in less:
        missing = set(_pages(wanted))
        while missing and at < len(more):
            found = more[at]
            at += 1
            if found.kind == wanted.kind:
                missing -= {p for p in missing if found.start <= p < found.end}
        if missing:
            return False
    return True


def _pages(told: Told) -> range:
    # Everything: its ends stand for all of it.
    return range(told.start, told.end, 1 if told.end - told.start < 10**6 else 2 * 10**9 - 1)
