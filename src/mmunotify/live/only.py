"""`Only`: the part of a program's memory that a driver is to be told of.

Invariant: a name is looked up when something happens, since mappings come and go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.kernel.maps import Area
from mmunotify.live.memory import PAGE_SIZE

__all__ = ["ALL", "Only", "parse_only"]

_BOUNDS = re.compile(r"(?:0x)?([0-9a-fA-F]{4,})-(?:0x)?([0-9a-fA-F]{4,})")


@dataclass(frozen=True)
class Only:
    """Addresses `[start, end)`, and mappings by name; nothing of both means all memory."""

    bounds: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether it leaves nothing out."""
        return not self.bounds and not self.names

    def parts(self, start: int, end: int, areas: Sequence[Area]) -> Iterator[tuple[int, int]]:
        """Yield what of `[start, end)` it is about, in order, where `areas` are mapped."""
        wanted = [*self.bounds, *(area[:2] for area in areas if self._names(area[2]))]
        reached = start
        for low, high in sorted(wanted):
            low, high = max(low, reached), min(high, end)
            if low < high:
                yield low, high
                reached = high

    def _names(self, name: str) -> bool:
        return any(one == name or (one in name and name[0] != "[") for one in self.names)


ALL = Only()
"""All memory."""


def parse_only(texts: Sequence[str]) -> Only:
    """Return what START-END (hexadecimal) and names ask for; raise `DiagnosticError` E327."""
    bounds, names = [], []
    for text in texts:
        found = _BOUNDS.fullmatch(text)
        if not found:
            names.append(text)
            continue
        start, end = (int(one, 16) for one in found.groups())
        if start >= end or start % PAGE_SIZE or end % PAGE_SIZE:
            what = f"--range {text} is no range of whole pages"
            fix = f"--range {start // PAGE_SIZE * PAGE_SIZE:x}-{start + PAGE_SIZE:x}, or [heap]"
            raise DiagnosticError(Diagnostic("E327", None, what, fix=fix))
        bounds.append((start, end))
    if "" in names:
        what = "--range needs addresses or the name of a mapping"
        raise DiagnosticError(Diagnostic("E327", None, what, fix="--range [heap]"))
    return Only(tuple(bounds), tuple(names))
