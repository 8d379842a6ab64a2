"""`Guarantee` and `Need`: what a monitor promises of an operation, and what a device requires.

Invariant: guarantees are ordered; a device that is safe with one is safe with every better one.
"""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = ["SUFFICIENT", "Guarantee", "Need"]


class Guarantee(IntEnum):
    """When a subscriber hears of an operation, the worst first."""

    NONE = 0
    """Never."""
    OBSERVED = 1
    """Some time later."""
    VALIDATED = 2
    """It does not, but every use asks the kernel and finds out."""
    ORDERED = 3
    """Every lookup that begins after the operation has returned sees the invalidation."""
    BEFORE = 4
    """The operation waits until the start hooks have returned."""

    def __str__(self) -> str:
        return self.name.lower()


SUFFICIENT = Guarantee.VALIDATED
"""The worst guarantee with which no stale registration is handed out."""


class Need(Enum):
    """What kind of second translation a device keeps, and so which operations it must hear of."""

    PINNED = "pinned"
    """It holds references to the frames (io_uring, RDMA): whatever puts other pages behind an
    address. Reclaim, migration, KSM and copy-on-write leave a pinned page where it is."""
    TRANSLATING = "translating"
    """It holds translations without references (KVM, GPU SVM): whatever changes a page table
    entry."""
    COPYING = "copying"
    """It holds a copy of the bytes (a mirror): whatever puts other pages behind an address, and
    every write."""

    def __str__(self) -> str:
        return self.value
