"""`Registration`: a device's translation of some pages, as users of a cache hold it.

Invariant: while anybody holds it the device's key stays good, even if the memory is gone meanwhile;
it then leads to the pages that were there, and is found by no lookup any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmunotify import _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.live import refusals
from mmunotify.live.memory import Extent, Memory, extent_of

if TYPE_CHECKING:
    from mmunotify.live.registration_cache import RegistrationCache

__all__ = ["Registration"]


class Registration(_monitor.Held):
    """What `RegistrationCache.get` returns; everybody who gets the same one holds the same object.

    `key` is what the device gave, `extent` the pages that it stands for. `slot` is the place in the
    cache, or -1 for one that the cache does not keep: it is given back when it is released, once
    for each `get`; `with` does that.
    """

    __slots__ = ("_cache", "extent", "key")

    def __init__(self, cache: RegistrationCache, slot: int, key: Any, extent: Extent) -> None:
        super().__init__(cache.table, slot)
        self._cache = cache
        self.key = key
        self.extent = extent

    def offset(self, memory: Memory) -> int:
        """Where `memory` begins within the registered pages, in bytes."""
        return extent_of(memory).address - self.extent.address

    def valid(self, memory: Memory) -> bool:
        """Tell whether a lookup of `memory` would find this registration now."""
        extent = extent_of(memory)
        return self.slot >= 0 and self._cache.table.valid(self.slot, extent.address, extent.end)

    def _left(self) -> None:
        """The last user of a dead one has left (called by `release`), or one too many."""
        if self.retired:
            raise DiagnosticError(refusals.released_twice())
        self._cache.retire(self)
