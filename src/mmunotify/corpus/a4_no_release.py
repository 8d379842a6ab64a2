"""A4: KVM had no release method, and kept references to pages of an address space that was gone."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.pinning import PinningKvm
from mmunotify.lang import thread, wait_until
from mmunotify.primary.exit import Exit
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class KeepsReferences(PinningKvm):
    """A guest in huge pages: `inode` is that of hugetlbfs, which their destructor uses."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.inode = True
        self.exited = False

    @thread
    def destroy_vm(self) -> None:
        """The last file of the virtual machine is closed: `kvm_destroy_vm`."""
        wait_until(lambda: self.exited)
        for page in self.mm.pages:
            if self.spte[page] is not None:
                assert self.inode, "free_huge_page uses an inode that was freed"
            self.rmap_remove(page)


class Releases(KeepsReferences):
    """As repaired."""

    def release(self) -> None:
        """`kvm_mmu_notifier_release`: `kvm_arch_flush_shadow`."""
        with self.mmu_lock:
            for page in self.mm.pages:
                self.rmap_remove(page)


class ExitHugetlb(Exit):
    """exit_mmap unmaps the huge pages, and the file goes with its last mapping."""

    name = "exit_hugetlb"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, KeepsReferences)
        self.kvm = driver

    def run(self) -> None:
        """Tear the address space down, then the file, then the task's open files."""
        super().run()
        self.kvm.inode = False
        self.kvm.exited = True


SCENARIOS = [Scenario("destroy_vm", (ExitHugetlb,), pages=1, frames=2)]

BUG = Bug(
    id="A4",
    title="KVM without a release method",
    versions="2.6.27 and 2.6.28",
    kind=Kind.SC,
    property="assertion",
    what=(
        "exit_mmap calls release, for which KVM has no method, and unmaps the huge pages. Nobody "
        "is told of that any more: the sptes keep their references, and the inode of hugetlbfs is "
        "freed. When the virtual machine is closed the references are dropped, and the destructor "
        "of the huge page uses the inode."
    ),
    fix="Drop every spte in release.",
    commits=(Commit("85db06e51442", Seen.HISTORY, "KVM: mmu_notifiers release method"),),
    note="Since 2.6.32 sptes hold no references: the same omission would leave freed pages mapped.",
    buggy=Case(KeepsReferences, SCENARIOS[0]),
    fixed=Case(Releases, SCENARIOS[0]),
)
