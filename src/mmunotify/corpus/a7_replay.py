"""A7: #v10 replayed a walk when somebody registered; a newcomer heard an end without a start."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.protocols import RepairedTakeAllLocksNotifiers, RereadingV10Notifiers

__all__ = ["BUG", "SCENARIOS"]


class Newcomer(Subscriber):
    """Registers while a page of the address space is taken away."""


_REPLAYS = Scenario(
    "replays",
    ("punch_hole",),
    membership=Membership(registers=True),
    pages=1,
    frames=2,
    protocol=RereadingV10Notifiers,
)
SCENARIOS = [
    _REPLAYS,
    replace(_REPLAYS, name="excludes", protocol=RepairedTakeAllLocksNotifiers),
]

BUG = Bug(
    id="A7",
    title="replay after a registration",
    versions="never merged: #v10, 2 April 2008",
    kind=Kind.SC,
    property="paired",
    what=(
        "A section begins; the walk over the list is over. Somebody registers. The section ends, "
        "and the newcomer is told so: an end without a start, which makes its count of sections "
        "wrong for ever. Registration during the walk instead makes the walk begin anew, so that "
        "those who were there hear the start twice and the end once."
    ),
    fix="Exclude registration from sections: take all locks under which one can run.",
    note=(
        "Conceded by the author the next day. As posted the sequence is not even read anew, and "
        "one registration makes the replay endless: that is protocol v10, here it is "
        "v10_rereading."
    ),
    buggy=Case(Newcomer, SCENARIOS[0]),
    fixed=Case(Newcomer, SCENARIOS[1]),
)
