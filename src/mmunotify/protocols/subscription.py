"""`Subscription`: one driver's place on the list of an mm's notifiers (`struct mmu_notifier`).

Invariant: a hook that the driver's class does not override is never called.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmunotify.lang.counter import Counter
from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.intrinsics import atomic, current, require
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.table import Table
from mmunotify.lang.thread import Thread
from mmunotify.primary.notifiers import overrides

__all__ = ["Sections", "Subscription", "require_alive"]

_HOOKS = (  # of struct mmu_notifier_ops
    "invalidate_range_start",
    "invalidate_range_end",
    "invalidate_page",
    "arch_invalidate_secondary_tlbs",
    "clear_flush_young",
    "clear_young",
    "test_young",
    "release",
)


class Sections:
    """How many sections of one thread a subscriber has seen begin and not end (a ghost)."""

    def __init__(self) -> None:
        self.open = Counter(high=3)


class Subscription:
    """A driver on a list. `hashed`: it is on it (`!hlist_unhashed`).

    All protocols call drivers through this class, so the properties `paired` and `aging_not_lost`
    are the same in all of them.
    """

    def __init__(self, driver: Driver, hashed: bool) -> None:
        self.driver = driver
        # A driver with nothing but interval notifiers is on no list.
        listed = any(overrides(type(driver), hook) for hook in _HOOKS)
        self.listed = listed or not driver.interval_notifiers
        self.hashed = hashed and self.listed
        self.has_start = overrides(type(driver), "invalidate_range_start")
        self.has_end = overrides(type(driver), "invalidate_range_end")
        self.is_paired = self.has_start and self.has_end  # an end alone misses nothing
        self.has_page = overrides(type(driver), "invalidate_page")
        self.has_tlbs = overrides(type(driver), "arch_invalidate_secondary_tlbs")
        self.has_release = overrides(type(driver), "release")
        self.has_clear_flush_young = overrides(type(driver), "clear_flush_young")
        self.has_clear_young = overrides(type(driver), "clear_young")
        self.has_test_young = overrides(type(driver), "test_young")
        if self.has_tlbs and (self.has_start or self.has_end):
            raise ValueError(  # -EINVAL from mmu_notifier_register
                f"{type(driver).__name__}: arch_invalidate_secondary_tlbs and the range hooks "
                "exclude each other"
            )
        self.sections: Table[Sections] = Table(())
        self.asked = False  # in the scan that runs (a ghost)

    def attach(self, threads: Iterable[Thread]) -> None:
        """Give every thread of a world its count; part of set-up."""
        threads = tuple(threads)
        self.sections = Table(threads)
        for thread in threads:
            self.sections[thread] = Sections()

    # -- membership -----------------------------------------------------------------------------

    def unlink(self) -> None:
        """Take it off the list (`hlist_del_rcu`), on which it must be."""
        with atomic():
            require("null_dereference", self.hashed, "unlinked twice: its pprev is NULL")
            self.hashed = False

    def unlink_once(self) -> None:
        """Take it off the list, if it is on it (`hlist_del_init_rcu`)."""
        self.hashed = False

    # -- sections -------------------------------------------------------------------------------

    def start(self, rng: PageRange) -> None:
        """Tell the driver that a section begins; EAGAIN passes through."""
        self._forget_young(rng, True)
        if self.has_start:
            self.driver.invalidate_range_start(rng)
            require_alive(self.driver)
        if self.is_paired:
            mine = self.sections[current()]
            if mine.open < 3:  # more are starts without an end; a driver that counts shows it
                mine.open += 1

    def start_surely(self, rng: PageRange) -> None:
        """Tell the driver that a section begins; the hook returns nothing, so it cannot refuse."""
        try:
            self.start(rng)
        except EAGAIN:
            require("context", False, "-EAGAIN from a hook that returns nothing")

    def end(self, rng: PageRange) -> None:
        """Tell the driver that a section ends."""
        if self.is_paired:
            mine = self.sections[current()]
            require("paired", mine.open > 0, "range_end without its range_start")
            if mine.open > 0:  # where `paired` is not asked for
                mine.open -= 1
        if self.has_end:
            self.driver.invalidate_range_end(rng)
            require_alive(self.driver)
        self._forget_young(rng, False)

    def _forget_young(self, rng: PageRange, begin: bool) -> None:
        """A section may make the driver forget that a page was used: no loss of aging."""
        if self.driver.mm.ghost.watches_age:
            self.driver.tlb.forget_young(rng, begin)

    # -- one page, until 4.13 --------------------------------------------------------------------

    def start_unless_paged(self, rng: PageRange) -> None:
        """Tell a driver without `invalidate_page` that a section of one page begins."""
        if not self.has_page:
            self.start_surely(rng)

    def invalidate_page(self, rng: PageRange) -> None:
        """Tell a driver with it that one page was cleared."""
        if self.has_page:
            self._forget_young(rng, True)
            self.driver.invalidate_page(rng)
            require_alive(self.driver)
            self._forget_young(rng, False)

    def end_unless_paged(self, rng: PageRange) -> None:
        """Tell a driver without it that the section ends."""
        if not self.has_page:
            self.end(rng)

    # -- the other hooks ------------------------------------------------------------------------

    def invalidate_tlbs(self, rng: PageRange) -> None:
        """Tell the driver that the CPUs flush their TLBs."""
        if self.has_tlbs:
            self.driver.arch_invalidate_secondary_tlbs(rng)
            require_alive(self.driver)

    def release(self) -> None:
        """Tell the driver that the address space, or the subscription, goes away."""
        self._forget_young(self.driver.mm.whole_range(), True)
        if self.has_release:
            self.driver.release()
            require_alive(self.driver)

    def clear_flush_young(self, rng: PageRange) -> bool:
        """Ask the driver whether a page was used; it forgets that."""
        if not self.has_clear_flush_young:
            return False
        page = rng.start
        was_used = self.driver.tlb.used[page]
        self.asked = True
        young = self.driver.clear_flush_young(rng)
        self._require_honest(page, was_used, young, True)
        return young

    def clear_young(self, rng: PageRange) -> bool:
        """As `clear_flush_young`, without a flush."""
        if not self.has_clear_young:
            return False
        page = rng.start
        was_used = self.driver.tlb.used[page]
        young = self.driver.clear_young(rng)
        self._require_honest(page, was_used, young, True)
        return young

    def test_young(self, rng: PageRange) -> bool:
        """Ask the driver whether a page was used since it last forgot that."""
        if not self.has_test_young:
            return False
        page = rng.start
        was_used = self.driver.tlb.used[page]
        young = self.driver.test_young(rng)
        self._require_honest(page, was_used, young, False)
        return young

    def _require_honest(self, page: int, was_used: bool, young: bool, forgets: bool) -> None:
        tlb = self.driver.tlb
        require_alive(self.driver)
        with atomic():
            if not young:
                require(
                    "aging_not_lost",
                    not was_used or not tlb.used[page],
                    "a page was used since the last scan, and the driver says it is old",
                )
            elif forgets:
                tlb.used[page] = False

    # -- properties -----------------------------------------------------------------------------

    def quiescent(self) -> bool:
        """Tell whether every section that a subscriber saw begin has ended, unless torn down."""
        return not self.hashed or all(self.sections[t].open == 0 for t in self.sections)


def require_alive(driver: Driver) -> None:
    """After a hook: what it used was not freed meanwhile."""
    require(
        "no_use_after_free",
        not driver.unregistered,
        "a hook ran on after its unregistration returned",
    )
