"""`Rcu` and `Srcu`: nothing is freed under a reader that waited for nobody."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Rcu, Srcu, might_sleep, require


class Published:
    """A thing that readers reach through `shown`, and that is `gone` some time after."""

    def __init__(self, rcu: Rcu, other: Rcu | None = None) -> None:
        self.rcu = rcu
        self.other = other or rcu
        self.shown = True
        self.gone = False

    def read(self) -> None:
        with self.rcu:
            if self.shown:
                require("alive", not self.gone, "used after it was freed")

    def read_nested(self) -> None:
        with self.rcu:
            with self.rcu:
                pass
            if self.shown:
                require("alive", not self.gone, "used after it was freed")

    def read_asleep(self) -> None:
        with self.rcu:
            might_sleep()

    def retire(self) -> None:
        self.shown = False
        self.other.synchronize()
        self.gone = True

    def retire_at_once(self) -> None:
        self.shown = False
        self.gone = True

    def wait_for_itself(self) -> None:
        with self.rcu:
            self.rcu.synchronize()


def build(rcu: Rcu, retire: str = "retire", other: Rcu | None = None) -> Small:
    thing = Published(rcu, other)
    return Small([thing.read, thing.read_nested, getattr(thing, retire)], [("idle", rcu.quiescent)])


def test_a_grace_period_waits_for_readers() -> None:
    assert verdict(lambda: build(Rcu())) == HOLDS
    assert verdict(lambda: build(Srcu())) == HOLDS


def test_without_one_a_reader_is_hurt() -> None:
    assert verdict(lambda: build(Rcu(), "retire_at_once")) == "alive"


def test_another_domain_waits_for_nobody() -> None:
    assert verdict(lambda: build(Srcu(), other=Srcu())) == "alive"


def test_only_srcu_readers_sleep() -> None:
    assert verdict(lambda: Small([Published(Rcu()).read_asleep])) == "context"
    assert verdict(lambda: Small([Published(Srcu()).read_asleep])) == HOLDS


def test_a_reader_cannot_wait_for_itself() -> None:
    assert verdict(lambda: Small([Published(Srcu()).wait_for_itself])) == "no_deadlock"
