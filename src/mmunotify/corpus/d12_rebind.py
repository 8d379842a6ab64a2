"""D12: xe took -EFAULT of a user pointer for benign, and bound it without pages."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import EFAULT, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class BindsAnyway(Subscriber):
    """One user pointer, which was invalidated and is to be bound again."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.on_rebind_list = True
        self.pinned: Frame | None = None

    @thread
    def rebind_work(self) -> None:
        """`preempt_rebind_work_func`."""
        try:
            self.pinned = self.mm.get_user_page(0, False)
        except EFAULT:
            self.repin_failed()
        if self.on_rebind_list:
            self.bind()
        if self.pinned is not None:
            self.pinned.put()

    def repin_failed(self) -> None:
        """`xe_vm_userptr_pin`: the process has unmapped it, and may not use it any more."""

    def bind(self) -> None:
        """`xe_vm_rebind`."""
        assert self.pinned is not None, "a user pointer is bound without pages"


class TakesItOff(BindsAnyway):
    """As repaired."""

    def repin_failed(self) -> None:
        """The same, and off the list."""
        self.on_rebind_list = False


SCENARIOS = [Scenario("rebind", ("munmap",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="D12",
    title="EFAULT is taken for benign",
    versions="until 2025",
    kind=Kind.SC,
    property="assertion",
    what=(
        "A user pointer is on the list of what must be bound again. The process unmaps it, so "
        "pinning its pages fails with -EFAULT, which is no error. But it stays on the list, and "
        "is bound, without any pages."
    ),
    fix="Take it off the list where pinning fails.",
    commits=(Commit("a9f4fa3a7efa", Seen.CVE),),
    cve="CVE-2025-21880",
    buggy=Case(BindsAnyway, SCENARIOS[0]),
    fixed=Case(TakesItOff, SCENARIOS[0]),
)
