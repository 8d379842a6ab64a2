"""`TlbFaultHandle`: a TLB miss that software answers, by a drop-in (`gru_tlb_fault_handle`).

Invariant: a drop-in takes effect only if nothing was flushed from the device since the handle was
read; otherwise the hardware ignores it.
"""

from __future__ import annotations

from mmunotify.lang.counter import Epoch

__all__ = ["TlbFaultHandle"]


class TlbFaultHandle:
    """The handle of one driver's devices; a driver that has one calls it `self.tfh`.

    `generation` stands for what the hardware remembers: whether an invalidate crossed the fault.
    """

    def __init__(self) -> None:
        self.generation = Epoch()

    def read(self) -> int:
        """Read the fault: what crosses it from now on makes the drop-in void."""
        return self.generation.read()

    def crossed(self, since: int) -> bool:
        """Tell whether an invalidate came after `since` was read; the hardware's part."""
        return self.generation.read() != since

    def invalidate(self) -> None:
        """Something was flushed; part of that step."""
        self.generation.bump()
