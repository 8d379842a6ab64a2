"""`Cpu`: a processor that runs a thread of the process, with a TLB of its own.

Invariant: a CPU reaches memory through its TLB only; what the page table says now does not matter
to it until it is flushed.
"""

from __future__ import annotations

from mmunotify.lang.driver import EFAULT, ENOMEM
from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.maybe import maybe
from mmunotify.primary.fault import faultin_page
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation
from mmunotify.primary.tlb_cache import TlbCache

__all__ = ["Cpu", "CpuAccess", "CpuWrite"]


class Cpu:
    """One CPU; from its construction on, flushes reach it."""

    def __init__(self, mm: Mm) -> None:
        self.mm = mm
        self.name = f"cpu{len(mm.cpus)}"
        self.tlb = TlbCache(mm.pages, f"{self.name}_tlb")
        mm.cpus = (*mm.cpus, self)

    def access(self, page: int, write: bool) -> None:
        """Read or write `page`, faulting it in; nothing happens where that cannot be."""
        while True:
            with atomic():
                if self.tlb.permits(page, write):
                    frame = self.tlb.tlb[page]
                    if write and frame is not None:
                        frame.written = True
                    return
                filled = self.walk(page, write)
            if not filled and not self.fault(page, write):
                return

    def walk(self, page: int, write: bool) -> bool:
        """Load the TLB from the page table; part of one step."""
        mm = self.mm
        frame = mm.pte[page]
        if frame is None or (write and not mm.pte_write[page]):
            return False
        self.tlb.insert(page, frame, mm.pte_write[page])
        mm.walked(page, write)
        return True

    def fault(self, page: int, write: bool) -> bool:
        """`exc_page_fault`; tell whether to try again."""
        try:
            with self.mm.mmap_lock.read:
                faultin_page(self.mm, page, write, get=False)
        except EFAULT:
            return False  # SIGSEGV
        except ENOMEM:
            return False  # the OOM killer
        return True


class CpuWrite(Operation):
    """A thread of the process writes to a page: a plain store.

    Sequence: none of its own; a write to a shared page breaks COW (`wp_page_copy`).
    """

    name = "cpu_write"
    function = "handle_mm_fault"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.cpu = Cpu(mm)

    def run(self) -> None:
        """Write to one page."""
        self.cpu.access(self.pick(), True)


class CpuAccess(Operation):
    """A thread of the process reads and writes pages, as often as it likes."""

    name = "cpu_access"
    function = "handle_mm_fault"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.cpu = Cpu(mm)

    def run(self) -> None:
        """Read and write any page any number of times."""
        while maybe():
            self.cpu.access(self.pick(), maybe())
