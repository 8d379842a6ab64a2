"""E4: KVM took a reference to a page that has none, gave it back, and so freed it."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import atomic, choose, thread
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class MapsAnything(Kvm):
    """`pfnmap` is what a vendor's driver maps by VM_PFNMAP: its memory, without references."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.pfnmap: Frame = mm.frames[-1]
        self.pfnmap.owner = Owner.OTHER  # and refcount 0: the tail of a larger allocation
        self.counted: Frame = mm.frames[0]  # a page of the process's that is mapped

    @thread
    def fault_on_io_memory(self) -> None:
        """`hva_to_pfn_remapped` and `kvm_release_pfn_clean`."""
        frame = choose((self.pfnmap, self.counted))  # follow_pfn
        if self.try_get_pfn(frame):
            with self.mmu_lock:
                pass  # the spte is installed; it holds no reference
            with atomic():  # put_page
                frame.refcount -= 1
                if frame.refcount == 0:
                    frame.owner = Owner.FREE

    @thread
    def vendor_driver(self) -> None:
        """Uses its memory."""
        assert self.pfnmap.owner is Owner.OTHER, "the memory of another driver was freed"

    def try_get_pfn(self, frame: Frame) -> bool:
        """`kvm_get_pfn`."""
        frame.refcount += 1
        return True


class RefusesUncounted(MapsAnything):
    """As repaired."""

    def try_get_pfn(self, frame: Frame) -> bool:
        """`kvm_try_get_pfn`: `get_page_unless_zero`."""
        with atomic():
            if frame.refcount == 0:
                return False
            frame.refcount += 1
            return True


SCENARIOS = [Scenario("io_memory", devices=0, pages=1, frames=2)]

BUG = Bug(
    id="E4",
    title="a page without references is put and freed",
    versions="until 2021",
    kind=Kind.SC,
    property="assertion",
    what=(
        "Memory that a driver maps by VM_IO or VM_PFNMAP may be pages whose reference count is 0. "
        "KVM's fault finds the frame by follow_pfn, takes a reference, 0 to 1, and gives it back, "
        "1 to 0: that frees the page, which the driver still owns."
    ),
    fix="Take a reference only where there is one already (get_page_unless_zero).",
    commits=(Commit("f8be156be163", Seen.MAIL),),
    cve="CVE-2021-22543",
    buggy=Case(MapsAnything, SCENARIOS[0]),
    fixed=Case(RefusesUncounted, SCENARIOS[0]),
)
