"""truncate(): somebody shortens the file that is mapped."""

from __future__ import annotations

from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["PunchHole", "Truncate"]


class PunchHole(Operation):
    """fallocate(PUNCH_HOLE) by another process: a fault gets a new page.

    Sequence: (i_mmap lock, no mmap_lock) S(CLEAR); clear and gather; [batch full: flush, free]; E;
    flush; free.
    """

    name = "punch_hole"
    function = "unmap_mapping_range"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Punch out one page."""
        self.unmap_mapping(self.pick())

    def unmap_mapping(self, page: int) -> None:
        """Zap the page wherever it is mapped (`unmap_mapping_pages`)."""
        rng = PageRange(page, event=Event.CLEAR)
        with self.mm.rmap_lock.read:
            self.mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(rng)
            self.tlb.finish_around_end(rng)


class Truncate(PunchHole):
    """ftruncate() by another process: beyond the file's end a fault fails.

    Sequence: the size is set, then that of punch_hole.
    """

    name = "truncate"
    function = "truncate_pagecache"

    def run(self) -> None:
        """Cut off one page."""
        page = self.pick()
        self.mm.backed[page] = False  # i_size_write
        self.unmap_mapping(page)
