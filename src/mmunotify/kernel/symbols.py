"""`Symbols`: names for addresses of the running kernel, from /proc/kallsyms.

Invariant: an address without a name is reported as such, never as the nearest other function.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

__all__ = ["Symbols", "kernel_symbols"]


class Symbols:
    """The functions of the kernel and its modules; empty where the kernel hides their addresses."""

    def __init__(self, lines: Iterable[str] | None = None) -> None:
        if lines is None:
            lines = Path("/proc/kallsyms").read_text().splitlines()
        found: list[tuple[int, str]] = []
        for line in lines:
            address, kind, name = line.split(None, 2)
            if kind in "tTwW" and address.strip("0"):
                # A part the compiler split off belongs to the function it was split from.
                found.append((int(address, 16), name.split()[0].split(".")[0]))
        found.sort()
        self._addresses = array("Q", (address for address, _ in found))
        self._names = [name for _, name in found]
        self._known: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def name(self, address: int) -> str:
        """The function that `address` lies in, or "?"."""
        known = self._known.get(address)
        if known is None:
            at = bisect_right(self._addresses, address) - 1
            known = self._names[at] if at >= 0 else "?"
            self._known[address] = known
        return known

    def stack(self, addresses: Iterable[int]) -> tuple[str, ...]:
        """The functions of a call chain, innermost first."""
        return tuple(self.name(address) for address in addresses)


def kernel_symbols() -> Symbols:
    """Return the names as they are now; they are read once for each set of loaded modules."""
    try:
        modules = Path("/proc/modules").read_text()
    except FileNotFoundError:  # a kernel that loads none
        modules = ""
    return _symbols_with(tuple(line.split(None, 1)[0] for line in modules.splitlines()))


@lru_cache(maxsize=1)
def _symbols_with(modules: tuple[str, ...]) -> Symbols:  # noqa: ARG001  names depend on them
    return Symbols()
