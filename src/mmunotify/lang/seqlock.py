"""`SeqLock`: a sequence for readers that retry, a spinlock between writers (`seqlock_t`).

Invariant: a reader whose `read_retry` is False saw no part of any write.
"""

from __future__ import annotations

from mmunotify.lang.seqcount import SeqCount
from mmunotify.lang.spinlock import SpinLock

__all__ = ["SeqLock"]


class SeqLock:
    """Readers never hold off writers; `with lock:` is the writer's side."""

    def __init__(self) -> None:
        self.seqcount = SeqCount()
        self.lock = SpinLock()

    def read_begin(self) -> int:
        """Wait for the writer to end and return a snapshot (`read_seqbegin`)."""
        return self.seqcount.read_begin()

    def read_retry(self, start: int) -> bool:
        """Tell whether a writer was there since `start` (`read_seqretry`)."""
        return self.seqcount.read_retry(start)

    def write_lock(self) -> None:
        """Wait until no other writer is there; make readers wait (`write_seqlock`)."""
        self.lock.acquire()
        self.seqcount.write_begin()

    def write_unlock(self) -> None:
        """Let readers and other writers go on (`write_sequnlock`)."""
        self.seqcount.write_end()
        self.lock.release()

    def __enter__(self) -> None:
        self.write_lock()

    def __exit__(self, *_: object) -> None:
        self.write_unlock()
