"""`Notifiers`: what operations call, whatever the protocol (`mmu_notifier_*`).

Invariant: a protocol decides who is told, when and under which protection; what an operation says
is the same in all of them.
"""

from __future__ import annotations

from typing import ClassVar

from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import PageRange

__all__ = ["NEEDED", "Notifiers", "overrides"]

NEEDED = ("invalidate", "arch_invalidate_secondary_tlbs")
"""The hooks by which alone some drivers hear of an invalidation, and that some protocols lack."""


def overrides(driver: type[Driver], hook: str) -> bool:
    """Tell whether a class has a hook of its own."""
    return getattr(driver, hook) is not getattr(Driver, hook)


class Notifiers:
    """The face of every protocol (`mmunotify.protocols`).

    `changes` is False if nobody registers, unregisters or releases during the run; what protects
    the list may then be left out, since nobody could tell.
    """

    changes: bool
    hooks: ClassVar[frozenset[str]] = frozenset()
    """Which of the hooks that came late or went early (`NEEDED`, invalidate_page) it calls."""

    unregisters: ClassVar[bool] = True
    """Whether a subscriber can leave."""

    @classmethod
    def misses(cls, driver: type[Driver]) -> list[str]:
        """Return the hooks that `driver` relies on and that this protocol never calls."""
        return [h for h in NEEDED if h not in cls.hooks and overrides(driver, h)]

    # -- membership -----------------------------------------------------------------------------

    def register(self, driver: Driver) -> None:
        """Put a driver on the list (`mmu_notifier_register`)."""
        raise NotImplementedError

    def unregister(self, driver: Driver) -> None:
        """Take a driver off the list (`mmu_notifier_unregister`)."""
        raise NotImplementedError

    def release(self) -> None:
        """Tell everybody that the address space goes away (`mmu_notifier_release`)."""
        raise NotImplementedError

    def subscribed(self, driver: Driver) -> bool:
        """Tell whether a driver is on the list."""
        raise NotImplementedError

    # -- sections -------------------------------------------------------------------------------

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Begin a section; EAGAIN only if `rng` is not blockable, and then nothing has begun."""
        raise NotImplementedError

    def invalidate_range_end(self, rng: PageRange) -> None:
        """End a section."""
        raise NotImplementedError

    # -- what works on one page: reclaim, migration, COW -----------------------------------------

    def page_start(self, rng: PageRange) -> None:
        """Before the entry is cleared."""
        self.invalidate_range_start(rng)

    def page_cleared(self, rng: PageRange) -> None:
        """It is cleared, and the page-table lock still held (`ptep_clear_flush_notify`)."""

    def page_end(self, rng: PageRange) -> None:
        """The page-table lock is given back."""
        self.invalidate_range_end(rng)

    # -- secondary TLBs -------------------------------------------------------------------------

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """The CPUs' TLBs are flushed (`mmu_notifier_arch_invalidate_secondary_tlbs`)."""
        raise NotImplementedError

    # -- aging ----------------------------------------------------------------------------------

    def clear_flush_young(self, rng: PageRange) -> bool:
        """Tell whether any subscriber used the page since it was last asked."""
        raise NotImplementedError

    def clear_young(self, rng: PageRange) -> bool:
        """As `clear_flush_young`, without a flush."""
        raise NotImplementedError

    def test_young(self, rng: PageRange) -> bool:
        """Tell whether any subscriber used the page, and leave it at that."""
        raise NotImplementedError

    def scan(self, rng: PageRange) -> bool:
        """`clear_flush_young`, and see to it that nobody was left out."""
        raise NotImplementedError
