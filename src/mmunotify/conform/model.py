"""What the model tells a secondary MMU in the course of operations: by running them.

The operations of `mmunotify.primary` run as plain Python with a driver that writes down what it is
told. Invariant: nothing of a sequence is written here; it comes out of the operation's own body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmunotify.check.scenario import Scenario
from mmunotify.conform.told import EVERYTHING, Told
from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.runtime import Alone, installed
from mmunotify.lang.table import Table
from mmunotify.primary.frame import Frame, Owner

__all__ = ["model_tells"]

_PAGES = 2


class _Listener(Driver):
    """Writes down what it is told."""

    def __init__(self, mm: Any) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.heard: list[tuple[str, PageRange]] = []

    def invalidate_range_start(self, rng: PageRange) -> None:
        self.heard.append(("unmap", rng))

    def clear_flush_young(self, rng: PageRange) -> bool:
        self.heard.append(("age", rng))
        return False

    def release(self) -> None:
        self.heard.append(("release", PageRange(0, _PAGES)))


class _Alone(Alone):
    """Nobody else runs; of frames a free one is taken."""

    def choose(self, alternatives: Sequence[Any]) -> Any:
        if isinstance(alternatives[0], Frame):
            return next(frame for frame in alternatives if frame.owner is Owner.FREE)
        return alternatives[0]


def model_tells(operations: Sequence[str], pages: Sequence[int]) -> list[Told]:
    """Return what is told while `operations` run, one after the other.

    The model's page 0 is the real page `pages[0]`, and so on.
    """
    world = Scenario("conform", tuple(operations), pages=_PAGES, frames=5).build(_Listener)
    listener = world.drivers[0]
    assert isinstance(listener, _Listener)
    for thread in world.threads[: len(operations)]:
        with installed(_Alone(thread)):
            thread.body(*thread.args)
    return [_told(kind, rng, pages) for kind, rng in listener.heard]


def _told(kind: str, rng: PageRange, pages: Sequence[int]) -> Told:
    if len(rng) == _PAGES:
        return Told(kind, *EVERYTHING)
    return Told(kind, pages[rng.start], pages[rng.start] + 1)
