"""F13: a binding of an mm to a device did not keep the mm's memory."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, Refcount, Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class MmStruct:
    """The memory of a `struct mm_struct`, which is freed with the last of `mm_count`."""

    def __init__(self) -> None:
        self.count = Refcount()  # the process's
        self.freed = False

    def mmdrop(self) -> None:
        """`mmdrop`."""
        if self.count.put():
            self.freed = True


class BindsWithoutGrab(Driver):
    """Shared virtual addressing: the binding names the mm."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.mm_struct = MmStruct()

    @thread
    def exit(self) -> None:
        """The process is gone."""
        self.mm_struct.mmdrop()

    @thread
    def unbind(self) -> None:
        """`arm_smmu_mmu_notifier_put`: give the address space identifier back."""
        assert not self.mm_struct.freed, "the mm is used after it was freed"


class BindsWithGrab(BindsWithoutGrab):
    """As repaired."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mm_struct.count.get()  # mmgrab, when it was bound

    @thread
    def unbind(self) -> None:
        """The same, then drop the binding's hold."""
        super().unbind()
        self.mm_struct.mmdrop()


SCENARIOS = [Scenario("unbind", devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F13",
    title="unbinding after the mm is gone",
    versions="until 2022, and until 2026",
    kind=Kind.SC,
    property="assertion",
    what=(
        "A device is bound to an mm without a hold of its memory. The process exits and the mm is "
        "freed; unbinding the device, to give back the address space identifier, uses it."
    ),
    fix="mmgrab for as long as the binding lasts.",
    commits=(Commit("cbd23144f766", Seen.CVE), Commit("a9162439ad79", Seen.CVE)),
    cve="CVE-2022-49426, CVE-2026-45931",
    note="The first is of SMMUv3, the second the same in amdxdna.",
    buggy=Case(BindsWithoutGrab, SCENARIOS[0]),
    fixed=Case(BindsWithGrab, SCENARIOS[0]),
)
