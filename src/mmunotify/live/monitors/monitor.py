"""`Monitor`: the small interface of everything that tells what happens to memory.

Invariant: `guarantees` is data and names every operation of `live.operations`; what a monitor does
not mention it does not report. A guarantee holds whoever in `reach` does the operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mmunotify import _monitor
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Agent

__all__ = ["Monitor"]


class Monitor(Protocol):
    """Something that reports operations on this process's memory to a native space."""

    name: str
    guarantees: Mapping[str, Guarantee]
    reach: frozenset[Agent]

    def start(self, space: _monitor.Space) -> None:
        """Begin to report to `space`; raise `DiagnosticError` E401 where the machine refuses."""

    def watch(self, extent: Extent) -> None:
        """Report what happens to whole pages; raise `DiagnosticError` E412 if that cannot be."""

    def unwatch(self, extent: Extent) -> None:
        """Report that no more."""

    def stop(self) -> None:
        """Let go of everything; whoever is blocked goes on."""
