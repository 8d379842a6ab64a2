"""A9: unregistering without release does not wait, and hmm freed what a hook still used."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Driver, PageRange, thread
from mmunotify.primary.mm import Mm
from mmunotify.protocols import SrcuNotifiers

__all__ = ["BUG", "SCENARIOS"]


class NoRelease(SrcuNotifiers):
    """The list of Linux 3.17 to 5.2."""

    def unregister_no_release(self, driver: Driver) -> None:
        """`mmu_notifier_unregister_no_release`: unlink, and wait for nobody."""
        with self.lock:
            self.by_driver[driver].hashed = False

    def call_srcu(self) -> None:
        """What a callback of call_srcu waits for."""
        self.srcu.synchronize()


class FreesAtOnce(Subscriber):
    """`struct hmm`, which mirrors the mm for several drivers."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.hmm_freed = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`hmm_invalidate_range_start`."""
        assert not self.hmm_freed, "a hook uses struct hmm after it was freed"
        super().invalidate_range_start(rng)

    @thread
    def hmm_put(self) -> None:
        """The last mirror goes: `hmm_free`."""
        self.release()
        notifiers = self.mm.notifiers
        notifiers.unregister_no_release(self)
        self.free()

    def free(self) -> None:
        """`kfree`."""
        self.hmm_freed = True


class FreesAfterGracePeriod(FreesAtOnce):
    """As repaired."""

    def free(self) -> None:
        """`mmu_notifier_call_srcu`."""
        self.mm.notifiers.call_srcu()
        self.hmm_freed = True


SCENARIOS = [Scenario("hmm_put", ("punch_hole",), 0, pages=1, frames=2, protocol=NoRelease)]

BUG = Bug(
    id="A9",
    title="unregister_no_release is no fence",
    versions="until 5.2",
    kind=Kind.SC,
    property="assertion",
    what=(
        "A hook runs, under SRCU, on struct hmm. Another thread unregisters by "
        "mmu_notifier_unregister_no_release, which unlinks and does not wait, and frees struct "
        "hmm. The hook goes on with it."
    ),
    fix="Free it by call_srcu, after a grace period, and count references.",
    commits=(
        Commit(
            "6d7c3cde93c1",
            Seen.MAIL,
            "mm/hmm: fix use after free with struct hmm in the mmu notifiers",
        ),
    ),
    buggy=Case(FreesAtOnce, SCENARIOS[0]),
    fixed=Case(FreesAfterGracePeriod, SCENARIOS[0]),
)
