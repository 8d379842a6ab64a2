"""`Frame`: a page frame of physical memory (`struct page`).

Invariant: `refcount` is 0 exactly while `owner` is FREE. When the last reference goes, nobody may
be able to reach the frame any more: this is where `no_stale_translation` breaks first.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

from mmunotify.lang.counter import Counter, Int
from mmunotify.lang.intrinsics import atomic, require

if TYPE_CHECKING:
    from mmunotify.primary.mm import Mm

__all__ = ["Frame", "Owner", "References"]

References = Annotated[int, Int(0, 31)]
"""A number of references to one frame."""


class Owner(Enum):
    """Whose a frame is."""

    FREE = "free"
    MM = "mm"  # the process that the secondary MMUs serve
    OTHER = "other"  # anybody else


class Frame:
    """One frame.

    `written`: a CPU wrote to it through the page table since it was allocated. `merged`: it is a
    KSM page, which several mappings share and nobody may write to. `gathered`: its page was zapped,
    and the TLBs are not flushed yet.
    """

    def __init__(self, mm: Mm, number: int) -> None:
        self.mm = mm
        self.name = f"frame{number}"
        self.refcount = Counter(high=7)
        self.owner = Owner.FREE
        self.written = False
        self.merged = False
        self.gathered = False
        self.young = False  # PG_young: whoever cleared the bits of a mapping found it used

    def get(self) -> None:
        """Take a reference (`get_page`)."""
        with atomic():
            require("quiescent", self.refcount > 0, "a reference is taken to a free frame")
            self.refcount += 1

    def put(self) -> None:
        """Drop a reference (`put_page`); the last one frees the frame."""
        with atomic():
            require("quiescent", self.refcount > 0, "a reference is dropped that nobody holds")
            self.refcount -= 1
            if self.refcount == 0:
                self.free()

    def free(self) -> None:
        """Back to the free list (`free_unref_page`), for anybody to take; part of a step."""
        mm = self.mm
        require(
            "quiescent",
            not any(mm.pte[page] is self for page in mm.pages),
            "a frame is freed that the page table maps: a reference too many was dropped",
        )
        require(
            "no_stale_translation",
            not any(cpu.tlb.names(self) for cpu in mm.cpus),
            "a frame is freed while a CPU's TLB still translates to it",
        )
        for driver in mm.drivers:
            require(
                "no_stale_translation",
                not driver.tlb.table_names(self),
                "a frame is freed while the driver's table still translates to it",
            )
            require(
                "no_stale_translation",
                not driver.tlb.caches_name(self),
                "a frame is freed while a secondary TLB still translates to it",
            )
        self.owner = Owner.FREE
        if mm.ghost.watches_samples:
            self.young = False
        self.written = False
