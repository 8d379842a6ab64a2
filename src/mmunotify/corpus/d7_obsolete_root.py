"""D7: a fault installed its spte in a root that was obsolete by then."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class InstallsAnywhere(Subscriber):
    """`spte` is the root that is valid now; `obsolete_spte` the one that was before."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.obsolete_spte: Table[Frame | None] = Table(mm.pages)
        self.deleted = False

    def fault(self, page: int, write: bool) -> None:
        """`direct_page_fault`: in the root that the virtual CPU has loaded."""
        mine = self.deleted  # which root that is
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.count == 0 and self.seq.read() == seq and not self.is_obsolete(mine):
                if mine == self.deleted:
                    self.spte[page] = frame
                else:
                    self.obsolete_spte[page] = frame
        frame.put()

    def is_obsolete(self, mine: bool) -> bool:
        """Whether the root must not be used any more."""
        return False

    @thread
    def delete_memslot(self) -> None:
        """`kvm_mmu_zap_all_fast`: mark the root obsolete, zap it; virtual CPUs load a new one."""
        with self.lock:
            self.deleted = True
            self.spte.fill(None)
            self.tlb.flush()

    def quiescent(self) -> bool:
        """Tell whether the obsolete root is empty: nobody zaps it any more."""
        return all(self.obsolete_spte[page] is None for page in self.mm.pages)


class RetriesObsolete(InstallsAnywhere):
    """As repaired."""

    def is_obsolete(self, mine: bool) -> bool:
        """`is_page_fault_stale`: `is_obsolete_sp` of the root."""
        return mine != self.deleted


SCENARIOS = [Scenario("delete_memslot", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="D7",
    title="an spte in an obsolete root",
    versions="until 2021",
    kind=Kind.SC,
    property="quiescent",
    what=(
        "A fault looks its frame up. A memslot is deleted: KVM marks the root obsolete and zaps "
        "it. No section came, so the fault finds its sequence unchanged, and installs an spte in "
        "the root that nobody will zap again."
    ),
    fix="Retry the fault if its root is obsolete.",
    commits=(
        Commit(
            "a955cad84cda",
            Seen.MAIL,
            "KVM: x86/mmu: Retry page fault if root is invalidated by memslot update",
        ),
    ),
    buggy=Case(InstallsAnywhere, SCENARIOS[0]),
    fixed=Case(RetriesObsolete, SCENARIOS[0]),
)
