"""The OOM reaper: it frees a victim's pages and must not wait for anybody."""

from __future__ import annotations

from mmunotify.lang.driver import EAGAIN
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["OomReaper"]


class OomReaper(Operation):
    """The OOM reaper, one page.

    Sequence: S(UNMAP), non-blockable; on -EAGAIN skip the page: no change, no E. Otherwise clear
    and gather; E; flush; free.
    """

    name = "oom_reaper"
    function = "__oom_reap_task_mm"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Reap one page, if that needs no waiting."""
        mm = self.mm
        rng = PageRange(self.pick(), event=Event.UNMAP, blockable=False)
        if not mm.mmap_lock.down_read_trylock():
            return
        try:
            mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(rng)
            mm.notifiers.invalidate_range_end(rng)
            self.tlb.finish(rng)
        except EAGAIN:
            pass
        mm.mmap_lock.up_read()
