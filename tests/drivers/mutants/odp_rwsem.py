"""The mutants of on-demand paging of the rwsem era."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.odp_rwsem import OdpRwsem

__all__ = ["ODP_RWSEM"]

STALE = "no_stale_translation"

DOWN = "            self.umem_rwsem.down_read()\n"
UP = "            self.umem_rwsem.up_read()\n"
COUNT = "                self.notifiers_count += 1\n            self.invalidate_range(rng)\n"
ZAP = "            self.invalidate_range(rng)\n"
BUMP = "                    self.notifiers_seq.bump()\n"
FINISH = "                    self.notifiers_count -= 1\n"
SNAPSHOT = "        current_seq = self.notifiers_seq.read()\n"
GUP = "        frame = self.mm.get_user_page(page, write)\n"
RETRY = "self.notifiers_count > 0 or self.notifiers_seq.read() != current_seq"
PUT = "        frame.put()  # on-demand paging: no pin\n"
FLUSH = "        self.tlb.flush_range(rng)\n"
JOIN = "        with self.umem_rwsem.write:\n            self.in_tree = True\n"
LEAVE = "        with self.umem_rwsem.write:\n            self.in_tree = False\n"
DEAD = "        self.live = False\n"
WAIT = "        self.mr_srcu.synchronize()\n"
UNMAP = """\
        self.invalidate_range(self.mm.whole_range())
        with self.umem_rwsem.write:
"""
SRCU = "        with self.mr_srcu:\n            return"
QUIET = "        with self.umem_rwsem.write:\n            self.active = False\n"

CAUGHT = (
    # the rwsem: a region neither joins nor leaves in the middle of a section
    Caught("joins_without_rwsem", "munmap", "bounds", ((JOIN, "        self.in_tree = True\n"),)),
    Caught(
        "leaves_without_rwsem", "munmap", "quiescent", ((LEAVE, "        self.in_tree = False\n"),)
    ),
    Caught(
        "rwsem_given_back_at_start",
        "munmap",
        "no_deadlock",
        (
            (ZAP + "\n    def invalidate_range_end", f"{ZAP}{UP}\n    def invalidate_range_end"),
            (UP + "\n    def release", "\n    def release"),
        ),
    ),
    Caught(
        "rwsem_never_given_back",
        "munmap",
        "no_deadlock",
        ((UP + "\n    def release", "\n    def release"),),
    ),
    Caught(
        "left_while_a_section_is_open",
        "munmap/unregister",
        "quiescent",
        ((QUIET, "        self.active = False\n"),),
    ),
    # the retry check and the zap
    Caught("count_only", "munmap", STALE, ((RETRY, "self.notifiers_count > 0"),)),
    Caught(
        "sequence_only", "munmap", STALE, ((RETRY, "self.notifiers_seq.read() != current_seq"),)
    ),
    Caught("sequence_bump_removed", "munmap", STALE, ((BUMP, ""),)),
    Caught("sequence_read_after_gup", "munmap", STALE, ((SNAPSHOT + GUP, GUP + SNAPSHOT),)),
    Caught("zap_removed", "munmap", STALE, ((COUNT, COUNT.replace(ZAP, "")),)),
    Caught("flush_removed", "munmap", STALE, ((FLUSH, ""),)),
    Caught("put_removed", "munmap", "quiescent", ((PUT, ""),)),
    # deregistration
    Caught(
        "dereg_without_unmap",
        "munmap",
        STALE,
        ((UNMAP, "        with self.umem_rwsem.write:\n"),),
    ),
    Caught("dereg_does_not_wait_for_faults", "munmap/2 devices", STALE, ((WAIT, ""),)),
    Caught(
        "fault_is_no_reader",
        "munmap/2 devices",
        STALE,
        ((SRCU, "        if True:\n            return"),),
    ),
    Caught("key_stays_alive", "munmap/2 devices", STALE, ((DEAD, ""),)),
)

SURVIVORS = (
    Survivor(
        "count_down_before_bump",
        "munmap",
        "both are under umem_mutex, and so is whoever reads them",
        ((BUMP + FINISH, FINISH + BUMP),),
    ),
)

ODP_RWSEM = Mutants(OdpRwsem, CAUGHT, SURVIVORS)
