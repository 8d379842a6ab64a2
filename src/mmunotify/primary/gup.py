"""GUP: how a driver gets from a page to a frame (`get_user_pages_fast`).

Invariant: the frame returned was mapped at the page, with the permission asked for, at the moment
its reference was taken. Nothing is said about any later moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmunotify.lang.intrinsics import atomic, might_sleep, require
from mmunotify.primary.fault import faultin_page
from mmunotify.primary.frame import Frame

if TYPE_CHECKING:
    from mmunotify.primary.mm import Mm

__all__ = ["get_user_page_fast_only", "get_user_pages_fast", "get_user_pages_remote"]


def get_user_pages_fast(mm: Mm, page: int, write: bool) -> Frame:
    """Return the frame at `page` with a reference: lockless if it is there, else by a fault."""
    might_sleep()
    frame = get_user_page_fast_only(mm, page, write)
    if frame is not None:
        return frame
    with mm.mmap_lock.read:
        return faultin_page(mm, page, write, get=True)


def get_user_page_fast_only(mm: Mm, page: int, write: bool) -> Frame | None:
    """Return the frame at `page` with a reference, or None if that takes a fault; never sleep."""
    with atomic():  # gup_fast: read the entry, take the reference, read the entry again
        frame = mm.pte[page]
        if frame is None or (write and not mm.pte_write[page]):
            return None
        frame.get()
        if write:
            mm.ghost.write_granted(page)
        return frame


def get_user_pages_remote(mm: Mm, page: int, write: bool) -> Frame:
    """Return the frame at `page` with a reference; the caller holds `mmap_lock.read`."""
    might_sleep()
    require("context", mm.mmap_lock.is_held(), "get_user_pages without mmap_lock")
    return faultin_page(mm, page, write, get=True)
