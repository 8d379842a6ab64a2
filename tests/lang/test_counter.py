"""`Epoch`: a snapshot goes stale wherever it is kept."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Epoch, Table, atomic, require, wait_until


class Kept:
    """A snapshot that one thread takes and another one compares."""

    def __init__(self) -> None:
        self.seq = Epoch()
        self.attribute: int | None = None
        self.table: Table[int | None] = Table(range(2))
        self.taken = False

    def take(self) -> None:
        with atomic():
            self.attribute = self.seq.read()
            self.table[1] = self.seq.read()
            self.taken = True

    def bump(self) -> None:
        wait_until(lambda: self.taken)
        self.seq.bump()

    def compare(self) -> None:
        wait_until(lambda: self.taken)
        with atomic():
            for kept in (self.attribute, self.table[1]):
                require("fresh", kept == self.seq.read(), "bumped since")

    def bump_and_compare(self) -> None:
        self.bump()
        with atomic():
            for kept in (self.attribute, self.table[1]):
                require("stale", kept != self.seq.read(), "not bumped")


def test_a_snapshot_kept_in_an_attribute_or_a_table_goes_stale() -> None:
    def alone() -> Small:
        kept = Kept()
        return Small([kept.take, kept.compare])

    def stale() -> Small:
        kept = Kept()
        return Small([kept.take, kept.bump_and_compare])

    def bumped() -> Small:
        kept = Kept()
        return Small([kept.take, kept.bump, kept.compare])

    assert verdict(alone) == HOLDS
    assert verdict(stale) == HOLDS
    assert verdict(bumped) == "fresh"
