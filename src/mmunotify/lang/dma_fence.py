"""`DmaFence`: hardware is at work, and will be done some time (`struct dma_fence`).

Invariant: between `begin` and `signal` the hardware may access memory, and otherwise not.
"""

from __future__ import annotations

from mmunotify.lang.counter import Epoch
from mmunotify.lang.intrinsics import atomic, might_sleep, require, wait_until

__all__ = ["DmaFence"]


class DmaFence:
    """The fence of the job that runs now; signaled while there is none.

    `awaited`: somebody waits for it. Hardware that goes on until then and not longer is the worst
    there is: to everybody else it is as if the job were done later.
    """

    def __init__(self) -> None:
        self.signaled = True
        self.awaited = False
        self.done = Epoch()  # jobs

    def begin(self) -> None:
        """Submit a job; one that runs already goes on."""
        self.signaled = False

    def signal(self) -> None:
        """The job is done (`dma_fence_signal`); only hardware says so."""
        with atomic():
            require("assertion", not self.signaled, "a fence is signaled twice")
            self.signaled = True
            self.awaited = False
            self.done.bump()

    def wait(self) -> None:
        """Sleep until the job that runs now is done (`dma_fence_wait`)."""
        might_sleep()
        with atomic():
            if self.signaled:
                return
            since = self.done.read()
            self.awaited = True
        wait_until(lambda: self.done.read() != since)
