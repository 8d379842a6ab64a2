"""`Maps`: what a process has at which address, from /proc/PID/maps, kept after it has gone.

Invariant: a later look adds to what is known and never takes away, so that an event about memory
that is unmapped by now can still be named.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Area", "Maps", "areas_of", "permitted_areas_of"]

Area = tuple[int, int, str]
"""start, end, and the name that /proc/PID/maps gives, "" for anonymous memory."""


class Maps:
    """The areas of process `pid`, as far as `look` has seen them."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._starts: list[int] = []
        self._areas: list[Area] = []

    def look(self) -> None:
        """Read the areas as they are now; nothing happens if the process has gone."""
        try:
            now = sorted(areas_of(self.pid))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return
        if not now:
            return
        kept = [piece for old in self._areas for piece in _without(old, now)]
        self._areas = sorted([*now, *kept])
        self._starts = [area[0] for area in self._areas]

    def find(self, address: int) -> Area | None:
        """The area that `address` is or was in."""
        at = bisect_right(self._starts, address) - 1
        if at >= 0 and address < self._areas[at][1]:
            return self._areas[at]
        return None

    def __iter__(self) -> Iterator[Area]:
        return iter(self._areas)


def areas_of(pid: int | str) -> Iterator[Area]:
    """Yield the areas of a process as the kernel lists them now."""
    for area, _ in permitted_areas_of(pid):
        yield area


def permitted_areas_of(pid: int | str) -> Iterator[tuple[Area, str]]:
    """Yield them with their permissions, such as "rw-p"."""
    for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
        bounds, permissions, _offset, _device, _inode, *name = line.split(None, 5)
        start, _, end = bounds.partition("-")
        yield (int(start, 16), int(end, 16), name[0] if name else ""), permissions


def _without(old: Area, now: list[Area]) -> Iterator[Area]:
    """The parts of `old` that no area of `now` covers."""
    start, end, name = old
    at = max(0, bisect_right(now, (start, 2**64, "")) - 1)
    for low, high, _ in now[at:]:
        if low >= end:
            break
        if low > start:
            yield start, min(low, end), name
        start = max(start, high)
        if start >= end:
            return
    if start < end:
        yield start, end, name
