"""The mutants of the ways to hold off faults."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.hold_off.counter_sequence import CounterSequence
from mmunotify.drivers.hold_off.rwsem import HeldRwSem

__all__ = ["COUNTER_SEQUENCE", "RWSEM"]

STALE = "no_stale_translation"

COUNT = "            self.sections += 1\n"
DROP = "            self.drop(rng)\n"
BUMP = "            self.sequence.bump()\n"
FINISH = "            self.sections -= 1\n"
SEEN = "        seen = self.sequence.read()\n"
GUP = "        frame = self.mm.get_user_page(page, write)\n"
RETRY = "self.sections > 0 or self.sequence.read() != seen"

COUNTER_SEQUENCE = Mutants(
    CounterSequence,
    (
        Caught("count_only", "munmap", STALE, ((RETRY, "self.sections > 0"),)),
        Caught("sequence_only", "munmap", STALE, ((RETRY, "self.sequence.read() != seen"),)),
        Caught("drop_removed", "munmap", STALE, ((DROP, ""),)),
        Caught("bump_removed", "munmap", STALE, ((BUMP, ""),)),
        Caught("bump_at_start", "munmap", STALE, ((BUMP, ""), (COUNT, BUMP + COUNT))),
        Caught("seen_after_lookup", "munmap", STALE, ((SEEN + GUP, GUP + SEEN),)),
        Caught("put_removed", "munmap", "quiescent", (("        frame.put()\n", ""),)),
    ),
    (
        Survivor(
            "count_down_before_bump",
            "munmap",
            "both are under the lock, and so is whoever reads them",
            ((BUMP + FINISH, FINISH + BUMP),),
        ),
    ),
)

DOWN = "        self.sem.down_read()\n"
UP = "        self.sem.up_read()\n"
FAULT_IN = "        self.mm.get_user_page(page, write).put()\n"
WRITE = "        with self.sem.write:\n"
FAST = "            frame = self.mm.get_user_page_fast_only(page, write)\n"

RWSEM = Mutants(
    HeldRwSem,
    (
        Caught("not_held", "munmap", STALE, ((DOWN, ""), (UP, ""))),
        Caught("given_back_at_start", "munmap", STALE, ((UP, "        pass\n"), (DOWN, DOWN + UP))),
        Caught("never_given_back", "munmap", "no_deadlock", ((UP, "        pass\n"),)),
        Caught("fault_is_no_writer", "munmap", STALE, ((WRITE, "        if True:\n"),)),
        Caught(
            "looked_up_before_the_lock",
            "munmap",
            STALE,
            (
                (
                    FAULT_IN + WRITE + FAST,
                    f"        frame = self.mm.get_user_page(page, write)\n{WRITE}",
                ),
            ),
        ),
        Caught(  # claim 12: the lock across GUP
            "faults_in_under_the_lock",
            "munmap",
            "no_deadlock",
            ((FAULT_IN, ""), (FAST, FAST.replace("_fast_only", ""))),
        ),
        Caught(
            "breaks_cow_under_the_lock",
            "cow",
            "no_deadlock",
            ((FAULT_IN, ""), (FAST, FAST.replace("_fast_only", ""))),
        ),
        Caught("put_removed", "munmap", "quiescent", (("            frame.put()\n", ""),)),
    ),
)
