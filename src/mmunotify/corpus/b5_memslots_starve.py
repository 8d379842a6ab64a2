"""B5: whoever changes a memslot waits until no section is open, and there may always be one."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Obligation, PageRange, thread, wait_until
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class WaitsForNone(Subscriber):
    """KVM: memslots must not change between a start and its end."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.update = Obligation("memslot update")
        self.waiting = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`."""
        self.let_pass()
        super().invalidate_range_start(rng)

    def let_pass(self) -> None:
        """Whom a new section waits for."""

    @thread
    def set_memory_region(self) -> None:
        """`kvm_swap_active_memslots`."""
        with self.update:
            self.waiting = True
            wait_until(lambda: self.count == 0)
            self.waiting = False


class QueuesSections(WaitsForNone):
    """What would be fair."""

    def let_pass(self) -> None:
        """A section that comes later waits until the slots are changed."""
        wait_until(lambda: not self.waiting)


SCENARIOS = [
    Scenario(
        "endless",
        ("madvise_dontneed", "punch_hole"),
        devices=0,
        pages=1,
        frames=2,
        endless=True,
    )
]

BUG = Bug(
    id="B5",
    title="memslot updates starve",
    versions="every one",
    kind=Kind.LIVENESS,
    property="progress",
    what=(
        "Changing a memslot waits until no section is open. Two threads keep sections open, each "
        "beginning one before the other's ends. Nobody holds new sections back, so the count "
        "never comes to 0 where the waiter looks."
    ),
    fix="Let sections that begin later wait for the update.",
    note=(
        "Reported by syzbot as a hung task (November 2025). Linux has no repair; that of the "
        "model makes a section wait, as a fair rwsem would, which is wrong where sections nest."
    ),
    buggy=Case(WaitsForNone, SCENARIOS[0]),
    fixed=Case(QueuesSections, SCENARIOS[0]),
)
