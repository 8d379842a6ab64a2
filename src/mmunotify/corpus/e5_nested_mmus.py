"""E5: the array of nested MMUs is reallocated under another lock than the notifier walks it."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import Mutex, PageRange, thread
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class Array:
    """An allocation."""

    def __init__(self) -> None:
        self.freed = False


class ReallocatesUnlocked(Kvm):
    """KVM on arm64 with nested virtualization."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.config_lock = Mutex()
        self.small, self.large = Array(), Array()
        self.nested_mmus = self.small

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        """`kvm_unmap_gfn_range`, then `kvm_nested_s2_unmap`; the caller holds mmu_lock."""
        flush = super().unmap_gfn_range(rng)
        mmus = self.nested_mmus
        assert not mmus.freed, "the notifier walks an array that was freed"
        return flush

    @thread
    def vcpu_init_nested(self) -> None:
        """`kvm_vcpu_init_nested`: a virtual CPU more needs a larger array."""
        with self.config_lock:
            self.reallocate()

    def reallocate(self) -> None:
        """`kvrealloc`, which frees the old one."""
        self.nested_mmus = self.large
        self.small.freed = True


class ReallocatesUnderMmuLock(ReallocatesUnlocked):
    """As repaired."""

    def reallocate(self) -> None:
        """Publish the new array under mmu_lock; then nobody is in the old one."""
        with self.mmu_lock:
            self.nested_mmus = self.large
        self.small.freed = True


SCENARIOS = [Scenario("vcpu_init", ("punch_hole",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="E5",
    title="nested MMUs reallocated under the walk",
    versions="until 2026",
    kind=Kind.SC,
    property="assertion",
    what=(
        "range_start walks nested_mmus under mmu_lock. The initialisation of a virtual CPU "
        "reallocates the array under another lock and frees the old one, in which the walk still "
        "is."
    ),
    fix="Exchange the array under mmu_lock.",
    commits=(Commit("70543358fa08", Seen.CVE),),
    cve="CVE-2026-46317",
    note="That the repair takes mmu_lock is an inference; the CVE's text names the two sides.",
    buggy=Case(ReallocatesUnlocked, SCENARIOS[0]),
    fixed=Case(ReallocatesUnderMmuLock, SCENARIOS[0]),
)
