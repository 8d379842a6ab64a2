"""A3: exit and unregistration both took a subscriber off the list."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.protocols import Srcu37Notifiers, Srcu310Notifiers

__all__ = ["BUG", "SCENARIOS"]


class Leaving(Subscriber):
    """Unregisters while the process exits."""


_LINUX_3_8 = Scenario(
    "linux_3_8",
    ("exit",),
    membership=Membership(unregisters=True),
    pages=1,
    frames=2,
    protocol=Srcu37Notifiers,
)
SCENARIOS = [_LINUX_3_8, replace(_LINUX_3_8, name="linux_3_10", protocol=Srcu310Notifiers)]

BUG = Bug(
    id="A3",
    title="a subscriber is deleted twice",
    versions="3.7 and 3.8",
    kind=Kind.SC,
    property="null_dereference",
    what=(
        "Unregistration finds the subscriber on the list. exit takes it off by "
        "hlist_del_init_rcu, which leaves a NULL pointer behind. Unregistration takes it off by "
        "hlist_del_rcu, and follows the pointer."
    ),
    fix="Both sides delete by hlist_del_init_rcu, which does nothing the second time.",
    commits=(
        Commit(
            "d34883d4e35c",
            Seen.MAIL,
            "mm: mmu_notifier: re-fix freed page still mapped in secondary MMU",
        ),
    ),
    buggy=Case(Leaving, SCENARIOS[0]),
    fixed=Case(Leaving, SCENARIOS[1]),
)
