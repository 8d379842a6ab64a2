"""`TlbCache`: one translation cache, of a CPU or of a device.

Invariant: an entry stays until it is flushed, whatever happens to the table it was read from.
"""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table
from mmunotify.primary.frame import Frame

__all__ = ["TlbCache"]


class TlbCache:
    """A frame for each page, and whether writing is permitted."""

    def __init__(self, pages: Pages, name: str) -> None:
        self.name = name
        self.pages = pages
        self.tlb: Table[Frame | None] = Table(pages)
        self.tlb_writable: Table[bool] = Table(pages, False)

    def permits(self, page: int, write: bool) -> bool:
        """Tell whether an access would hit."""
        return self.tlb[page] is not None and (not write or self.tlb_writable[page])

    def insert(self, page: int, frame: Frame, write: bool) -> None:
        """Put an entry in."""
        with atomic():
            self.tlb[page] = frame
            self.tlb_writable[page] = write

    def flush(self) -> None:
        """Forget everything."""
        with atomic():
            self.tlb.fill(None)
            self.tlb_writable.fill(False)

    def flush_range(self, rng: PageRange) -> None:
        """Forget the pages of `rng`."""
        with atomic():
            for page in rng:
                self.tlb[page] = None
                self.tlb_writable[page] = False

    def names(self, frame: Frame) -> bool:
        """Tell whether any entry translates to `frame`."""
        return any(self.tlb[page] is frame for page in self.pages)
