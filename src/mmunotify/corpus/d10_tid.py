"""D10: hfi1 pinned its pages first and subscribed to their range afterwards."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import (
    EFAULT,
    ENOMEM,
    Driver,
    MmuIntervalNotifier,
    PageRange,
    SpinLock,
    Table,
    mmu_interval_notifier_insert,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
    thread,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class SubscribesLate(Driver):
    """Expected receives: `spte` are the TIDs that the hardware knows; their pages are pinned."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self, by_hand=True)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """`tid_rb_invalidate`: free the TID at once."""
        with self.lock:
            mmu_interval_set_seq(sub, cur_seq)
            for page in rng:
                frame = self.spte[page]
                if frame is not None:
                    self.spte[page] = None
                    self.tlb.flush()
                    frame.put()
        return True

    @thread
    def exp_rcv_setup(self) -> None:
        """`hfi1_user_exp_rcv_setup`."""
        try:
            self.set_up(0)
        except (EFAULT, ENOMEM):
            pass

    def set_up(self, page: int) -> None:
        """Pin, then subscribe and program."""
        frame = self.mm.get_user_page(page, True)
        mmu_interval_notifier_insert(self.notifier)
        with self.lock:
            self.spte[page] = frame


class Covered(SubscribesLate):
    """As repaired."""

    def set_up(self, page: int) -> None:
        """Subscribe, pin, and fail if a section came in between."""
        mmu_interval_notifier_insert(self.notifier)
        seq = mmu_interval_read_begin(self.notifier)
        frame = self.mm.get_user_page(page, True)
        with self.lock:
            if not mmu_interval_read_retry(self.notifier, seq):
                self.spte[page] = frame
                return
        frame.put()


SCENARIOS = [Scenario("exp_rcv_setup", ("punch_hole", "cpu_write"), pages=1, frames=2)]

BUG = Bug(
    id="D10",
    title="pinned before it is subscribed",
    versions="until 2023",
    kind=Kind.SC,
    property="no_stale_bytes",
    what=(
        "The driver pins pages. A section over them begins and ends, which nobody tells it, since "
        "its notifier is not inserted yet. It inserts the notifier and programs the hardware with "
        "pages that are the process's no more: what is received is lost."
    ),
    fix="Have a notifier over the whole range during the set-up, and fail if it was hit.",
    commits=(Commit("b3deec25847b", Seen.MAIL), Commit("1c7edde1b572", Seen.MAIL)),
    buggy=Case(SubscribesLate, SCENARIOS[0]),
    fixed=Case(Covered, SCENARIOS[0]),
)
