"""`SeqLock` and `SeqCount`: a reader that need not retry has seen no half of a write."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import SeqCount, SeqLock, require


class Pair:
    """Two cells that writers keep equal."""

    def __init__(self) -> None:
        self.lock = SeqLock()
        self.count = SeqCount()
        self.left = False
        self.right = False

    def write(self) -> None:
        with self.lock:
            self.left = True
            self.right = True

    def read(self) -> None:
        while True:
            start = self.lock.read_begin()
            left = self.left
            right = self.right
            if not self.lock.read_retry(start):
                require("whole", left == right, "a torn read")
                return

    def read_without_retry(self) -> None:
        self.lock.read_begin()
        left = self.left
        require("whole", left == self.right, "a torn read")

    def write_by_count(self) -> None:
        self.count.write_begin()
        self.left = True
        self.right = True
        self.count.write_end()


def test_no_torn_read() -> None:
    def build() -> Small:
        pair = Pair()
        return Small([pair.write, pair.write, pair.read])

    assert verdict(build) == HOLDS


def test_without_retry_a_read_is_torn() -> None:
    def build() -> Small:
        pair = Pair()
        return Small([pair.write, pair.read_without_retry])

    assert verdict(build) == "whole"


def test_a_seqcount_does_not_exclude_writers() -> None:
    def build(writers: int) -> Small:
        pair = Pair()
        return Small([pair.write_by_count] * writers)

    assert verdict(lambda: build(1)) == HOLDS
    assert verdict(lambda: build(2)) == "no_deadlock"
