"""`Refcount`: the last one out frees; nobody comes back from zero."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Refcount, require


class Thing:
    def __init__(self, start: int = 1) -> None:
        self.refs = Refcount(start)
        self.freed = False

    def drop(self) -> None:
        if self.refs.put():
            require("once", not self.freed, "freed twice")
            self.freed = True

    def use(self) -> None:
        if self.refs.get_not_zero():
            require("alive", not self.freed, "used after it was freed")
            self.drop()

    def use_unchecked(self) -> None:
        self.refs.get()
        self.drop()

    def gone(self) -> bool:
        return self.freed


def test_freed_once_and_only_when_unused() -> None:
    def build() -> Small:
        thing = Thing(2)
        return Small([thing.drop, thing.drop, thing.use], [("freed", thing.gone)])

    assert verdict(build) == HOLDS


def test_a_reference_from_zero_is_a_violation() -> None:
    def build() -> Small:
        thing = Thing()
        return Small([thing.drop, thing.use_unchecked])

    assert verdict(build) == "bounds"


def test_a_reference_too_many_is_a_violation() -> None:
    def build() -> Small:
        thing = Thing()
        return Small([thing.drop, thing.drop])

    assert verdict(build) == "bounds"
