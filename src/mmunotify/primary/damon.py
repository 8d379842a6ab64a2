"""DAMON: it samples which pages are used, and evicts none."""

from __future__ import annotations

from mmunotify.lang.page_range import PageRange
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Damon"]


class Damon(Operation):
    """kdamond makes one page old, and looks later whether somebody has used it.

    Sequence: (mmap_lock) clear_young of all subscribers under the page-table lock, no S or E; later
    (mmap_lock) test_young under the page-table lock, until one says yes. What was young is noted at
    the frame, so that reclaim does not take it for old. page_idle and the lists of MGLRU use the
    same two calls.
    """

    name = "damon"
    function = "damon_va_mkold"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_age = True
        mm.ghost.watches_samples = True

    def run(self) -> None:
        """Sample one page."""
        page = self.pick()
        self.mkold(page)
        self.young(page)

    def mkold(self, page: int) -> None:
        """Clear what says that a CPU or a secondary MMU used `page` (`damon_ptep_mkold`)."""
        mm = self.mm
        with mm.mmap_lock.read, mm.page_table_lock:
            frame = mm.pte[page]
            if frame is not None:
                young = mm.notifiers.clear_young(PageRange(page))
                if mm.pte_young[page]:
                    mm.pte_young[page] = False
                    young = True
                if young:
                    frame.young = True  # folio_set_young

    def young(self, page: int) -> bool:
        """Tell whether somebody used it since then (`damon_va_young`)."""
        mm = self.mm
        with mm.mmap_lock.read, mm.page_table_lock:
            if mm.pte[page] is None:
                return False
            return mm.pte_young[page] or mm.notifiers.test_young(PageRange(page))
