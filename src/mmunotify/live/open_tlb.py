"""`OpenTlb`: the translation caches of the devices that a driver has in a running program.

They are those of a check (`primary.secondary_tlb`), over any number of pages.
Invariant: every flush is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.page_range import PageRange
from mmunotify.primary.secondary_tlb import SecondaryTlb

__all__ = ["OpenTlb"]


class OpenTlb(SecondaryTlb):
    """What a driver sees as `self.tlb`."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.flushes = 0

    def flush(self) -> None:
        """Flush everything."""
        self.flushes += 1
        super().flush()

    def flush_range(self, rng: PageRange) -> None:
        """Flush a range; an empty one is no flush."""
        self.flushes += rng.size > 0
        known: Any = self.pages.within(rng)  # type: ignore[attr-defined]  # others are not there
        super().flush_range(known)

    def translations(self, page: int) -> Iterator[tuple[str, Any]]:
        """Yield what the driver and the hardware translate a page to, and who does."""
        with atomic():
            found = [("its translation cache", cache.tlb[page]) for cache in self.caches]
            if self.walks and not self.shares:
                found.append(("its table", self.driver.walk(page)))
        yield from ((who, frame) for who, frame in found if frame is not None)
