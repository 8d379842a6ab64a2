"""`Table`: a fixed map from pages, objects, enum members or small ints to values.

Invariant: the keys are fixed at construction; a body can change values, never keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

__all__ = ["Table"]

V = TypeVar("V")


class Table(Generic[V]):
    """A fixed map from `keys` to values, all `value` at first (default None)."""

    def __init__(self, keys: Iterable[Any], value: Any = None) -> None:
        self.domain = keys
        self.keys = tuple(keys)
        if len(set(map(id, self.keys))) != len(self.keys) and len(set(self.keys)) != len(self.keys):
            raise ValueError("Table: a key is given twice")
        self.values: dict[Any, V] = dict.fromkeys(self.keys, value)

    def __getitem__(self, key: Any) -> V:
        """Return the value at `key`; KeyError if it is no key of this table."""
        return self.values[key]

    def __setitem__(self, key: Any, value: V) -> None:
        """Set the value at `key`; KeyError if it is no key of this table."""
        if key not in self.values:
            raise KeyError(key)
        self.values[key] = value

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the keys in their order."""
        return iter(self.keys)

    def __len__(self) -> int:
        """The number of keys."""
        return len(self.keys)

    def fill(self, value: V) -> None:
        """Set every value, in one step."""
        for key in self.keys:
            self.values[key] = value
