"""`Ghost`: what only the properties look at: no driver and no operation decides by it.

Invariant: a ghost that nothing in the scenario watches is constant and costs no state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.pages import Pages
from mmunotify.lang.table import Table
from mmunotify.primary.frame import Frame

if TYPE_CHECKING:
    from mmunotify.primary.operation import Operation

__all__ = ["Ghost"]


class Ghost:
    """The past of each page, as far as a property needs it.

    `protector[page]` is the last operation that took write permission from the page, until a write
    fault gives it back; once that operation has returned the page is `protected`.
    `copied[page]` is the frame whose bytes were copied to the one that will take its place: what is
    written to it from then on is lost. `moved[page]` is the frame that has moved from the page to
    another one.
    """

    def __init__(self, pages: Pages) -> None:
        self.watches_protection = False  # set by operations that protect
        self.watches_copies = False  # set by operations that copy
        self.watches_moves = False  # set by operations that move
        self.watches_age = False  # set by operations that scan
        self.watches_samples = False  # set by operations that clear what says that a page is young
        self.watches_gathers = False  # set for drivers that are flushed with the CPUs, not before
        self.protector: Table[Operation | None] = Table(pages)
        self.protected: Table[bool] = Table(pages, False)
        self.copied: Table[Frame | None] = Table(pages)
        self.moved: Table[Frame | None] = Table(pages)

    def write_protected(self, page: int, operation: Operation) -> None:
        """`operation` took write permission from `page`; part of that step."""
        self.protector[page] = operation

    def write_granted(self, page: int) -> None:
        """A write fault on `page` succeeded; part of that step."""
        if self.watches_protection:
            self.protector[page] = None
            self.protected[page] = False

    def returned(self, page: int, operation: Operation) -> None:
        """`operation` has returned to whoever asked for it; one step."""
        with atomic():
            if self.protector[page] is operation:
                self.protected[page] = True
