"""The mutants of XPMEM, in scenarios where its pins are enough."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.xpmem import Xpmem

__all__ = ["XPMEM"]

STALE = "no_stale_translation"

OWN = "        if current().mm is self.mm:\n"
CLEAR = "                self.clear_ptes(rng)\n"
DROP = "                    self.spte[page] = None\n"
FLUSH = "                    self.tlb.flush()\n"
PUT = "                    frame.put()\n"
TRY = """\
        if not self.mm.mmap_lock.down_read_trylock():
            self.mmap_lock.up_read()
            self.mm.mmap_lock.down_read()
            self.mmap_lock.down_read()
"""
MAP = """\
        if self.spte[page] is None:
            self.spte[page] = frame  # the reference goes with it
        else:
            frame.put()
"""
PIN = "            with self.mutex:\n                self.map("
DETACH = "        with self.mmap_lock.write:\n            self.clear_ptes("

CAUGHT = (
    # the pin is what makes it safe
    Caught(
        "not_pinned",
        "munmap",
        STALE,
        (
            (MAP, "        self.spte[page] = frame\n        frame.put()\n"),
            (DROP + FLUSH + PUT, DROP + FLUSH),
        ),
    ),
    Caught(
        "put_before_flush",
        "munmap",
        STALE,
        (
            (
                DROP + FLUSH + PUT,
                DROP + PUT + FLUSH,
            ),
        ),
    ),
    Caught(
        "put_before_clear",
        "munmap",
        STALE,
        (
            (
                DROP + FLUSH + PUT,
                PUT + DROP + FLUSH,
            ),
        ),
    ),
    Caught(
        "flush_removed",
        "munmap",
        STALE,
        ((DROP + FLUSH + PUT, DROP + PUT),),
    ),
    Caught(
        "never_unpinned",
        "munmap",
        "quiescent",
        ((DROP + FLUSH + PUT, DROP + FLUSH),),
    ),
    Caught(
        "pinned_twice",
        "munmap/2 devices",
        "quiescent",
        ((MAP, "        self.spte[page] = frame\n"),),
    ),
    Caught(
        "fault_without_mutex",
        "munmap/2 devices",
        "quiescent",
        ((PIN, "            if True:\n                self.map("),),
    ),
    # the end is what makes it coherent for the owner's own changes
    Caught(
        "end_removed", "mprotect", "no_write_after_protect", ((CLEAR, "                pass\n"),)
    ),
    Caught(
        "end_at_start",
        "madvise_free",
        "no_write_after_protect",
        (("def invalidate_range_end", "def invalidate_range_start"),),
    ),
    # the locks of two mms
    Caught(
        "waits_for_the_owner",
        "munmap/2 devices",
        "no_deadlock",
        ((TRY, "        self.mm.mmap_lock.down_read()\n"),),
    ),
    Caught("everybody_is_the_owner", "oom_reaper", "context", ((OWN, "        if True:\n"),)),
    Caught(
        "gup_without_owners_lock",
        "munmap",
        "context",
        ((TRY, ""), ("            self.mm.mmap_lock.up_read()\n", "            pass\n")),
    ),
)

SURVIVORS = (
    Survivor(
        "detach_without_mmap_lock",
        "munmap/2 devices",
        "the mutex keeps faults and detaching apart; the lock is for the VMA of the attacher",
        ((DETACH, "        if True:\n            self.clear_ptes("),),
    ),
)

XPMEM = Mutants(Xpmem, CAUGHT, SURVIVORS)
