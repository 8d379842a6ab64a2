"""Notifier protocols: how the primary MMU tells its subscribers."""

from mmunotify.protocols.srcu import SrcuNotifiers
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.subscriptions import Subscriptions

__all__ = ["PROTOCOLS", "SrcuNotifiers", "Subscription", "Subscriptions"]

PROTOCOLS: dict[str, type[Subscriptions]] = {"srcu": SrcuNotifiers}
"""All protocols by name; add your own."""
