"""`SeqCount`: readers that retry instead of waiting (`seqcount_t`).

Invariant: `sequence` moved since a reader began if and only if a writer was there. Writers exclude
each other by other means; `SeqLock` brings its own.
"""

from __future__ import annotations

from mmunotify.lang.counter import Epoch
from mmunotify.lang.intrinsics import atomic, require, wait_until

__all__ = ["SeqCount"]


class SeqCount:
    """The kernel's number as an epoch and a bit: it is odd while `writing`."""

    def __init__(self) -> None:
        self.sequence = Epoch()
        self.writing = False

    def read_begin(self) -> int:
        """Wait for the writer to end and return a snapshot (`read_seqcount_begin`)."""
        with atomic():
            wait_until(lambda: not self.writing)
            return self.sequence.read()

    def read_retry(self, start: int) -> bool:
        """Tell whether a writer was there since `start` (`read_seqcount_retry`)."""
        return self.sequence.read() != start

    def write_begin(self) -> None:
        """Make readers wait, and those that are reading retry (`write_seqcount_begin`)."""
        with atomic():
            require("no_deadlock", not self.writing, "two writers at once")
            self.writing = True
            self.sequence.bump()

    def write_end(self) -> None:
        """Let readers begin again (`write_seqcount_end`)."""
        with atomic():
            require("no_deadlock", self.writing, "no writer to end")
            self.writing = False
            self.sequence.bump()

    def quiescent(self) -> bool:
        """Tell whether nobody writes."""
        return not self.writing
