"""B0: where the list refuses a section, the interval tree's half of it is never ended."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.lang import (
    EAGAIN,
    Driver,
    MmuIntervalNotifier,
    PageRange,
    SpinLock,
    Table,
    mmu_interval_notifier_remove,
    mmu_interval_set_seq,
    thread,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.protocols import IntervalNotifiers, UnwoundIntervalNotifiers

__all__ = ["BUG", "SCENARIOS"]


class Interval(Driver):
    """A subscriber to a range, which never has to sleep; its owner is closing it."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """Drop the translations; there are none here."""
        with self.lock:
            mmu_interval_set_seq(sub, cur_seq)
        return True

    @thread
    def close(self) -> None:
        """Unsubscribe, as every driver does before its memory goes."""
        mmu_interval_notifier_remove(self.notifier)


class Refuses(Driver):
    """A subscriber on the list that would have to sleep, as nouveau's, and has no end hook."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`nouveau_svmm_invalidate_range_start`."""
        if not rng.blockable:
            raise EAGAIN


_REAPED = Scenario(
    "as_it_is", ("oom_reaper",), devices=0, protocol=IntervalNotifiers, beside=(Refuses,)
)
SCENARIOS = [_REAPED, replace(_REAPED, name="unwound", protocol=UnwoundIntervalNotifiers)]

BUG = Bug(
    id="B0",
    title="interval pass left open by a failing list",
    versions="5.10 to 7.1",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "The OOM reaper begins a section that may not block. The pass over the interval tree "
        "succeeds: active_invalidate_ranges is 1 and invalidate_seq odd. Then a subscriber on the "
        "list returns -EAGAIN; the list is unwound, the tree is not, and the caller must not end "
        "a section that did not begin. The sequence stays odd for ever: "
        "mmu_interval_notifier_remove and mmu_interval_read_begin wait for a change that never "
        "comes."
    ),
    fix="Where the list refuses, call mn_itree_inv_end before the error is returned.",
    note=(
        "Not known to have been reported; there is no commit. The note "
        "docs/notes/interval-pass-left-open.md says what it needs."
    ),
    buggy=Case(Interval, SCENARIOS[0]),
    fixed=Case(Interval, SCENARIOS[1]),
)
