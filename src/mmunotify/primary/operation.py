"""`Operation`: something the primary MMU does that secondary MMUs have to hear of.

Invariant: an operation calls range_start before its first change of a page-table entry and
range_end after its last, unless its docstring says otherwise.
"""

from __future__ import annotations

from mmunotify.lang.intrinsics import choose
from mmunotify.primary.mm import Mm

__all__ = ["OPERATIONS", "Operation"]


class Operation:
    """The base of all operations; `run` is the body of a thread.

    `name` is what scenarios call it, `function` the kernel function it models. An `outside` one is
    run by a kernel thread or another process; a `foreign` one, too, and as no user of the mm it may
    overlap its exit. `pages` is the smallest address space that it makes sense in, `frames` how
    many frames it needs beside those that are mapped. Without a `page` each run picks any one.
    """

    name = ""
    function = ""
    foreign = False
    outside = False
    pages = 1
    frames = 0

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        self.mm = mm
        self.page = page

    def pick(self) -> int:
        """The page to work on."""
        if self.page is None:
            return choose(self.mm.pages)
        return self.page

    def run(self) -> None:
        """Do it."""
        raise NotImplementedError

    def run_for_ever(self) -> None:
        """Do it again and again."""
        while True:
            self.run()


OPERATIONS: dict[str, type[Operation]] = {}
"""All operations by name, the simplest first; add your own."""
