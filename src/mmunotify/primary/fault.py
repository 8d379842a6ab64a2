"""Page faults: how an entry becomes present or writable (`handle_mm_fault`).

Invariant: an entry is made writable only if its frame is the process's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmunotify.lang.driver import EFAULT
from mmunotify.lang.intrinsics import might_sleep, require, wait_until
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.frame import Frame, Owner

if TYPE_CHECKING:
    from mmunotify.primary.mm import Mm

__all__ = ["faultin_page", "hmm_range_fault", "wp_page_copy"]


def faultin_page(mm: Mm, page: int, write: bool, get: bool) -> Frame:
    """Make `page` present, writable if need be; return its frame, with a reference if `get`.

    The caller holds `mmap_lock.read`. Raises EFAULT and ENOMEM.
    """
    while True:
        with mm.page_table_lock:
            if not mm.vma[page] or not mm.backed[page] or (write and not mm.vma_write[page]):
                raise EFAULT
            migrating = mm.migration[page] is not None
            if not migrating:
                frame = mm.pte[page]
                if frame is None:
                    frame = do_anonymous_page(mm, page, write)
                elif write and not mm.pte_write[page] and not mm.is_shared(frame):
                    mm.set_pte(page, frame, True)  # wp_page_reuse: nobody needs to be told
                if not write or mm.pte_write[page]:
                    if write:
                        mm.ghost.write_granted(page)
                    if get:
                        frame.get()
                    return frame
        if migrating:
            wait_until(lambda: mm.migration[page] is None)  # migration_entry_wait
        else:
            wp_page_copy(mm, page)


def do_anonymous_page(mm: Mm, page: int, write: bool) -> Frame:
    """Fill an empty entry, from the swap cache if the frame is still there (`do_swap_page`).

    The caller holds `page_table_lock`.
    """
    frame = mm.take_swap_cache(page)  # its reference is the entry's from now on
    if frame is None:
        frame = mm.allocate(Owner.MM)
    mm.set_pte(page, frame, write)
    return frame


def wp_page_copy(mm: Mm, page: int) -> None:
    """Break COW: map a copy in the place of a shared frame (`wp_page_copy`).

    copy; S(CLEAR); lock; pte_same; clear; flush; set the copy; unlock; E; drop the old frame
    """
    new = mm.allocate(Owner.MM)
    with mm.page_table_lock:
        old = mm.pte[page]
        if old is not None and not mm.pte_write[page]:
            old.get()
        else:
            old = None
    if old is None:
        new.put()
        return
    if mm.ghost.watches_copies:
        mm.ghost.copied[page] = old
    rng = PageRange(page, event=Event.CLEAR)
    mm.notifiers.page_start(rng)
    with mm.page_table_lock:
        same = mm.pte[page] is old and not mm.pte_write[page]
        if same:
            mm.clear_pte(page)
            mm.flush_tlb_range(rng)
            mm.notifiers.page_cleared(rng)
            mm.set_pte(page, new, True)
        if mm.ghost.watches_copies:
            mm.ghost.copied[page] = None
    mm.notifiers.page_end(rng)
    if same:
        mm.put_unmapped(old)
    else:
        new.put()
    old.put()


def hmm_range_fault(mm: Mm, page: int, write: bool) -> Frame:
    """Return the frame at `page` without a reference; the caller holds `mmap_lock.read`."""
    might_sleep()
    require("context", mm.mmap_lock.is_held(), "hmm_range_fault without mmap_lock")
    return faultin_page(mm, page, write, get=False)
