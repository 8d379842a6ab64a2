"""Notifier protocols: how the primary MMU tells its subscribers."""

from mmunotify.protocols.notifiers import Notifiers
from mmunotify.protocols.srcu import SrcuNotifiers
from mmunotify.protocols.subscription import Subscription

__all__ = ["PROTOCOLS", "Notifiers", "SrcuNotifiers", "Subscription"]

PROTOCOLS: dict[str, type[Notifiers]] = {"srcu": SrcuNotifiers}
"""All protocols by name; add your own."""
