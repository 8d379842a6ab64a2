"""`PageRange`: the pages an mm operation is about (`struct mmu_notifier_range`).

Invariant: `[start, end)` is not empty unless `size` is 0; a range of one page names no other page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

__all__ = ["Event", "PageRange"]


class Event(Enum):
    """Why a range is invalidated (`enum mmu_notifier_event`)."""

    UNMAP = "UNMAP"
    CLEAR = "CLEAR"
    PROTECTION_VMA = "PROTECTION_VMA"
    PROTECTION_PAGE = "PROTECTION_PAGE"
    SOFT_DIRTY = "SOFT_DIRTY"
    RELEASE = "RELEASE"
    MIGRATE = "MIGRATE"
    EXCLUSIVE = "EXCLUSIVE"


@dataclass(frozen=True)
class PageRange:
    """`size` pages from page `start` on; what hooks get.

    `blockable` false: a hook must not sleep and may answer -EAGAIN (the OOM reaper).
    """

    start: int
    size: int = 1
    event: Event = Event.UNMAP
    blockable: bool = True

    @property
    def end(self) -> int:
        """The first page after the range."""
        return self.start + self.size

    def __iter__(self) -> Iterator[int]:
        # One page is named without arithmetic, so that pages stay interchangeable.
        return iter((self.start,) if self.size == 1 else range(self.start, self.end))

    def __contains__(self, page: int) -> bool:
        return page == self.start if self.size == 1 else self.start <= page < self.end

    def __len__(self) -> int:
        return self.size
