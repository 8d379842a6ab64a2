"""Notifier protocols: how the primary MMU tells its subscribers, from 2008 to today."""

from mmunotify.lang.driver import Driver
from mmunotify.protocols.emm import EmmNotifiers, SummingEmmNotifiers
from mmunotify.protocols.interval import IntervalNotifiers, UnwoundIntervalNotifiers
from mmunotify.protocols.interval_tree import IntervalTree
from mmunotify.protocols.rcu_seqlock import RcuSeqlockNotifiers
from mmunotify.protocols.single_threaded import SingleThreadedNotifiers
from mmunotify.protocols.srcu import SrcuNotifiers
from mmunotify.protocols.srcu_eras import (
    Srcu37Notifiers,
    Srcu39Notifiers,
    Srcu310Notifiers,
    Srcu419Notifiers,
)
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.subscriptions import Subscriptions
from mmunotify.protocols.take_all_locks import (
    RepairedTakeAllLocksNotifiers,
    TakeAllLocksNotifiers,
)
from mmunotify.protocols.v9 import V9Notifiers
from mmunotify.protocols.v10 import RereadingV10Notifiers, V10Notifiers

__all__ = [
    "PROTOCOLS",
    "EmmNotifiers",
    "IntervalNotifiers",
    "IntervalTree",
    "RcuSeqlockNotifiers",
    "RepairedTakeAllLocksNotifiers",
    "RereadingV10Notifiers",
    "SingleThreadedNotifiers",
    "Srcu37Notifiers",
    "Srcu39Notifiers",
    "Srcu310Notifiers",
    "Srcu419Notifiers",
    "SrcuNotifiers",
    "Subscription",
    "Subscriptions",
    "SummingEmmNotifiers",
    "TakeAllLocksNotifiers",
    "UnwoundIntervalNotifiers",
    "V9Notifiers",
    "V10Notifiers",
    "default_protocol",
]

PROTOCOLS: dict[str, type[Subscriptions]] = {
    "srcu": SrcuNotifiers,
    "interval": IntervalNotifiers,
    "interval_unwound": UnwoundIntervalNotifiers,
    "srcu_4_19": Srcu419Notifiers,
    "srcu_3_10": Srcu310Notifiers,
    "srcu_3_9": Srcu39Notifiers,
    "srcu_3_7": Srcu37Notifiers,
    "take_all_locks_repaired": RepairedTakeAllLocksNotifiers,
    "take_all_locks": TakeAllLocksNotifiers,
    "single_threaded": SingleThreadedNotifiers,
    "v10_rereading": RereadingV10Notifiers,
    "v10": V10Notifiers,
    "emm_summing": SummingEmmNotifiers,
    "emm": EmmNotifiers,
    "rcu_seqlock": RcuSeqlockNotifiers,
    "v9": V9Notifiers,
}
"""All protocols by name, from today's back to the first; add your own.

Where none is asked for, the first that can serve the drivers is used.
"""


def default_protocol(*drivers: type[Driver]) -> str:
    """Return the name of the first protocol that calls every hook the drivers cannot do without."""
    able = (n for n, p in PROTOCOLS.items() if not any(p.misses(d) for d in drivers))
    return next(able, next(iter(PROTOCOLS)))
