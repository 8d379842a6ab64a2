"""Reclaim: an old page is unmapped, written to swap, and its frame freed."""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Reclaim"]


class Reclaim(Operation):
    """kswapd scans one page; if nobody used it since the last scan, its frame goes.

    Sequence: (rmap lock) aging of all subscribers under the page-table lock, no S or E. If old:
    (rmap lock) S(CLEAR); lock; clear, flush at once or in a batch; swap entry; drop the mapping's
    reference; unlock; E. Free, unless somebody holds a reference or faulted it in again.
    """

    name = "reclaim"
    function = "shrink_folio_list"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_age = True

    def run(self) -> None:
        """Try to evict one page."""
        mm = self.mm
        page = self.pick()
        with mm.page_table_lock:
            frame = mm.pte[page]
            if frame is None or mm.is_shared(frame):
                return
            frame.get()  # isolate_lru_page
        if not self.folio_referenced(page, frame) and self.add_to_swap(page, frame):
            self.try_to_unmap(page, frame)
            self.remove_mapping(page, frame)
        frame.put()

    def folio_referenced(self, page: int, frame: Frame) -> bool:
        """Tell whether a CPU or a secondary MMU used `frame`; clear what says so."""
        mm = self.mm
        young = False
        with mm.rmap_lock.read:
            with mm.page_table_lock:
                if mm.pte[page] is frame:
                    young = mm.notifiers.scan(PageRange(page))
                    if mm.pte_young[page]:
                        mm.pte_young[page] = False
                        young = True
                    if frame.young:  # folio_test_clear_young
                        frame.young = False
                        young = True
        return young

    def add_to_swap(self, page: int, frame: Frame) -> bool:
        """Put `frame` into the swap cache, which holds a reference."""
        with atomic():
            if self.mm.swap_cache[page] is not None:
                return False
            frame.get()
            self.mm.swap_cache[page] = frame
            return True

    def try_to_unmap(self, page: int, frame: Frame) -> None:
        """Put a swap entry in the place of the mapping (`try_to_unmap_one`)."""
        mm = self.mm
        rng = PageRange(page, event=Event.CLEAR)
        with mm.rmap_lock.read:
            mm.notifiers.page_start(rng)
            with mm.page_table_lock:
                if mm.pte[page] is frame:
                    mm.clear_pte(page)
                    mm.flush_or_batch(rng)
                    mm.notifiers.page_cleared(rng)
                    frame.put()
            mm.notifiers.page_end(rng)
        mm.flush_batch(rng)  # try_to_unmap_flush_dirty, before the page is written out

    def remove_mapping(self, page: int, frame: Frame) -> None:
        """Take `frame` out of the swap cache, unless anybody else came to hold a reference."""
        mm = self.mm
        with atomic():
            if mm.swap_cache[page] is frame and frame.refcount == 2:
                mm.swap_cache[page] = None
                frame.put()
