"""`MmuIntervalNotifier`: a subscription to a range of pages (`struct mmu_interval_notifier`).

With it come the calls that a driver makes, under the kernel's names. Invariant: whoever holds the
driver's own lock and finds `mmu_interval_read_retry` False knows that no invalidation of the range
has begun since its `mmu_interval_read_begin` returned, and that none was at work then.
"""

from __future__ import annotations

from typing import Any

from mmunotify.lang.counter import Epoch
from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.page_range import PageRange

__all__ = [
    "MmuIntervalNotifier",
    "mmu_interval_check_retry",
    "mmu_interval_notifier_insert",
    "mmu_interval_notifier_remove",
    "mmu_interval_read_begin",
    "mmu_interval_read_retry",
    "mmu_interval_set_seq",
]


class MmuIntervalNotifier:
    """The subscription of `driver` to `length` pages from page `start` on, or to all pages.

    Built in the driver's `__init__`. It is inserted when the driver is registered; with `by_hand`
    the driver inserts and removes it itself, as one that only needs it during a fault does.

    The kernel's number `invalidate_seq` is an epoch and a snapshot. `invalidate_seq` is bumped when
    the number changes; `seq` is the mm's sequence that the number was taken from, None for one that
    the mm's sequence will never have again.
    """

    def __init__(
        self, driver: Any, start: int = 0, length: int | None = None, by_hand: bool = False
    ) -> None:
        self.driver = driver
        self.mm = driver.mm
        self.start = start
        self.length = len(driver.mm.pages) - start if length is None else length
        self.by_hand = by_hand
        self.name = f"{driver.name}.interval{len(driver.interval_notifiers)}"
        self.invalidate_seq = Epoch()
        self.seq: int | None = None
        self.inserted = False  # it is in the tree
        self.deferred = False  # it is on the list of what waits for the tree to thaw
        self.tree: Any = None  # the mm's, attached by the protocol
        driver.interval_notifiers += (self,)

    def intersects(self, rng: PageRange) -> bool:
        """Tell whether `rng` has a page of this subscription."""
        if self.length == len(self.mm.pages):
            return True  # no arithmetic, so that pages stay interchangeable
        return rng.start < self.start + self.length and self.start < rng.end


def mmu_interval_read_begin(sub: MmuIntervalNotifier) -> int:
    """Wait until no invalidation of the range is at work; return its sequence. Sleeps.

    Without the driver's lock: an invalidation that takes it could never end.
    """
    seq: int = sub.tree.read_begin(sub)
    return seq


def mmu_interval_read_retry(sub: MmuIntervalNotifier, seq: int) -> bool:
    """Tell whether an invalidation has begun since `seq` was read; the driver's lock is held."""
    return sub.invalidate_seq.read() != seq


def mmu_interval_check_retry(sub: MmuIntervalNotifier, seq: int) -> bool:
    """As `mmu_interval_read_retry`, without the lock: a hint that saves work, no more."""
    return sub.invalidate_seq.read() != seq


def mmu_interval_set_seq(sub: MmuIntervalNotifier, cur_seq: int) -> None:
    """Make the readers of the range retry; in `invalidate`, under the driver's lock, always."""
    with atomic():
        if sub.seq != sub.tree.invalidate_seq.read():
            sub.invalidate_seq.bump()  # else it has that number already
        sub.seq = cur_seq


def mmu_interval_notifier_insert(sub: MmuIntervalNotifier) -> None:
    """Subscribe; the mm has users. In the middle of a section it begins as invalidated. Sleeps."""
    sub.tree.insert(sub)


def mmu_interval_notifier_remove(sub: MmuIntervalNotifier) -> None:
    """Unsubscribe, and wait until `invalidate` is not running and will not be called. Sleeps.

    Not from a hook, and under no lock that a hook takes.
    """
    sub.tree.remove(sub)
