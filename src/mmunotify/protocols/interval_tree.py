"""`IntervalTree`: the subscriptions to ranges of an mm, and the sequence that tells when they rest.

Invariant: while `excluded` some subscribed range is being invalidated, and the tree does not
change; what is inserted or removed meanwhile waits on the deferred list for the last section to
end.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.interval_notifier import MmuIntervalNotifier
from mmunotify.lang.intrinsics import atomic, current, might_sleep, require, wait_until
from mmunotify.lang.obligation import Obligation
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.lang.spinlock import SpinLock
from mmunotify.primary.mm import Mm
from mmunotify.protocols.subscription import require_alive

__all__ = ["IntervalTree"]


class IntervalTree:
    """The half of `struct mmu_notifier_subscriptions` that came with the interval notifier.

    Since Linux kernel commit 99cb252f5e68 (in v5.5). The kernel's number `invalidate_seq`, odd
    while `excluded`, is an epoch and a bit. There are three states: no section
    (`active_invalidate_ranges` is 0); sections, but of no subscribed range; and `excluded`. It is a
    sequence count that lets several writers in.
    """

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        self.mm = mm
        self.subscriptions: tuple[MmuIntervalNotifier, ...] = tuple(
            sub for driver in drivers for sub in driver.interval_notifiers
        )
        self.lock = SpinLock()
        self.active_invalidate_ranges = Counter(high=7)
        self.invalidate_seq = Epoch()
        self.excluded = False
        self.has_itree = False  # set by the first insertion
        self.removing = Obligation("interval removal")
        for sub in self.subscriptions:
            sub.tree = self
            sub.inserted = registered and not sub.by_hand
            self.has_itree |= sub.inserted

    def leave_out(self, driver: Driver) -> None:
        """Have a driver's ranges not in the tree at first; part of set-up."""
        for sub in self.subscriptions:
            if sub.driver is driver:
                sub.inserted = False
        self.has_itree = any(sub.inserted for sub in self.subscriptions)

    # -- what operations call -------------------------------------------------------------------

    def invalidate(self, rng: PageRange) -> None:
        """`mn_itree_invalidate`: a section begins; EAGAIN if a subscriber would have to sleep.

        The tree is frozen while the subscribers are called, without the lock.
        """
        with self.lock:  # mn_itree_inv_start_range
            self.active_invalidate_ranges += 1
            hit = any(sub.inserted and sub.intersects(rng) for sub in self.subscriptions)
            if hit:
                self._exclude()
            cur_seq = self.invalidate_seq.read()
        if hit and not self._call_all(rng, cur_seq):
            self.inv_end()
            raise EAGAIN

    def inv_end(self) -> None:
        """`mn_itree_inv_end`: a section ends; the last one thaws the tree and wakes who waits."""
        with self.lock:
            require("paired", self.active_invalidate_ranges > 0, "a section ends that never began")
            self.active_invalidate_ranges -= 1
            if self.active_invalidate_ranges == 0 and self.excluded:
                with atomic():
                    self.excluded = False
                    self.invalidate_seq.bump()
                for sub in self.subscriptions:
                    if sub.deferred:
                        sub.deferred = False
                        sub.inserted = not sub.inserted

    def release(self) -> None:
        """`mn_itree_release`: the address space goes away; the subscriptions stay in the tree."""
        rng = self.mm.whole_range(Event.RELEASE)
        self.invalidate(rng)
        self.inv_end()

    def _exclude(self) -> None:
        with atomic():  # invalidate_seq |= 1
            if not self.excluded:
                self.excluded = True
                self.invalidate_seq.bump()

    def _call_all(self, rng: PageRange, cur_seq: int) -> bool:
        for sub in self.subscriptions:
            if sub.inserted and sub.intersects(rng) and not self._call(sub, rng, cur_seq):
                return False
        return True

    def _call(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        tlb = sub.driver.tlb
        watched = self.mm.ghost.watches_age
        if watched:
            tlb.forget_young(rng, True)
        if not rng.blockable:
            current().preempt_count += 1  # non_block_start
        done: bool = sub.driver.invalidate(sub, rng, cur_seq)
        require_alive(sub.driver)
        if not rng.blockable:
            current().preempt_count -= 1  # non_block_end
        require("context", done or not rng.blockable, "invalidate refuses a section that may block")
        if watched:
            tlb.forget_young(rng, False)
        return done

    # -- what drivers call ----------------------------------------------------------------------

    def read_begin(self, sub: MmuIntervalNotifier) -> int:
        """`mmu_interval_read_begin`. What it returns may be stale already: it does not loop."""
        with self.lock:
            with atomic():
                number = sub.invalidate_seq.read()
                seq = self.invalidate_seq.read()
                is_invalidating = sub.seq == self.invalidate_seq.read()
        might_sleep()
        if is_invalidating:
            wait_until(lambda: self.invalidate_seq.read() != seq)
        return number

    def insert(self, sub: MmuIntervalNotifier) -> None:
        """`mmu_interval_notifier_insert`: born colliding in the middle of a section."""
        might_sleep()
        require(
            "assertion",
            not self.mm.exits or self.mm.users > 0,
            "a subscription to an address space that has no users any more",
        )
        if not self.has_itree:  # __mmu_notifier_register(NULL): under mm_take_all_locks
            with self.mm.mmap_lock.write, self.mm.rmap_lock.write:
                self.has_itree = True
        with self.lock:
            with atomic():
                sub.invalidate_seq.bump()
                sub.seq = None  # the number before the mm's
            if self.active_invalidate_ranges == 0:
                sub.inserted = True
            elif self.excluded:
                sub.deferred = True
                sub.seq = self.invalidate_seq.read()
            else:
                self._exclude()
                sub.inserted = True
                sub.seq = self.invalidate_seq.read()

    def remove(self, sub: MmuIntervalNotifier) -> None:
        """`mmu_interval_notifier_remove`: out of the tree now, or when it thaws."""
        might_sleep()
        self.removing.begin()
        waits = False
        with self.lock:
            seq = self.invalidate_seq.read()
            require(
                "paired", sub.inserted or sub.deferred, "a subscription is removed that is none"
            )
            if not self.excluded:
                sub.inserted = False
            elif sub.inserted:
                sub.deferred = True
                waits = True
            else:
                sub.deferred = False
        if waits:
            wait_until(lambda: self.invalidate_seq.read() != seq)
        self.removing.end()

    # -- properties -----------------------------------------------------------------------------

    def quiescent(self) -> bool:
        """Tell whether every section has ended and nothing waits on the deferred list."""
        return self.active_invalidate_ranges == 0 and not any(
            sub.deferred for sub in self.subscriptions
        )
