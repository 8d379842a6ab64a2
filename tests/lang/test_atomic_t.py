"""`AtomicT`: no update is lost, where a plain counter loses one."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import AtomicT, Counter, require


class Tally:
    def __init__(self) -> None:
        self.atomic = AtomicT()
        self.plain = Counter()

    def count(self) -> None:
        self.atomic.inc()

    def count_plainly(self) -> None:
        self.plain += 1

    def claim(self) -> None:
        if self.atomic.cmpxchg(0, 1):
            require("alone", self.plain == 0, "two claimed it")
            self.plain.set(1)

    def first_in(self) -> None:
        """Whoever comes first sets `plain`, whoever leaves last resets it."""
        if not self.atomic.inc_not_zero() and self.atomic.inc_return() == 1:
            require("first", self.plain == 0, "two were first")
            self.plain.set(1)
            if self.atomic.dec_and_test():
                self.plain.set(0)
        else:
            self.atomic.dec()

    def two(self) -> bool:
        return self.atomic.read() == 2

    def two_plainly(self) -> bool:
        return self.plain == 2


def test_updates_add_up() -> None:
    def build() -> Small:
        tally = Tally()
        return Small([tally.count, tally.count], [("sum", tally.two)])

    assert verdict(build) == HOLDS


def test_a_plain_counter_loses_one() -> None:
    def build() -> Small:
        tally = Tally()
        return Small([tally.count_plainly, tally.count_plainly], [("sum", tally.two_plainly)])

    assert verdict(build) == "sum"


def test_compare_and_exchange_is_won_once() -> None:
    def build() -> Small:
        tally = Tally()
        return Small([tally.claim, tally.claim])

    assert verdict(build) == HOLDS


def test_the_other_operations() -> None:
    def build() -> Small:
        tally = Tally()
        return Small([tally.first_in, tally.count])

    assert verdict(build) == HOLDS
