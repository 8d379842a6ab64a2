"""GUP: how a driver gets from a page to a frame (`get_user_pages_fast`).

Invariant: the frame returned was mapped at the page, with the permission asked for, at the moment
its reference was taken. Nothing is said about any later moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmunotify.lang.intrinsics import atomic, might_sleep
from mmunotify.primary.fault import faultin_page
from mmunotify.primary.frame import Frame

if TYPE_CHECKING:
    from mmunotify.primary.mm import Mm

__all__ = ["get_user_pages_fast"]


def get_user_pages_fast(mm: Mm, page: int, write: bool) -> Frame:
    """Return the frame at `page` with a reference: lockless if it is there, else by a fault."""
    might_sleep()
    with atomic():  # gup_fast: read the entry, take the reference, read the entry again
        frame = mm.pte[page]
        if frame is not None and (not write or mm.pte_write[page]):
            frame.get()
            if write:
                mm.ghost.write_granted(page)
            return frame
    with mm.mmap_lock.read:
        return faultin_page(mm, page, write, get=True)
