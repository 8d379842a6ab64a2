"""Notifier protocols: how the primary MMU tells its subscribers."""

from mmunotify.lang.driver import Driver
from mmunotify.protocols.interval import IntervalNotifiers, UnwoundIntervalNotifiers
from mmunotify.protocols.interval_tree import IntervalTree
from mmunotify.protocols.srcu import SrcuNotifiers
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.subscriptions import Subscriptions

__all__ = [
    "PROTOCOLS",
    "IntervalNotifiers",
    "IntervalTree",
    "SrcuNotifiers",
    "Subscription",
    "Subscriptions",
    "UnwoundIntervalNotifiers",
    "default_protocol",
]

PROTOCOLS: dict[str, type[Subscriptions]] = {
    "srcu": SrcuNotifiers,
    "interval": IntervalNotifiers,
    "interval_unwound": UnwoundIntervalNotifiers,
}
"""All protocols by name, the one that is used where none is asked for first; add your own."""


def default_protocol(*drivers: type[Driver]) -> str:
    """Return the name of the first protocol that calls every hook the drivers cannot do without."""
    able = (n for n, p in PROTOCOLS.items() if not any(p.misses(d) for d in drivers))
    return next(able, next(iter(PROTOCOLS)))
