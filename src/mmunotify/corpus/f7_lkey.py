"""F7: a memory key is revoked in hardware while an invalidation still updates its table."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, Mutex, PageRange, Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class RevokesUnlocked(Driver):
    """On-demand paging; `lkey` is what the hardware knows a region by, `private` the region."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.umem_mutex = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.lkey = True
        self.private = True

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`mlx5_ib_invalidate_range`."""
        with self.umem_mutex:
            if self.private:
                for page in rng:
                    self.spte[page] = None
                self.update_xlt()

    def update_xlt(self) -> None:
        """`mlx5r_umr_update_xlt`: post the change of the region's table to the hardware."""
        assert self.lkey, "the table of a revoked key is updated: the queue pair fails"

    @thread
    def dereg_mr(self) -> None:
        """`__mlx5_ib_dereg_mr`."""
        self.lkey = False  # revoke_mr


class RevokesLocked(RevokesUnlocked):
    """As repaired."""

    @thread
    def dereg_mr(self) -> None:
        """Revoke under umem_mutex, and tell the hook that the region is gone."""
        with self.umem_mutex:
            self.lkey = False
            self.private = False


SCENARIOS = [Scenario("dereg_mr", ("madvise_dontneed",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F7",
    title="deregistration against invalidation",
    versions="until 2025",
    kind=Kind.SC,
    property="assertion",
    what=(
        "Deregistration revokes the region's key in the hardware without umem_mutex. An "
        "invalidation, under umem_mutex, updates the translation table of the key that is dead; "
        "the queue pair by which it does goes into the error state."
    ),
    fix="Revoke under umem_mutex and clear umem.private, which the hook looks at.",
    commits=(Commit("abb604a1a9c8", Seen.CVE),),
    cve="CVE-2025-21732",
    buggy=Case(RevokesUnlocked, SCENARIOS[0]),
    fixed=Case(RevokesLocked, SCENARIOS[0]),
)
