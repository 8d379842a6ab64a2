"""Five ways to hold off faults, and where they differ."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, verdict, verdict_of

from mmunotify.check.job import Job
from mmunotify.check.options import Options
from mmunotify.check.scenario import Membership, Scenario
from mmunotify.check.subject import subject_of
from mmunotify.drivers.hold_off import (
    CounterSequence,
    EverBegun,
    HeldRecursiveRwSem,
    HeldRwSem,
    HeldSeqCount,
    HeldSeqLock,
)
from mmunotify.lang import Driver, Event, PageRange
from mmunotify.primary import Operation


class Nested(Operation):
    """A section inside another one, as where a huge page is split on the way (`zap_pmd_range`)."""

    name = "nested"
    function = "zap_pmd_range"

    def run(self) -> None:
        """Begin, begin again, end, end."""
        page = self.pick()
        outer, inner = PageRange(page), PageRange(page, event=Event.CLEAR)
        with self.mm.mmap_lock.write:
            self.mm.notifiers.invalidate_range_start(outer)
            self.mm.notifiers.invalidate_range_start(inner)
            self.mm.notifiers.invalidate_range_end(inner)
            self.mm.notifiers.invalidate_range_end(outer)


def nested(driver: type[Driver]) -> str:
    """Return what a section inside another one violates."""
    return verdict_of(Scenario("nested", (Nested,), pages=1, frames=2).build(driver))


def test_a_seqlock_cannot_be_held_while_anybody_sleeps() -> None:
    assert verdict(HeldSeqLock, "munmap").startswith("context")


def test_a_sequence_has_one_writer() -> None:
    assert verdict(HeldSeqCount, "munmap") == HOLDS
    assert verdict(HeldSeqCount, "munmap+punch_hole") == "no_deadlock: two writers at once"


@pytest.mark.parametrize("driver", [HeldRwSem, HeldRecursiveRwSem])
def test_an_rwsem_holds_off_faults(driver: type[Driver]) -> None:
    assert verdict(driver, "munmap+punch_hole") == HOLDS
    assert verdict(driver, "oom_reaper").startswith("context")
    assert verdict(driver, "munmap/unregister").startswith("quiescent")


def test_only_a_recursive_rwsem_lets_sections_nest() -> None:
    """A fault that waits to write keeps the inner section out, and waits for the outer one."""
    assert nested(HeldRwSem).startswith("no_deadlock")
    assert nested(HeldRecursiveRwSem) == HOLDS
    assert nested(CounterSequence) == HOLDS


@pytest.mark.parametrize("name", ["munmap/register", "munmap/unregister", "oom_reaper"])
def test_counter_and_sequence_need_no_lock_from_start_to_end(name: str) -> None:
    assert verdict(CounterSequence, name) == HOLDS


def stray_ends(driver: type[Driver]) -> str:
    """Return what becomes of safety where a driver may be registered in the middle of a section."""
    late = Scenario(
        "late",
        ("munmap", "punch_hole"),
        pages=1,
        frames=2,
        membership=Membership(registers=True),
        protocol="v10_rereading",
    )
    job = Job(subject_of(driver), late, Options(properties=("no_stale_translation",)))
    return job.answer().entry.property


def test_a_counter_becomes_negative_and_a_flag_hides_it() -> None:
    """Claim 14: "ever begun" keeps the counter from 0, and lets faults into an open section."""
    assert stray_ends(CounterSequence) == "bounds"
    assert stray_ends(EverBegun) == "no_stale_translation"


def test_the_flag_is_not_needed_where_registration_excludes_sections() -> None:
    assert verdict(EverBegun, "munmap/register") == HOLDS
