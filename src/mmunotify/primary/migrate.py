"""Migration and compaction: a page goes on in another frame."""

from __future__ import annotations

from mmunotify.lang.driver import ENOMEM
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Migrate"]


class Migrate(Operation):
    """Compaction moves one page to a free frame.

    Sequence: (rmap lock) S(CLEAR); lock; clear, flush at once or in a batch before the copy;
    migration entry; drop the mapping's reference; unlock; E. Copy, unless anybody else holds a
    reference. Then the entry is pointed to the new frame (or back), without a notifier. Faults in
    between wait on the migration entry.
    """

    name = "migrate"
    function = "migrate_pages"
    foreign = True
    frames = 1

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_copies = True

    def run(self) -> None:
        """Move one page."""
        mm = self.mm
        page = self.pick()
        with mm.page_table_lock:
            old = mm.pte[page]
            if old is None or mm.is_shared(old):
                return
            old.get()  # isolate_lru_page
        try:
            self.move(page, old, mm.allocate(Owner.MM))
        except ENOMEM:
            old.put()

    def move(self, page: int, old: Frame, new: Frame) -> None:
        """Unmap, copy and map again (`migrate_folio_unmap`, `migrate_folio_move`)."""
        mm = self.mm
        if self.try_to_migrate(page, old):
            if old.refcount.read() == 1:  # folio_ref_freeze: only the isolation's is left
                mm.ghost.copied[page] = old
                self.remove_migration_ptes(old, new)
                mm.ghost.copied[page] = None
            else:
                self.remove_migration_ptes(old, old)
        new.put()
        old.put()

    def try_to_migrate(self, page: int, old: Frame) -> bool:
        """Put a migration entry in the place of the mapping; tell whether it was there."""
        mm = self.mm
        rng = PageRange(page, event=Event.CLEAR)
        with mm.rmap_lock.read:
            mm.notifiers.page_start(rng)
            with mm.page_table_lock:
                found = mm.pte[page] is old
                if found:
                    mm.set_migration(page)
                    mm.flush_or_batch(rng)
                    mm.notifiers.page_cleared(rng)
                    old.put()
            mm.notifiers.page_end(rng)
        mm.flush_batch(rng)
        return found

    def remove_migration_ptes(self, old: Frame, frame: Frame) -> None:
        """Map `frame` wherever a migration entry for `old` is left."""
        mm = self.mm
        with mm.rmap_lock.read:
            with mm.page_table_lock:
                for page in mm.pages:
                    if mm.migration[page] is old:
                        frame.get()
                        mm.set_pte(page, frame, mm.pte_write[page])
