"""Two drivers that do what the mail says one must not.

Invariant: each differs from a shipped driver in one thing.
"""

from __future__ import annotations

from mmunotify.drivers.end_only import EndOnly
from mmunotify.drivers.kvm import Kvm

__all__ = ["PutFirst", "WithoutHolding"]


class PutFirst(EndOnly):
    """`EndOnly` in the unsafe order: the references go, then the TLB is flushed."""

    def drain(self) -> None:
        """Put, then flush."""
        for slot in range(self.capacity):
            frame = self.array[slot]
            if frame is not None:
                self.array[slot] = None
                frame.put()
        self.filled.set(0)
        self.tlb.flush()


class WithoutHolding(Kvm):
    """KVM that installs what it looked up, whatever has happened since."""

    def mmu_invalidate_retry(self, mmu_seq: int) -> bool:
        """Say no."""
        return False
