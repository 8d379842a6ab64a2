"""KSM: pages with the same bytes are merged into one frame."""

from __future__ import annotations

from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Ksm"]


class Ksm(Operation):
    """ksmd finds a page whose bytes are those of a KSM page, and maps that one instead.

    Sequence: S(CLEAR); lock; clear and flush; give up if anybody else holds a reference; set
    read-only and clean; unlock; E. Compare. S(CLEAR); lock; pte_same; clear and flush; set the KSM
    page; drop the old frame; unlock; E. Only S, which zaps, and the refusal of faults until E make
    the count tell something about translations that hold no reference.
    """

    name = "ksm"
    function = "try_to_merge_one_page"
    outside = True
    frames = 1

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_protection = True
        self.kpage = next(frame for frame in reversed(mm.frames) if frame.owner is Owner.FREE)
        self.kpage.owner = Owner.MM
        self.kpage.merged = True
        self.kpage.refcount.set(1)

    def run(self) -> None:
        """Merge one page."""
        mm = self.mm
        page = self.pick()
        with mm.mmap_lock.read:
            with mm.page_table_lock:
                frame = mm.pte[page]
                if frame is None or frame.merged:
                    return
                frame.get()  # the reference of the scan
            if self.write_protect_page(page, frame):
                self.replace_page(page, frame)
            frame.put()
        mm.ghost.returned(page, self)

    def write_protect_page(self, page: int, frame: Frame) -> bool:
        """Make sure that nobody writes to `frame` any more; tell whether that worked."""
        mm = self.mm
        rng = PageRange(page, event=Event.CLEAR)
        done = False
        mm.notifiers.invalidate_range_start(rng)
        with mm.page_table_lock:
            if mm.pte[page] is frame:
                write = mm.pte_write[page]
                mm.clear_pte(page)
                mm.flush_tlb_range(rng)
                # The entry just cleared and the scan hold one each.
                done = frame.refcount.read() == mm.mapcount(frame) + 2
                mm.set_pte(page, frame, write and not done)
                if done:
                    mm.ghost.write_protected(page, self)
        mm.notifiers.invalidate_range_end(rng)
        return done

    def replace_page(self, page: int, frame: Frame) -> None:
        """Map the KSM page, unless the entry has changed."""
        mm = self.mm
        rng = PageRange(page, event=Event.CLEAR)
        mm.notifiers.invalidate_range_start(rng)
        with mm.page_table_lock:
            if mm.pte[page] is frame and not mm.pte_write[page]:
                mm.clear_pte(page)
                mm.flush_tlb_range(rng)
                self.kpage.get()
                mm.set_pte(page, self.kpage, False)
                mm.put_unmapped(frame)
        mm.notifiers.invalidate_range_end(rng)
