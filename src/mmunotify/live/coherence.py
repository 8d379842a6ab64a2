"""`Coherence`: whether what a driver translates is what the page table of the program says.

What changes without an operation that is told (a copy on write, reclaim) is no driver's fault, and
counted apart.
Invariant: a translation is called stale only if the driver looked it up before a section over its
page was over, was told of the section, and kept it, and the frame is at the page no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import Event
from mmunotify.live.memory import MemoryRange
from mmunotify.live.open_mm import OpenFrame
from mmunotify.live.page_table import PageTable
from mmunotify.primary.notifiers import overrides

__all__ = ["Coherence", "Found"]


@dataclass(frozen=True)
class Found:
    """A stale translation: of which page, after which change, and in words."""

    page: int
    rng: MemoryRange
    text: str


class Coherence:
    """What `driver` translates of the pages in `used`, beside a page table.

    `told` is given each stale translation, once. `untold` are pages that changed and nobody said.
    Pages that are translated no more are taken out of `used`.
    """

    def __init__(
        self, driver: Driver, table: PageTable, used: set[int], told: Callable[[Found], None]
    ) -> None:
        self.untold: set[int] = set()
        self.left = 0
        self._driver, self._table, self._used, self._told = driver, table, used, told
        self._said: dict[int, OpenFrame] = {}

    def begins(self, rng: MemoryRange) -> None:
        """Before the hooks: what is not right now has changed, and nobody has told the driver."""
        self._look(self._pages(rng))

    def releases(self) -> None:
        """The same before the release, of all pages; not where exec has taken them away."""
        if self._table.lives():
            self._look(list(self._used))

    def _look(self, pages: Iterable[int]) -> None:
        for page in pages:
            there = self._table.frame(page)
            if any(frame.number != there for _, frame in self._translations(page)):
                self.untold.add(page)

    def ends(self, rng: MemoryRange, over: int) -> None:
        """After the hooks: the change was over at time `over`."""
        for page in self._pages(rng):
            there = self._table.frame(page)
            found = list(self._translations(page))
            if not found:
                self._used.discard(page)  # a fault that is under way adds it again
            for who, frame in found:
                if frame.number == there:
                    continue
                if frame.seen >= over:  # it was right then, and has changed again
                    self.untold.add(page)
                    continue
                has = "nothing" if there is None else f"frame {there:#x}"
                old = "a frame that was there" if self._table.hides_frames else frame.name
                text = f"{who} translates to {old}, the page table has {has} there"
                self._tell(page, rng, frame, text)

    def released(self) -> None:
        """The driver has been released, or cannot be: it translates nothing, or `left` so much."""
        if not (overrides(type(self._driver), "release") or self._driver.interval_notifiers):
            self.left = sum(any(self._translations(page)) for page in list(self._used))
            return
        for page in sorted(self._used):
            for who, frame in self._translations(page):
                rng = MemoryRange(page, 1, Event.RELEASE, True, "exit")
                self._tell(page, rng, frame, f"{who} translates to {frame.name} after release")

    def _pages(self, rng: MemoryRange) -> list[int]:
        return sorted(page for page in list(self._used) if page in rng)

    def _translations(self, page: int) -> Iterator[tuple[str, OpenFrame]]:
        for who, frame in self._driver.tlb.translations(page):
            if id(frame) not in self._said:
                yield who, frame

    def _tell(self, page: int, rng: MemoryRange, frame: OpenFrame, text: str) -> None:
        self._said[id(frame)] = frame  # and no other object gets its id
        self._told(Found(page, rng, text))
