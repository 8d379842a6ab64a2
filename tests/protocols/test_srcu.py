"""Today's protocol: what it guarantees, and that each part of it is needed."""

from __future__ import annotations

import pytest
from tests.check.verdicts import verdict_of
from tests.protocols.under import EVENTS, HOLDS, First, Refuses, Second, reaped, told, under

from mmunotify.check.scenario import Scenario
from mmunotify.drivers.kvm import Kvm
from mmunotify.errors import DiagnosticError
from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.intrinsics import might_sleep
from mmunotify.lang.page_range import PageRange
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.protocols import SrcuNotifiers


class RegistersAnyTime(SrcuNotifiers):
    """No mm_take_all_locks: registration may fall into a section."""

    def register(self, driver: Driver) -> None:
        subscription = self.by_driver[driver]
        with self.lock:
            subscription.hashed = True


class RegistersUnderMmapLock(SrcuNotifiers):
    """The mmap lock alone: foreign sections run without it."""

    def register(self, driver: Driver) -> None:
        subscription = self.by_driver[driver]
        with self.mm.mmap_lock.write:
            subscription.hashed = True


class NeverWaits(SrcuNotifiers):
    """Whoever leaves does not wait for the walks that may have found it."""

    def synchronize(self) -> None:
        pass


class Walks(Driver):
    """Its hardware walks the CPU's page table, so it is told where the CPUs flush their TLBs."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.attached = True
        self.writable = mm.pte_write
        self.accessed = mm.pte_young

    def walk(self, page: int) -> Frame | None:
        return self.mm.pte[page] if self.attached else None

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        EVENTS.append("flush")
        self.tlb.flush_range(rng)

    def release(self) -> None:
        self.attached = False
        self.tlb.flush()

    def fault(self, page: int, write: bool) -> None:
        self.mm.get_user_page(page, write).put()


class Silent(Walks):
    """The same for a search, in which nobody can write down anything."""

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        self.tlb.flush_range(rng)


class Unheard(SrcuNotifiers):
    """The CPUs' flushes are nobody's business."""

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        pass


class RefusesWithEnd(Refuses):
    def invalidate_range_end(self, rng: PageRange) -> None:
        pass


class SleepsInEnd(Driver):
    def invalidate_range_end(self, rng: PageRange) -> None:
        might_sleep()


class RefusesAlways(Driver):
    def invalidate_range_start(self, rng: PageRange) -> None:
        raise EAGAIN


def test_order() -> None:
    assert told("srcu", "munmap") == ["first start", "second start", "first end", "second end"]
    assert told("srcu", "reclaim")[:2] == ["first young?", "second young?"]
    assert told("srcu", "exit") == ["first release, on the list", "second release, on the list"]
    assert told("srcu", "oom_reaper", (First, Refuses, Second)) == [
        "first start",
        "second start",
        "first end",
        "second end",
    ]


@pytest.mark.parametrize("name", ["munmap/register", "punch_hole/register"])
def test_registration_excludes_sections(name: str) -> None:
    assert under(RegistersAnyTime, name).startswith(("paired", "no_stale_translation"))
    assert under("srcu", name) == HOLDS


def test_the_mmap_lock_alone_does_not_exclude_foreign_sections() -> None:
    assert under(RegistersUnderMmapLock, "munmap/register") == HOLDS
    assert under(RegistersUnderMmapLock, "punch_hole/register") != HOLDS


@pytest.mark.parametrize("name", ["punch_hole+exit", "exit/unregister", "reclaim/2 drivers"])
def test_leaving_and_aging(name: str) -> None:
    assert under("srcu", name) == HOLDS


@pytest.mark.parametrize("name", ["munmap/unregister", "exit/unregister"])
def test_whoever_leaves_waits_for_the_hooks_that_run(name: str) -> None:
    assert under(NeverWaits, name).startswith("no_use_after_free")
    assert under("srcu", name) == HOLDS


def test_a_refused_section_is_unwound() -> None:
    assert reaped("srcu", Refuses) == HOLDS


def test_who_can_refuse_has_no_end() -> None:
    assert reaped("srcu", RefusesWithEnd).startswith("paired")


def test_the_end_of_a_section_that_may_not_block_must_not_sleep() -> None:
    assert reaped("srcu", SleepsInEnd).startswith("context")


def test_only_what_may_not_block_is_refused() -> None:
    refused = Scenario(
        "munmap", ("munmap",), pages=1, frames=2, protocol="srcu", beside=(RefusesAlways,)
    )
    assert verdict_of(refused.build(Kvm)).startswith("context")


def test_the_cpus_flush_is_told_with_it() -> None:
    """In the section or after it, as the operation has it; always before the frame goes."""
    assert told("srcu", "migrate", (Walks, First))[:3] == ["first start", "flush", "first end"]
    assert told("srcu", "munmap", (Walks, First)) == ["first start", "first end", "flush"]


@pytest.mark.parametrize("name", ["munmap", "migrate", "cow", "munmap/unregister"])
def test_a_walker_of_the_page_table(name: str) -> None:
    assert under("srcu", name, Silent) == HOLDS
    if name != "cow":
        assert under(Unheard, name, Silent).startswith(("no_stale", "no_write_after"))


@pytest.mark.parametrize("protocol", ["srcu_4_19", "take_all_locks", "emm"])
def test_before_6_6_nobody_is_told_of_a_flush(protocol: str) -> None:
    with pytest.raises(DiagnosticError, match="E309"):
        under(protocol, "munmap", Silent)
