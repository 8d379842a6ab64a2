"""What docs/notes/interval-pass-left-open.md says: who hangs, and what it needs, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.check.verdicts import HOLDS, verdict_of

from mmunotify import (
    EAGAIN,
    Driver,
    MmuIntervalNotifier,
    PageRange,
    SpinLock,
    Table,
    check,
    mmu_interval_notifier_insert,
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
    thread,
    wait_until,
)
from mmunotify.check.scenario import Scenario
from mmunotify.primary import Frame, Mm
from mmunotify.protocols import IntervalNotifiers, UnwoundIntervalNotifiers


class Interval(Driver):
    """Subscribed to all pages; its hook never has to sleep."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = self.subscribe()

    def subscribe(self) -> MmuIntervalNotifier:
        """Build the subscription."""
        return MmuIntervalNotifier(self)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """Drop the translations."""
        with self.lock:
            mmu_interval_set_seq(sub, cur_seq)
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()
        return True

    def fault(self, page: int, write: bool) -> None:
        """Make a translation."""
        seq = mmu_interval_read_begin(self.notifier)
        with self.mm.mmap_lock.read:
            frame = self.mm.hmm_range_fault(page, write)
        with self.lock:
            if not mmu_interval_read_retry(self.notifier, seq):
                self.spte[page] = frame


class Closes(Interval):
    """Is closed meanwhile."""

    @thread
    def close(self) -> None:
        """Unsubscribe."""
        mmu_interval_notifier_remove(self.notifier)


class Opens(Interval):
    """A second subscription is inserted at any time; a fault needs it."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.second = MmuIntervalNotifier(self, by_hand=True)

    @thread
    def open(self) -> None:
        """Subscribe, and fault."""
        mmu_interval_notifier_insert(self.second)
        mmu_interval_read_begin(self.second)


class Elsewhere(Closes):
    """Subscribed to page 1 alone."""

    def subscribe(self) -> MmuIntervalNotifier:
        """Build the subscription."""
        return MmuIntervalNotifier(self, 1, 1)

    @thread
    def close(self) -> None:
        """Unsubscribe once page 1 is invalidated, if it ever is."""
        wait_until(lambda: self.mm.pte[1] is None)
        mmu_interval_notifier_remove(self.notifier)


class RefusesFirst(Interval):
    """Says itself that it would have to sleep."""

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """Refuse what may not block."""
        return rng.blockable and super().invalidate(sub, rng, cur_seq)


class Transient(RefusesFirst):
    """Subscribes for each fault alone, as nouveau does; there may be no subscription at a time."""

    def subscribe(self) -> MmuIntervalNotifier:
        """Build the subscription."""
        return MmuIntervalNotifier(self, by_hand=True)

    @thread
    def two_faults(self) -> None:
        """Subscribe, fault, unsubscribe; twice."""
        for _ in range(2):
            mmu_interval_notifier_insert(self.notifier)
            mmu_interval_read_begin(self.notifier)
            mmu_interval_notifier_remove(self.notifier)


class Listed(Driver):
    """A subscriber on the list."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """There is nothing to drop."""


class Refuses(Listed):
    """One that would have to sleep."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Refuse what may not block."""
        if not rng.blockable:
            raise EAGAIN


def verdict(
    driver: type[Driver],
    *,
    operations: Sequence[str] = ("oom_reaper",),
    beside: tuple[type[Driver], ...] = (Refuses,),
    devices: int = 0,
    repaired: bool = False,
) -> str:
    """Return which property is violated, or that all hold."""
    scenario = Scenario(
        "reaper",
        tuple(operations),
        devices=devices,
        pages=2 if driver is Elsewhere else 1,
        frames=2,
        populated=(0, 1) if driver is Elsewhere else (0,),
        protocol=IntervalNotifiers,
        beside=beside,
    )
    if repaired:
        scenario = replace(scenario, protocol=UnwoundIntervalNotifiers)
    return verdict_of(scenario.build(driver)).split(":")[0]


@pytest.mark.parametrize(("driver", "devices"), [(Interval, 1), (Closes, 0), (Opens, 0)])
def test_who_hangs(driver: type[Driver], devices: int) -> None:
    """A fault, a removal, and the first fault of a new subscription; with the repair nobody."""
    assert verdict(driver, devices=devices) in ("no_deadlock", "quiescent")
    assert verdict(driver, devices=devices, repaired=True) == HOLDS


@pytest.mark.parametrize(("driver", "devices"), [(Interval, 1), (Closes, 0), (Opens, 0)])
def test_they_can_never_move(driver: type[Driver], devices: int) -> None:
    """It is a deadlock, not only a count that is not back."""
    scenario = Scenario(
        "reaper",
        ("oom_reaper",),
        devices=devices,
        pages=1,
        frames=2,
        protocol=IntervalNotifiers,
        beside=(Refuses,),
    )
    result = check(driver, scenario=scenario, properties="no_deadlock")
    assert result.property == "no_deadlock"


def test_an_interval_that_is_not_in_the_range() -> None:
    """It is counted all the same, and the next section of its own range is the last."""
    assert verdict(Elsewhere, operations=("oom_reaper", "munmap")) in ("no_deadlock", "quiescent")


def test_nobody_on_the_list() -> None:
    """The first condition: both kinds of subscribers."""
    assert verdict(Closes, beside=()) == HOLDS


def test_nobody_refuses() -> None:
    """The first condition: somebody on the list who can say -EAGAIN."""
    assert verdict(Closes, beside=(Listed,)) == HOLDS


@pytest.mark.parametrize("operation", ["munmap", "punch_hole", "migrate"])
def test_sections_that_may_block(operation: str) -> None:
    """The second condition: the OOM reaper."""
    assert verdict(Closes, operations=(operation,)) == HOLDS


def test_the_interval_refuses_first() -> None:
    """The third condition: then the tree ends its section itself."""
    assert verdict(RefusesFirst, devices=1) == HOLDS


def test_nobody_is_subscribed_any_more() -> None:
    """It does not help to refuse first if there is no subscription when the section begins.

    That the mm had one is enough: the section is counted, and the next subscription hangs.
    """
    assert verdict(Transient) in ("no_deadlock", "quiescent")
    assert verdict(Transient, repaired=True) == HOLDS
    scenario = Scenario("reaper", ("oom_reaper",), 0, protocol=IntervalNotifiers, beside=(Refuses,))
    result = check(Transient, scenario=scenario, properties="no_deadlock")
    assert result.property == "no_deadlock"
    assert "mmu_interval_read_begin" in result.why
