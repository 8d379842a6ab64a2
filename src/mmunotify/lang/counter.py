"""`Counter`, `Int` and `Epoch`: ints with bounds the checker can see.

Invariant: a value never leaves its bounds; trying is a violation, never a wrap.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmunotify.lang.intrinsics import Violation

__all__ = ["Counter", "Epoch", "Int"]


@dataclass(frozen=True)
class Int:
    """Bounds for an int: `x: Annotated[int, Int(0, 3)]`; both ends included, in -128..127."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not -128 <= self.low <= self.high <= 127:
            raise ValueError(f"Int({self.low}, {self.high}): needs -128 <= low <= high <= 127")


class Counter:
    """An int in `0..high` that is counted up and down."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, start: int = 0, high: int = 15) -> None:
        if not 0 <= start <= high <= 127:
            raise ValueError(f"Counter({start}, {high}): needs 0 <= start <= high <= 127")
        self.high = high
        self.value = start

    def read(self) -> int:
        """The value now."""
        return self.value

    def set(self, value: int) -> None:
        """Set the value; outside `0..high` is a violation of `bounds`."""
        if not 0 <= value <= self.high:
            raise Violation("bounds", f"counter would become {value}, outside 0..{self.high}")
        self.value = value

    def __iadd__(self, other: int) -> Counter:
        """Count up: a read, then a write."""
        self.set(self.value + other)
        return self

    def __isub__(self, other: int) -> Counter:
        """Count down: a read, then a write."""
        self.set(self.value - other)
        return self

    def __bool__(self) -> bool:
        """True unless 0."""
        return self.value != 0

    def __eq__(self, other: object) -> bool:
        """Compare the value."""
        return self.value == other

    def __lt__(self, other: int) -> bool:
        """Compare the value."""
        return self.value < other

    def __le__(self, other: int) -> bool:
        """Compare the value."""
        return self.value <= other

    def __gt__(self, other: int) -> bool:
        """Compare the value."""
        return self.value > other

    def __ge__(self, other: int) -> bool:
        """Compare the value."""
        return self.value >= other


class Epoch:
    """A counter that is only bumped and compared for equality with snapshots of itself.

    The check keeps one bit a snapshot (fresh or stale), so loops need no bound.
    """

    def __init__(self) -> None:
        self.value = 0

    def read(self) -> int:
        """A snapshot; compare it with `==` or `!=` to a later `read()` only."""
        return self.value

    def bump(self) -> None:
        """Make every snapshot taken so far stale."""
        self.value += 1
