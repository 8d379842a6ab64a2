"""The interval notifier: a driver with a range of its own, and that each part of it is needed."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, scenario, verdict_of
from tests.protocols.under import EVENTS, First, Refuses, reaped, told, under, under_two

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.check.subject import subject_of
from mmunotify.drivers.kvm import Kvm
from mmunotify.errors import DiagnosticError
from mmunotify.lang import (
    EAGAIN,
    Driver,
    Event,
    MmuIntervalNotifier,
    Mutex,
    PageRange,
    SpinLock,
    Table,
    mmu_interval_notifier_insert,
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
    thread,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.protocols import IntervalNotifiers


class Ranged(Driver):
    """In the manner of RDMA ODP: one mutex, one range."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        if not rng.blockable:
            return False
        with self.lock:
            self.zap(sub, rng, cur_seq)
        return True

    def zap(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> None:
        mmu_interval_set_seq(sub, cur_seq)
        self.drop(rng)

    def drop(self, rng: PageRange) -> None:
        for page in rng:
            self.spte[page] = None
        self.tlb.flush_range(rng)

    def unregister(self) -> None:
        with self.lock:
            self.drop(PageRange(0, len(self.mm.pages)))
        super().unregister()

    def fault(self, page: int, write: bool) -> None:
        done = False
        while not done:
            seq = self.begin()
            with self.mm.mmap_lock.read:
                frame = self.mm.hmm_range_fault(page, write)
            with self.lock:
                if not mmu_interval_read_retry(self.notifier, seq):
                    self.spte[page] = frame
                    done = True

    def begin(self) -> int:
        return mmu_interval_read_begin(self.notifier)


class Telling(Ranged):
    """Writes down what it is told."""

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        EVENTS.append(f"invalidate {rng.event.value}")
        return super().invalidate(sub, rng, cur_seq)


class Willing(Ranged):
    """Drops under a spinlock, so it need not refuse."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()  # type: ignore[assignment]

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        with self.lock:
            self.zap(sub, rng, cur_seq)
        return True


class Twice(Ranged):
    """A range a page."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.interval_notifiers = ()
        self.notifiers = tuple(MmuIntervalNotifier(self, page, 1) for page in mm.pages)

    def fault(self, page: int, write: bool) -> None:
        for sub in self.notifiers:
            if sub.intersects(PageRange(page)):
                self.fault_in(sub, page, write)

    def fault_in(self, sub: MmuIntervalNotifier, page: int, write: bool) -> None:
        seq = mmu_interval_read_begin(sub)
        with self.mm.mmap_lock.read:
            frame = self.mm.hmm_range_fault(page, write)
        with self.lock:
            if not mmu_interval_read_retry(sub, seq):
                self.spte[page] = frame


class Transient(Driver):
    """In the manner of nouveau: the list for dropping, an interval notifier while it faults."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = Mutex()
        self.fault_lock = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self, by_hand=True)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        if not rng.blockable:
            return False
        with self.lock:
            mmu_interval_set_seq(sub, cur_seq)
        return True

    def invalidate_range_start(self, rng: PageRange) -> None:
        if not rng.blockable:
            raise EAGAIN
        with self.lock:
            for page in rng:
                self.spte[page] = None
            self.tlb.flush_range(rng)

    def release(self) -> None:
        with self.lock:
            self.spte.fill(None)
            self.tlb.flush()

    def fault(self, page: int, write: bool) -> None:
        with self.fault_lock:
            mmu_interval_notifier_insert(self.notifier)
            try:
                seq = mmu_interval_read_begin(self.notifier)
                with self.mm.mmap_lock.read:
                    frame = self.mm.hmm_range_fault(page, write)
                with self.lock:
                    if not mmu_interval_read_retry(self.notifier, seq):
                        self.spte[page] = frame
            finally:
                mmu_interval_notifier_remove(self.notifier)


# -- what drivers get wrong ---------------------------------------------------------------------


class NeverRetries(Ranged):
    def fault(self, page: int, write: bool) -> None:
        self.begin()
        with self.mm.mmap_lock.read:
            frame = self.mm.hmm_range_fault(page, write)
        with self.lock:
            self.spte[page] = frame


class BeginsLate(Ranged):
    def fault(self, page: int, write: bool) -> None:
        with self.mm.mmap_lock.read:
            frame = self.mm.hmm_range_fault(page, write)
        seq = self.begin()
        with self.lock:
            if not mmu_interval_read_retry(self.notifier, seq):
                self.spte[page] = frame


class NeverSetsSeq(Ranged):
    def zap(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> None:
        self.drop(rng)


class SetsSeqIfMapped(Ranged):
    def zap(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> None:
        if any(self.spte[page] is not None for page in rng):
            mmu_interval_set_seq(sub, cur_seq)
            self.drop(rng)


class IgnoresProtection(Ranged):
    def zap(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> None:
        mmu_interval_set_seq(sub, cur_seq)
        if rng.event is not Event.PROTECTION_VMA:
            self.drop(rng)


class NeverFlushes(Ranged):
    def drop(self, rng: PageRange) -> None:
        for page in rng:
            self.spte[page] = None


class BlocksAlways(Ranged):
    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        with self.lock:
            self.zap(sub, rng, cur_seq)
        return True


class RefusesAlways(Ranged):
    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        return False


class RemovesUnderLock(Ranged):
    def unregister(self) -> None:
        with self.lock:
            self.drop(PageRange(0, len(self.mm.pages)))
            super(Ranged, self).unregister()


class BeginsUnderLock(Ranged):
    def fault(self, page: int, write: bool) -> None:
        with self.lock:
            self.begin()
            with self.mm.mmap_lock.read:
                self.spte[page] = self.mm.hmm_range_fault(page, write)


class ForgetsToDrop(Ranged):
    unregister = Driver.unregister


class RemovesTwice(Ranged):
    def unregister(self) -> None:
        super().unregister()
        mmu_interval_notifier_remove(self.notifier)


MUTANTS: list[tuple[type[Driver], str, str]] = [
    (NeverRetries, "munmap", "no_stale_translation"),
    (BeginsLate, "munmap", "no_stale_translation"),
    (NeverSetsSeq, "punch_hole", "no_stale_translation"),
    (SetsSeqIfMapped, "munmap", "no_stale_translation"),
    (IgnoresProtection, "mprotect", "no_write_after_protect"),
    (NeverFlushes, "munmap", "no_stale_translation"),
    (BlocksAlways, "oom_reaper", "context"),
    (RefusesAlways, "munmap", "context"),
    (RemovesUnderLock, "punch_hole/unregister", "no_deadlock"),
    (BeginsUnderLock, "punch_hole", HOLDS),
    (BeginsUnderLock, "punch_hole+punch_hole", "no_deadlock"),
    (ForgetsToDrop, "munmap/unregister", "no_stale_translation"),
    (RemovesTwice, "munmap/unregister", "paired"),
]


@pytest.mark.parametrize(
    "name",
    [
        "munmap",
        "mprotect",
        "reclaim",
        "oom_reaper",
        "exit",
        "munmap/2 devices",
        "munmap/2 drivers",
        "punch_hole/register",
        "punch_hole/unregister",
        "exit/unregister",
        "madvise_dontneed+punch_hole",
        "punch_hole+exit",
    ],
)
def test_holds(name: str) -> None:
    assert verdict_of(scenario(name, Ranged).build(Ranged)) == HOLDS


@pytest.mark.parametrize("name", ["munmap", "clear_refs", "punch_hole+punch_hole"])
def test_a_range_a_page(name: str) -> None:
    assert verdict_of(scenario(name, Twice).build(Twice)) == HOLDS


@pytest.mark.parametrize("name", ["munmap", "punch_hole+punch_hole", "oom_reaper", "exit"])
def test_inserted_while_it_faults(name: str) -> None:
    found = verdict_of(scenario(name, Transient).build(Transient, {"protocol": "interval_unwound"}))
    assert found == HOLDS


@pytest.mark.parametrize(
    ("mutant", "name", "expected"), MUTANTS, ids=[f"{m.__name__}-{n}" for m, n, _ in MUTANTS]
)
def test_mutants(mutant: type[Driver], name: str, expected: str) -> None:
    found = verdict_of(scenario(name, mutant).build(mutant))
    assert found.split(":")[0] == expected, found


# -- who can be subscribed ----------------------------------------------------------------------


def test_a_list_alone_never_calls_invalidate() -> None:
    with pytest.raises(DiagnosticError) as refused:
        Scenario("munmap", ("munmap",), protocol="srcu").build(Ranged)
    [found] = refused.value.diagnostics
    assert found.code == "E309"
    assert "interval" in found.fix


class Hookless(Driver):
    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self)


class Rangeless(Driver):
    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        return True


@pytest.mark.parametrize("cls", [Hookless, Rangeless])
def test_invalidate_and_notifiers_come_together(cls: type[Driver]) -> None:
    subject_of(cls)
    with pytest.raises(DiagnosticError, match="E310"):
        Scenario("munmap", ("munmap",), protocol="interval").build(cls)


# -- what the protocol promises, and what it breaks ---------------------------------------------


def test_inserted_in_the_middle_of_a_section() -> None:
    """T10: born colliding. The tree is there already, so no lock of the mm excludes the section."""
    assert under_two("interval", "punch_hole", Ranged) == HOLDS


class NotBornColliding(IntervalNotifiers):
    """An insertion that does not look whether a section is open."""

    def register(self, driver: Driver) -> None:
        for sub in driver.interval_notifiers:
            sub.inserted = True


class RemovesAtOnce(IntervalNotifiers):
    """A removal that does not wait for the sections that are open."""

    def unregister(self, driver: Driver) -> None:
        with self.tree.lock:
            for sub in driver.interval_notifiers:
                sub.inserted = False


def test_being_born_colliding_is_needed() -> None:
    found = under_two(NotBornColliding, "punch_hole", Ranged)
    assert found.startswith("no_stale_translation")


def test_whoever_is_removed_waits_for_its_hook() -> None:
    assert under(RemovesAtOnce, "punch_hole/unregister", Ranged).startswith("no_use_after_free")


class Attaches(Ranged):
    """An ioctl inserts the range; whoever calls it may have outlived the address space."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.notifier.by_hand = True

    @thread
    def attach_range(self) -> None:
        mmu_interval_notifier_insert(self.notifier)


class AttachesAsUser(Attaches):
    @thread
    def attach_range(self) -> None:
        if self.mm.mmget_not_zero():
            mmu_interval_notifier_insert(self.notifier)
            self.mm.mmput()


def test_an_insertion_needs_a_user_of_the_mm() -> None:
    made = Scenario("exit", ("exit",), devices=0, pages=1, frames=1)
    assert verdict_of(made.build(Attaches)).startswith("assertion: a subscription to an address")
    assert verdict_of(made.build(AttachesAsUser)) == HOLDS


def test_a_refusal_of_the_list_leaves_the_tree_s_section_open() -> None:
    """T11: the driver with a range waits for ever for a section that nobody will end (B0)."""
    assert reaped("interval", Refuses, Willing).startswith(("no_deadlock", "quiescent"))
    assert reaped("interval_unwound", Refuses, Willing) == HOLDS


def test_a_fault_waits_for_ever_for_a_section_that_was_refused() -> None:
    """The same, seen by the device: it has a page to fault in after the reaper gave up."""

    def stuck(protocol: str) -> str:
        made = Scenario(
            "oom_reaper",
            ("oom_reaper",),
            pages=1,
            frames=2,
            membership=Membership(unregisters=True),
            protocol=protocol,
            beside=(Refuses,),
        )
        return verdict_of(made.build(Willing), {"no_deadlock"})

    assert stuck("interval") == "no_deadlock: nobody can move"
    assert stuck("interval_unwound") == HOLDS


def test_the_tree_unwinds_itself() -> None:
    """Where a range refuses, the section is over for the tree, and the list never hears of it."""
    assert reaped("interval", Ranged, Kvm) == HOLDS
    assert told("interval", "oom_reaper", (First, Ranged)) == []


def test_order() -> None:
    """The tree is told first, when a section begins and at an exit."""
    assert told("interval", "munmap", (First, Telling)) == [
        "invalidate UNMAP",
        "first start",
        "first end",
    ]
    assert told("interval", "exit", (First, Telling)) == [
        "invalidate RELEASE",
        "first release, on the list",
        "invalidate UNMAP",
    ]
