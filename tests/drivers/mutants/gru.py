"""The mutants of the GRU driver."""

from __future__ import annotations

from tests.drivers.mutant import Caught, Mutants, Survivor

from mmunotify.drivers.gru import Gru

__all__ = ["GRU"]

STALE = "no_stale_translation"

UP = "        self.ms_range_active.inc()\n"
FLUSH = "        self.tlb.flush_range(rng)  # gru_flush_tlb_range\n"
DOWN = "        self.ms_range_active.dec()\n"
WAKE = "        self.ms_wait_queue.wake_up_all()\n"
READ = "        exception = self.tfh.read()\n"
ACTIVE = "        if self.ms_range_active.read() == 0:\n"
VTOP = "            frame = self.vtop(page, write)\n"
DROP = "            self.tlb.drop_in(exception, page, frame, write)  # tfh_write_restart\n"
PUT = "            frame.put()\n"
WAIT = """\
        since = self.ms_wait_queue.prepare()
        while self.ms_range_active.read() != 0:
            self.ms_wait_queue.sleep(since)
            since = self.ms_wait_queue.prepare()
"""
UNLOAD = "        self.tlb.flush()  # gru_unload_context\n"

CAUGHT = (
    # the order in range_start, and what makes the hardware notice
    Caught("flush_removed", "munmap", STALE, ((FLUSH, ""),)),
    Caught("flush_before_count", "munmap", STALE, ((UP + FLUSH, FLUSH + UP),)),
    Caught("count_up_removed", "munmap", "bounds", ((UP, ""),)),
    Caught("count_removed", "munmap", STALE, ((UP, ""), (DOWN, ""))),
    Caught(
        "flag_in_place_of_count",
        "munmap+punch_hole",
        STALE,
        (
            (UP, "        self.ms_range_active.set(1)\n"),
            (DOWN, "        self.ms_range_active.set(0)\n"),
        ),
    ),
    Caught("flush_at_end", "munmap", STALE, ((FLUSH, ""), (DOWN, FLUSH + DOWN))),
    # the order in a drop-in: read the fault, test, translate
    Caught(
        "test_removed",
        "munmap",
        STALE,
        ((ACTIVE + VTOP + DROP, (VTOP + DROP).replace("            ", "        ")),),
    ),
    Caught("fault_read_after_test", "munmap", STALE, ((READ + ACTIVE, f"{ACTIVE}    {READ}"),)),
    Caught("fault_read_after_lookup", "munmap", STALE, ((READ, ""), (DROP, f"    {READ}{DROP}"))),
    Caught(
        "translated_before_test",
        "munmap",
        STALE,
        ((READ + ACTIVE + VTOP, f"        frame = self.vtop(page, write)\n{READ}{ACTIVE}"),),
    ),
    Caught(
        "hardware_does_not_notice",
        "munmap",
        STALE,
        ((DROP, "            self.tlb.insert(page, frame, write)\n"),),
    ),
    # the rest
    Caught("put_removed", "munmap", "quiescent", ((PUT, ""),)),
    Caught("wake_up_removed", "munmap", "no_deadlock", ((WAKE, ""),)),
    Caught("wake_up_before_count_down", "munmap", "no_deadlock", ((DOWN + WAKE, WAKE + DOWN),)),
    Caught(
        "sleeps_without_testing_again",
        "munmap",
        "no_deadlock",
        ((WAIT, WAIT.split("        while")[0] + "        self.ms_wait_queue.sleep(since)\n"),),
    ),
    Caught(
        "prepared_after_test",
        "munmap",
        "no_deadlock",
        (
            (
                WAIT,
                "        while self.ms_range_active.read() != 0:\n"
                "            since = self.ms_wait_queue.prepare()\n"
                "            self.ms_wait_queue.sleep(since)\n",
            ),
        ),
    ),
    Caught("context_stays_loaded", "munmap/unregister", STALE, ((UNLOAD, ""),)),
    Caught(
        "always_writable",
        "mprotect",
        "no_write_after_protect",
        ((DROP, DROP.replace("frame, write", "frame, True")),),
    ),
    Caught(
        "written_through_a_read_lookup",
        "cow",
        "no_write_after_protect",
        (("return None if write else self.mm.pte[page]", "return self.mm.pte[page]"),),
    ),
)

SURVIVORS = (
    Survivor(
        "waits_for_nothing",
        "munmap",
        "the GRU faults again until no section is open; waiting saves the work",
        ((WAIT, ""),),
    ),
    Survivor(
        "no_atomic_pte_lookup",
        "munmap",
        "get_user_pages finds the same frame; the walk without locks saves a reference",
        ((("        frame = self.atomic_pte_lookup(page, write)\n"), "        frame = None\n"),),
    ),
)

GRU = Mutants(Gru, CAUGHT, SURVIVORS)
