"""A write fault that breaks COW: the page goes on in a copy."""

from __future__ import annotations

from mmunotify.primary.cpu import Cpu
from mmunotify.primary.fork import Child
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Cow"]


class Cow(Operation):
    """A CPU writes to the first page, which is shared with a child from the beginning.

    Sequence: copy; S(CLEAR); lock; pte_same; clear and flush; set the copy; unlock; E; drop the old
    frame (`primary.fault.wp_page_copy`). The child keeps the old frame.
    """

    name = "cow"
    function = "wp_page_copy"
    frames = 1

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, 0 if page is None else page)
        mm.ghost.watches_copies = True
        mm.ghost.watches_protection = True
        if mm.child is None:
            mm.child = Child(mm)
        shared = mm.pte[self.pick()]
        if shared is not None and mm.child.pte[self.pick()] is None:
            mm.pte_write[self.pick()] = False
            mm.ghost.protected[self.pick()] = True  # the fork has long returned
            mm.child.pte[self.pick()] = shared
            shared.refcount.set(shared.refcount.read() + 1)
        self.cpu = Cpu(mm)

    def run(self) -> None:
        """Write to the page."""
        self.cpu.access(self.pick(), True)
