"""A1: a subscriber was unlinked before it was told to release, and missed what came in between."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.protocols import RepairedTakeAllLocksNotifiers, TakeAllLocksNotifiers

__all__ = ["BUG", "SCENARIOS"]


class Guest(Subscriber):
    """A virtual machine whose process exits."""


_LINUX_3_5 = Scenario(
    "linux_3_5", ("exit", "punch_hole"), pages=1, frames=2, protocol=TakeAllLocksNotifiers
)
SCENARIOS = [
    _LINUX_3_5,
    replace(_LINUX_3_5, name="linux_3_6", protocol=RepairedTakeAllLocksNotifiers),
]

BUG = Bug(
    id="A1",
    title="unlinked before release",
    versions="2.6.27 to 3.5",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "exit takes a subscriber off the list and is about to call its release. Reclaim or a "
        "truncation by another process clears an entry of the same address space: the list is "
        "empty, nobody is told, and the frame is freed. The guest, whose sptes release would "
        "drop, writes to it."
    ),
    fix="Call release while the subscriber is on the list, then unlink it, then wait for readers.",
    commits=(
        Commit(
            "3ad3d901bbcf",
            Seen.MAIL,
            "mm: mmu_notifier: fix freed page still mapped in secondary MMU",
        ),
    ),
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
