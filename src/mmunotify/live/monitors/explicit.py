"""The monitor of operations that go through `AddressSpace`: before and after, and exact.

Invariant: it knows of nothing else; what it guarantees holds for `mm.unmap`, not for `munmap`.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmunotify import _monitor
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Agent

__all__ = ["Explicit"]


class Explicit:
    """Nothing to start and nothing to watch: the operations themselves tell."""

    name = "explicit"
    guarantees: Mapping[str, Guarantee] = {}
    reach = frozenset({Agent.THROUGH})

    def start(self, space: _monitor.Space) -> None:
        """Begin; the space does the work."""

    def watch(self, extent: Extent) -> None:
        """Watch a range; explicit operations tell of any."""

    def unwatch(self, extent: Extent) -> None:
        """Stop watching a range."""

    def stop(self) -> None:
        """End."""
