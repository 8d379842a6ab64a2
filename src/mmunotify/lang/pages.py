"""`Pages`: the virtual pages of a process, as the small ints `0..n-1`.

Ints taken from here remember that they denote pages, so pages that nothing orders stay
interchangeable for the checker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

__all__ = ["Pages"]


class Pages(Sequence[int]):
    """The pages `0..count-1`."""

    def __init__(self, count: int) -> None:
        if not 1 <= count <= 127:
            raise ValueError(f"Pages({count}): needs 1 to 127 pages")
        self.size = count

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        found: int | Sequence[int] = range(self.size)[index]
        return found
