"""B1: a section that one subscriber refused was never ended for those that had begun it."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import EAGAIN, Driver, PageRange, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.protocols import Srcu419Notifiers, SrcuNotifiers

__all__ = ["BUG", "SCENARIOS"]


class Counting(Subscriber):
    """Counts sections, and admits no fault while one is open."""


class Refuses(Driver):
    """Would have to sleep, and has no end hook."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Return -EAGAIN if it may not block."""
        if not rng.blockable:
            raise EAGAIN


_LINUX_4_19 = Scenario(
    "linux_4_19",
    ("oom_reaper",),
    devices=0,
    pages=1,
    frames=2,
    protocol=Srcu419Notifiers,
    beside=(Refuses,),
)
SCENARIOS = [_LINUX_4_19, replace(_LINUX_4_19, name="linux_5_12", protocol=SrcuNotifiers)]

BUG = Bug(
    id="B1",
    title="no end after a refused section",
    versions="4.19 to 5.11",
    kind=Kind.LIVENESS,
    property="quiescent",
    what=(
        "The OOM reaper begins a section that may not block. The first subscriber counts it; the "
        "second returns -EAGAIN. The reaper skips the page and does not end the section, since it "
        "did not begin. The first subscriber's count stays 1, and its faults wait for ever."
    ),
    fix=(
        "Where one refuses, call the end of all that have one; a subscriber that can refuse must "
        "not have an end."
    ),
    commits=(
        Commit(
            "c2655835fd8c",
            Seen.MAIL,
            "mm/mmu_notifiers: ensure range_end() is paired with range_start()",
        ),
    ),
    note=(
        "93065ac753e4 brought non-blockable sections. The commit calls it benign: no two drivers "
        "of the tree that would meet were ever on one mm."
    ),
    buggy=Case(Counting, SCENARIOS[0]),
    fixed=Case(Counting, SCENARIOS[1]),
)
