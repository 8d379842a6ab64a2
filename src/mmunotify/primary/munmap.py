"""munmap(): the mapping goes away, and its frames with it."""

from __future__ import annotations

from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["MapFixed", "Munmap"]


class Munmap(Operation):
    """munmap() of one page.

    Sequence: S(UNMAP); clear and gather; [batch full: flush, free]; E; flush; free.
    """

    name = "munmap"
    function = "do_munmap"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Unmap one page."""
        page = self.pick()
        with self.mm.mmap_lock.write:
            self.unmap(page)

    def unmap(self, page: int) -> None:
        """Take the VMA away, then the page (`do_vmi_align_munmap`, `unmap_vmas`)."""
        rng = PageRange(page, event=Event.UNMAP)
        self.mm.vma[page] = False
        self.mm.notifiers.invalidate_range_start(rng)
        self.tlb.zap(rng)
        self.tlb.finish_around_end(rng)


class MapFixed(Munmap):
    """mmap(MAP_FIXED) over an old mapping: another page at the same address.

    Sequence: that of munmap, then a new VMA, all under one hold of `mmap_lock`.
    """

    name = "mmap_fixed"
    function = "mmap_region"

    def run(self) -> None:
        """Map something new over one page."""
        page = self.pick()
        with self.mm.mmap_lock.write:
            self.unmap(page)
            self.mm.vma[page] = True
