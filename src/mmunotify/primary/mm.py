"""`Mm`: a process's address space and its page table (`struct mm_struct`).

Invariant: page-table entries change only under `page_table_lock`, one entry in one step; a mapped
frame has one reference for each entry that maps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmunotify.lang.counter import Counter
from mmunotify.lang.driver import ENOMEM, Driver
from mmunotify.lang.intrinsics import atomic, choose, wait_until
from mmunotify.lang.maybe import maybe
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.lang.pages import Pages
from mmunotify.lang.rwsem import RwSem
from mmunotify.lang.spinlock import SpinLock
from mmunotify.lang.table import Table
from mmunotify.primary.access import access
from mmunotify.primary.fault import hmm_range_fault
from mmunotify.primary.frame import Frame, Owner, References
from mmunotify.primary.ghost import Ghost
from mmunotify.primary.gup import (
    get_user_page_fast_only,
    get_user_pages_fast,
    get_user_pages_remote,
)

if TYPE_CHECKING:
    from mmunotify.primary.cpu import Cpu
    from mmunotify.primary.fork import Child
    from mmunotify.primary.notifiers import Notifiers
    from mmunotify.primary.operation import Operation

__all__ = ["Mm"]


class Mm:
    """An address space of `pages` pages (a number, or `Pages`) on a machine with `frames` frames.

    Locks, outermost first: `mmap_lock`, `rmap_lock` (for `i_mmap_rwsem` and the anon_vma lock),
    `page_table_lock`. `notifiers` is the protocol by which subscribers are told.
    """

    notifiers: Notifiers

    def __init__(self, pages: int | Pages = 2, frames: int = 3) -> None:
        self.name = "mm"
        self.pages = pages if isinstance(pages, Pages) else Pages(pages)
        self.frames = tuple(Frame(self, number) for number in range(frames))
        # The page table: a frame where the entry is present, and its bits.
        self.pte: Table[Frame | None] = Table(self.pages)
        self.pte_write: Table[bool] = Table(self.pages, False)
        self.pte_young: Table[bool] = Table(self.pages, False)
        self.migration: Table[Frame | None] = Table(self.pages)  # migration entries
        self.swap_cache: Table[Frame | None] = Table(self.pages)
        # The VMAs: which pages are mapped at all, which for writing, which have a file's end
        # behind them.
        self.vma: Table[bool] = Table(self.pages, True)
        self.vma_write: Table[bool] = Table(self.pages, True)
        self.backed: Table[bool] = Table(self.pages, True)
        self.mmap_lock = RwSem()
        self.rmap_lock = RwSem()
        self.page_table_lock = SpinLock()
        self.users = Counter(start=1)  # mm_users
        self.exits = False  # set by the operation exit
        self.cpus: tuple[Cpu, ...] = ()  # those whose TLBs are in the model
        self.drivers: tuple[Driver, ...] = ()
        self.child: Child | None = None
        self.ghost = Ghost(self.pages)

    # -- set-up ---------------------------------------------------------------------------------

    def populate(self, page: int, write: bool = True) -> Frame:
        """Map a frame at `page` before the threads start."""
        frame = next(f for f in self.frames if f.owner is Owner.FREE)
        frame.owner = Owner.MM
        frame.refcount.set(1)
        self.pte[page] = frame
        self.pte_write[page] = write
        return frame

    # -- frames ---------------------------------------------------------------------------------

    def allocate(self, owner: Owner) -> Frame:
        """Take a free frame (`alloc_pages`), any of them; raise ENOMEM if there is none."""
        with atomic():
            if not any(frame.owner is Owner.FREE for frame in self.frames):
                raise ENOMEM
            taken = choose(self.frames)
            wait_until(lambda: taken.owner is Owner.FREE)
            taken.owner = owner
            taken.refcount += 1
        return taken

    def is_shared(self, frame: Frame) -> bool:
        """Tell whether a write to `frame` has to copy it first (`!PageAnonExclusive`)."""
        return frame.merged or (self.child is not None and self.child.maps(frame))

    def mapcount(self, frame: Frame) -> int:
        """How many entries map `frame`, the child's included (`folio_mapcount`)."""
        found: References = 0 if self.child is None else self.child.count(frame)
        for page in self.pages:
            if self.pte[page] is frame:
                found += 1
        return found

    def put_unmapped(self, frame: Frame) -> None:
        """Drop the reference of an entry that maps `frame` no more.

        If only the child maps it now, it is the child's.
        """
        with atomic():
            if self.child is not None:
                mine = any(self.pte[page] is frame for page in self.pages)
                if not mine and self.child.maps(frame):
                    frame.owner = Owner.OTHER
            frame.put()

    # -- entries; the caller holds page_table_lock ----------------------------------------------

    def set_pte(self, page: int, frame: Frame, write: bool) -> None:
        """Make an entry present (`set_pte_at`)."""
        with atomic():
            self.pte[page] = frame
            self.pte_write[page] = write
            self.migration[page] = None
            if write:
                self.ghost.write_granted(page)
            if self.ghost.watches_moves:
                self.ghost.moved[page] = None

    def clear_pte(self, page: int) -> Frame | None:
        """Clear an entry; return the frame it mapped (`ptep_get_and_clear`)."""
        with atomic():
            frame = self.pte[page]
            self.pte[page] = None
            self.pte_write[page] = False
            self.migration[page] = None
            return frame

    def set_migration(self, page: int) -> None:
        """Turn an entry into a migration entry, which keeps the frame and the write bit."""
        with atomic():
            self.migration[page] = self.pte[page]
            self.pte[page] = None

    def wrprotect(self, page: int, operation: Operation) -> None:
        """Take write permission from an entry (`ptep_set_wrprotect`), for `operation`."""
        with atomic():
            self.pte_write[page] = False
            self.ghost.write_protected(page, operation)

    def take_swap_cache(self, page: int) -> Frame | None:
        """Take the frame that is in the swap cache for `page`, with the cache's reference."""
        with atomic():
            frame = self.swap_cache[page]
            self.swap_cache[page] = None
            return frame

    def walked(self, page: int, write: bool) -> None:
        """Hardware read an entry and sets its accessed and dirty bits; part of its step.

        Only a writable entry becomes dirty.
        """
        if write and self.pte_write[page]:
            self.ghost.write_granted(page)
        if self.ghost.watches_age:
            self.pte_young[page] = True

    # -- CPU TLBs -------------------------------------------------------------------------------

    def flush_tlb_range(self, rng: PageRange) -> None:
        """Flush the CPUs' TLBs, one CPU after another (`flush_tlb_range`)."""
        for cpu in self.cpus:
            cpu.tlb.flush_range(rng)
        self.notifiers.arch_invalidate_secondary_tlbs(rng)

    def flush_or_batch(self, rng: PageRange) -> None:
        """Flush now, or the CPUs only later (`TTU_BATCH_FLUSH`, `arch_tlbbatch_add_pending`)."""
        if not self.cpus or maybe():
            self.flush_tlb_range(rng)
        else:
            self.notifiers.arch_invalidate_secondary_tlbs(rng)

    def flush_batch(self, rng: PageRange) -> None:
        """Flush what is pending on the CPUs (`try_to_unmap_flush`)."""
        for cpu in self.cpus:
            cpu.tlb.flush_range(rng)

    # -- the last user --------------------------------------------------------------------------

    def mmget_not_zero(self) -> bool:
        """Keep the address space from being torn down, unless it is (`mmget_not_zero`)."""
        if not self.exits:
            return True
        with atomic():
            if self.users == 0:
                return False
            self.users += 1
            return True

    def mmput(self) -> None:
        """Give that up (`mmput`)."""
        if self.exits:
            with atomic():
                self.users -= 1

    # -- what drivers call ----------------------------------------------------------------------

    def get_user_page(self, page: int, write: bool) -> Frame:
        """Return the frame at `page` with a reference taken (`get_user_pages`), faulting it in.

        Raises EFAULT where nothing is mapped, or not for writing, and ENOMEM.
        """
        return get_user_pages_fast(self, page, write)

    def get_user_page_fast_only(self, page: int, write: bool) -> Frame | None:
        """Return the frame at `page` with a reference taken, or None where that takes a fault.

        Never sleeps and takes no lock (`get_user_page_fast_only`).
        """
        return get_user_page_fast_only(self, page, write)

    def get_user_pages_remote(self, page: int, write: bool) -> Frame:
        """As `get_user_page`, for a caller that holds `mmap_lock.read`, as of another process."""
        return get_user_pages_remote(self, page, write)

    def hmm_range_fault(self, page: int, write: bool) -> Frame:
        """Return the frame at `page` without a reference (`hmm_range_fault`), faulting it in.

        The caller holds `mmap_lock.read`, and may use the frame only under its own lock after its
        sequence was found unchanged. Raises EFAULT and ENOMEM.
        """
        return hmm_range_fault(self, page, write)

    def whole_range(self, event: Event = Event.UNMAP) -> PageRange:
        """Return the range of all pages; of a running program, of those that drivers know."""
        return PageRange(0, len(self.pages), event=event)

    def kernel_access(self, frame: Frame, page: int, write: bool) -> None:
        """Reach `frame` through a mapping of the kernel's own, as the memory at `page`; one step.

        For a driver that does an access itself; its `fault` returns EMULATED then.
        """
        with atomic():
            access(self, frame, page, write)

    # -- properties -----------------------------------------------------------------------------

    def quiescent(self) -> bool:
        """Tell whether the references to every frame are accounted for.

        Each entry that maps it, the swap cache, the child and KSM hold one. A driver may hold one
        for each translation in its table, no more.
        """
        return all(self._accounted(frame) for frame in self.frames)

    def _accounted(self, frame: Frame) -> bool:
        held: References = 1 if frame.merged else 0
        for page in self.pages:
            if self.swap_cache[page] is frame:
                held += 1
        held += self.mapcount(frame)
        named: References = 0
        for driver in self.drivers:
            named += driver.tlb.count(frame)
        return held <= frame.refcount.read() <= held + named
