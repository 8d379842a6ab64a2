"""How much to measure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """`runs` of everything that is timed; `quick` leaves out what takes long."""

    runs: int = 5
    quick: bool = False

    @property
    def few(self) -> int:
        """Runs of what takes ten seconds each."""
        return min(self.runs, 3)
