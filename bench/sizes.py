"""The sizes that are measured, with the counts that every other checker has confirmed.

Invariant: the counts are facts about the protocol (TLC, Rumur, LTSmin and Spin agree on them), so
one that differs is a wrong result, on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.protocol import Size

__all__ = ["SIZES", "Counted"]


@dataclass(frozen=True)
class Counted:
    """A size of the coarse protocol, its states, and its orbits under full symmetry (or None)."""

    size: Size
    states: int
    orbits: int | None = None

    @property
    def text(self) -> str:
        """The size in words."""
        s = self.size
        things = {"page": s.pages, "frame": s.frames, "round": s.rounds}
        counted = [f"{count} {thing}{'s' * (count != 1)}" for thing, count in things.items()]
        return ", ".join([f"{s.vcpus} vcpu x {s.invalidators} inv", *counted])


SIZES: dict[str, Counted] = {
    "tiny": Counted(Size(1, 1, 1, 2, 1), 353),
    "small": Counted(Size(1, 1, 2, 2, 2), 13_765),
    "medium": Counted(Size(2, 1, 2, 3, 1), 76_567),
    "A": Counted(Size(2, 1, 2, 2, 2), 928_175, 118_807),
    "B": Counted(Size(2, 2, 2, 2, 1), 1_046_650, 72_081),
    "C": Counted(Size(2, 2, 2, 3, 1), 2_506_863, 75_756),
}
