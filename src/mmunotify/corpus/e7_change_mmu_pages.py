"""E7: an ioctl zapped shadow pages without mmu_lock, on which the notifier's walk relies."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.pinning import PinningKvm
from mmunotify.lang import thread

__all__ = ["BUG", "SCENARIOS"]


class ZapsUnlocked(PinningKvm):
    """Both rely on mmu_lock: the notifier, and the ioctl that makes room."""

    @thread
    def set_nr_mmu_pages(self) -> None:
        """The ioctl KVM_SET_NR_MMU_PAGES."""
        self.change_mmu_pages()

    def change_mmu_pages(self) -> None:
        """`kvm_mmu_change_mmu_pages`: zap what is too much."""
        for page in self.mm.pages:
            self.rmap_remove(page)


class ZapsLocked(ZapsUnlocked):
    """As repaired."""

    def change_mmu_pages(self) -> None:
        """The same under mmu_lock."""
        with self.mmu_lock:
            super().change_mmu_pages()


SCENARIOS = [Scenario("set_nr_mmu_pages", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="E7",
    title="change_mmu_pages without mmu_lock",
    versions="until May 2009",
    kind=Kind.SC,
    property="quiescent",
    what=(
        "KVM_SET_NR_MMU_PAGES zaps shadow pages without mmu_lock. A range_start that walks the "
        "same rmap under mmu_lock finds the same spte; both drop it, and the reference that it "
        "held is given back twice."
    ),
    fix="Take mmu_lock in the ioctl.",
    commits=(Commit("7c8a83b75a38", Seen.HISTORY), Commit("b43b1901ad28", Seen.HISTORY)),
    note=(
        "b43b1901ad28 is the same omission where a slot is deleted. What the race does to the "
        "reference is an inference from the code of 2.6.30, where sptes hold one."
    ),
    buggy=Case(ZapsUnlocked, SCENARIOS[0]),
    fixed=Case(ZapsLocked, SCENARIOS[0]),
)
