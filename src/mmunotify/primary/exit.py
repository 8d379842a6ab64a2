"""exit: the last user of the address space is gone."""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic, wait_until
from mmunotify.lang.obligation import Obligation
from mmunotify.lang.page_range import PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Exit"]


class Exit(Operation):
    """The process exits; faults on behalf of devices that are under way keep the mm until they end.

    Sequence: release to every subscriber, which leaves the list; then all pages go as in munmap,
    but nobody is left to hear of it.
    """

    name = "exit"
    function = "exit_mmap"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)
        self.exiting = Obligation("exit")
        mm.exits = True

    def run(self) -> None:
        """Tear everything down."""
        with self.exiting:
            self.exit()

    def exit(self) -> None:
        """Wait for the last other user, release the subscribers, free everything."""
        mm = self.mm
        with atomic():  # mmput: whoever is last goes on, so nobody is passed over for ever
            wait_until(lambda: mm.users == 1, queued=True)
            mm.users -= 1
        mm.notifiers.release()
        rng = PageRange(0, len(mm.pages))
        with mm.mmap_lock.read:
            mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(rng)
            mm.notifiers.invalidate_range_end(rng)
            self.tlb.finish(rng)
        with mm.mmap_lock.write:
            for page in mm.pages:
                mm.vma[page] = False
