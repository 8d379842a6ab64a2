"""`SecondaryTlb`: the translation caches of a secondary MMU, one a device.

Invariant: an entry was in the driver's table (or was inserted by the driver) at some time after the
last flush of its page.
"""

from __future__ import annotations

from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table
from mmunotify.primary.fault_handle import TlbFaultHandle
from mmunotify.primary.frame import Frame, References
from mmunotify.primary.tlb_cache import TlbCache

__all__ = ["SecondaryTlb"]


class SecondaryTlb:
    """What a driver sees as `self.tlb`: the caches of all its devices.

    The hardware walks the driver's `spte` table. Three tables are optional beside it: `writable`
    (without it every translation may write), `accessed` (the hardware sets it when it loads a
    translation; without it the driver cannot tell that a page is young). A driver without `spte`
    and `walk` loads the caches itself, by `insert`, or, if it has a `TlbFaultHandle` as `tfh`, by
    `drop_in`. One whose `spte` is `mm.pte` shares the CPUs' page table, and its hardware sets the
    accessed and dirty bits there.
    """

    def __init__(self, driver: Driver, devices: int = 1) -> None:
        self.driver = driver
        self.pages: Pages = driver.mm.pages
        self.caches = tuple(TlbCache(self.pages, f"{driver.name}.tlb{n}") for n in range(devices))
        self.walks = type(driver).walk is not Driver.walk or hasattr(driver, "spte")
        self.shares = getattr(driver, "spte", None) is driver.mm.pte
        self.writable: Table[bool] | None = getattr(driver, "writable", None)
        self.accessed: Table[bool] | None = getattr(driver, "accessed", None)
        self.tfh: TlbFaultHandle | None = getattr(driver, "tfh", None)
        # Ghosts: the hardware loaded a translation of the page since the page was last found
        # young; a section is at work on the page, so that the driver may forget that.
        self.used: Table[bool] = Table(self.pages, False)
        self.forgetting: Table[bool] = Table(self.pages, False)

    @property
    def distinguishes_writes(self) -> bool:
        """Whether there are translations that may read but not write."""
        return self.writable is not None or self.tfh is not None

    # -- what drivers call ----------------------------------------------------------------------

    def flush(self) -> None:
        """Flush all devices, and wait until that is done (`kvm_flush_remote_tlbs`)."""
        with atomic():
            for cache in self.caches:
                cache.flush()
            if self.tfh is not None:
                self.tfh.invalidate()

    def flush_range(self, rng: PageRange) -> None:
        """Flush `rng` from all devices, and wait until that is done."""
        with atomic():
            for cache in self.caches:
                cache.flush_range(rng)
            if self.tfh is not None:
                self.tfh.invalidate()

    def insert(self, page: int, frame: Frame, write: bool = True) -> None:
        """Load a translation into all devices: for hardware that does not walk a table."""
        with atomic():
            for cache in self.caches:
                cache.insert(page, frame, write)

    def drop_in(self, since: int, page: int, frame: Frame, write: bool) -> None:
        """Answer the fault that `self.tfh.read()` returned `since` for (`tfh_write_restart`).

        The hardware ignores it if an invalidate has crossed the fault.
        """
        with atomic():
            if self.tfh is not None and not self.tfh.crossed(since):
                self.insert(page, frame, write)

    # -- what the hardware does -----------------------------------------------------------------

    def walk(self, cache: TlbCache, page: int, write: bool) -> bool:
        """Look `page` up in the driver's table as the hardware does; part of one step.

        A translation that permits the access goes into `cache` and is marked accessed.
        """
        if not self.walks:
            return False
        frame = self.driver.walk(page)
        may_write = True
        if self.writable is not None:
            may_write = self.writable[page]
        if frame is None or (write and not may_write):
            return False
        if self.shares:
            self.driver.mm.walked(page, write)
            may_write = write  # the first write walks again, to set the dirty bit
        cache.insert(page, frame, may_write)
        if self.accessed is not None:
            self.accessed[page] = True
        if self.driver.mm.ghost.watches_age and not self.forgetting[page]:
            self.used[page] = True
        return True

    def forget_young(self, rng: PageRange, begin: bool) -> None:
        """A section begins or ends in which the driver may forget that a page was used."""
        with atomic():
            for page in rng:
                self.used[page] = False
                self.forgetting[page] = begin

    def table_names(self, frame: Frame) -> bool:
        """Tell whether the hardware's walk can still reach `frame`."""
        if not self.walks:
            return False
        return any(self.driver.walk(page) is frame for page in self.pages)

    def caches_name(self, frame: Frame) -> bool:
        """Tell whether a device still has `frame` in its cache."""
        return any(cache.names(frame) for cache in self.caches)

    def count(self, frame: Frame) -> int:
        """How many translations in the driver's table name `frame`."""
        found: References = 0
        if self.walks:
            for page in self.pages:
                if self.driver.walk(page) is frame:
                    found += 1
        return found
