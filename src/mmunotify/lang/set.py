"""`Set`: which of a fixed choice of things are in (a bitmap: `set_bit`, `test_bit`).

Invariant: only keys given at construction can be members; each operation is one step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.table import Table

__all__ = ["Set"]


class Set:
    """A set over the fixed domain `keys`, empty at first."""

    def __init__(self, keys: Iterable[Any]) -> None:
        self.members: Table[bool] = Table(keys, False)

    def add(self, key: Any) -> None:
        """Put `key` in (`set_bit`)."""
        self.members[key] = True

    def discard(self, key: Any) -> None:
        """Take `key` out if it is in (`clear_bit`)."""
        self.members[key] = False

    def has(self, key: Any) -> bool:
        """Tell whether `key` is in (`test_bit`)."""
        return self.members[key]

    def test_and_add(self, key: Any) -> bool:
        """Put `key` in; tell whether it was in before (`test_and_set_bit`)."""
        with atomic():
            before = self.members[key]
            self.members[key] = True
            return before

    def test_and_discard(self, key: Any) -> bool:
        """Take `key` out; tell whether it was in before (`test_and_clear_bit`)."""
        with atomic():
            before = self.members[key]
            self.members[key] = False
            return before

    def clear(self) -> None:
        """Take everything out (`bitmap_zero`)."""
        self.members.fill(False)

    def empty(self) -> bool:
        """Tell whether nothing is in (`bitmap_empty`); one step."""
        with atomic():
            return not any(self.members[key] for key in self.members)
