"""`Device`: the hardware of a secondary MMU, which reads and writes the process's memory.

Invariant: an access goes through the device's own TLB, in one step; what it may reach there is what
`no_stale_translation` and its sisters are about.
"""

from __future__ import annotations

from mmunotify.lang.driver import EFAULT, EMULATED, ENOMEM, Driver
from mmunotify.lang.intrinsics import atomic, choose, wait_until
from mmunotify.lang.maybe import maybe
from mmunotify.lang.obligation import Obligation
from mmunotify.primary.access import access
from mmunotify.primary.mm import Mm
from mmunotify.primary.tlb_cache import TlbCache

__all__ = ["Device"]


class Device:
    """One device (or virtual CPU) behind `driver`, with the cache number `number`."""

    def __init__(self, driver: Driver, number: int = 0) -> None:
        self.name = f"{driver.name}.device{number}"
        self.driver = driver
        self.mm: Mm = driver.mm
        self.cache: TlbCache = driver.tlb.caches[number]
        self.stopped = False
        self.faulting = Obligation("fault")  # from the first miss to the access or its failure
        self.registering = Obligation("registration")
        self.unregistering = Obligation("removal")

    # -- bodies of threads ----------------------------------------------------------------------

    def run(self) -> None:
        """Access any page any number of times, then stop."""
        while maybe():
            self.access(choose(self.mm.pages), self.pick_write())
        self.stopped = True

    def register_and_run(self) -> None:
        """Subscribe the driver, then use it."""
        with self.registering:
            self.driver.register()
        self.run()

    def unregister_when_stopped(self) -> None:
        """Unsubscribe the driver once the device does nothing any more."""
        wait_until(lambda: self.stopped)
        with self.unregistering:
            self.driver.unregister()
        self.driver.unregistered = True

    # -- one access -----------------------------------------------------------------------------

    def pick_write(self) -> bool:
        """Read or write; always write where the driver makes no difference."""
        if self.driver.tlb.distinguishes_writes:
            return maybe()
        return True

    def access(self, page: int, write: bool) -> None:
        """Access `page`: by the TLB, else by a walk of the driver's table, else by a fault.

        A write is an atomic operation that reads too. Where the fault fails the access does.
        """
        while True:
            with atomic():
                if self.cache.permits(page, write):
                    self.use(page, write)
                    self.faulting.end()
                    return
                filled = self.driver.tlb.walk(self.cache, page, write)
                self.faulting.begin()
            if not filled and not self.fault(page, write):
                self.faulting.end()
                return

    def fault(self, page: int, write: bool) -> bool:
        """Call the driver as a user of the mm; tell whether to try again."""
        if not self.mm.mmget_not_zero():
            return False
        try:
            return self.driver.fault(page, write) is not EMULATED
        except EFAULT:
            return False
        except ENOMEM:
            return False
        finally:
            self.mm.mmput()

    def use(self, page: int, write: bool) -> None:
        """Reach memory through the cached translation; part of one step."""
        frame = self.cache.tlb[page]
        if frame is not None:
            access(self.mm, frame, page, write)
