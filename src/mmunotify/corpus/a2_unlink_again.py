"""A2: the order of A1 came back as the repair of something else."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.protocols import Srcu39Notifiers, Srcu310Notifiers

__all__ = ["BUG", "SCENARIOS"]


class Guest(Subscriber):
    """A virtual machine whose process exits."""


_LINUX_3_9 = Scenario(
    "linux_3_9", ("exit", "punch_hole"), pages=1, frames=2, protocol=Srcu39Notifiers
)
SCENARIOS = [_LINUX_3_9, replace(_LINUX_3_9, name="linux_3_10", protocol=Srcu310Notifiers)]

BUG = Bug(
    id="A2",
    title="unlinked before release, again",
    versions="3.9",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "release could be called twice, by exit and by unregistration. To have it called once, "
        "whoever finds the subscriber on the list takes it off first and then calls it: with that "
        "an invalidation in between finds nobody, as before 3.6."
    ),
    fix="Let release run twice, which it must stand, and unlink after it.",
    commits=(
        Commit(
            "d34883d4e35c",
            Seen.MAIL,
            "mm: mmu_notifier: re-fix freed page still mapped in secondary MMU",
        ),
    ),
    note="751efd8610d3 brought it in.",
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
