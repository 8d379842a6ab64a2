"""`Set`: test-and-set is won once, whoever else is at it."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Set, require


class Flags:
    def __init__(self) -> None:
        self.flags = Set(range(2))
        self.won = False

    def win(self) -> None:
        if not self.flags.test_and_add(0):
            require("once", not self.won, "won twice")
            self.won = True

    def win_in_two_steps(self) -> None:
        if not self.flags.has(0):
            self.flags.add(0)
            require("once", not self.won, "won twice")
            self.won = True

    def tidy(self) -> None:
        self.flags.add(1)
        require("empty", not self.flags.empty(), "")
        require("there", self.flags.test_and_discard(1), "")
        self.flags.discard(0)
        self.flags.add(0)
        self.flags.clear()
        require("empty", self.flags.empty(), "")


def test_test_and_set_is_won_once() -> None:
    def build() -> Small:
        flags = Flags()
        return Small([flags.win, flags.win])

    assert verdict(build) == HOLDS


def test_two_steps_are_not() -> None:
    def build() -> Small:
        flags = Flags()
        return Small([flags.win_in_two_steps, flags.win_in_two_steps])

    assert verdict(build) == "once"


def test_membership() -> None:
    assert verdict(lambda: Small([Flags().tidy])) == HOLDS
