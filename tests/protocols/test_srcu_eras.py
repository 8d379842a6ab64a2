"""The list under SRCU before today: each era with its defect, and the next one without it."""

from __future__ import annotations

from tests.protocols.under import HOLDS, First, Refuses, Second, reaped, told, under

from mmunotify.lang import Driver, Mutex, PageRange


class Sleeps(Driver):
    """Takes a mutex in its start hook."""

    def __init__(self, mm: object) -> None:
        super().__init__(mm)
        self.mutex = Mutex()

    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.mutex:
            pass


def test_order() -> None:
    released = ["first release, on the list", "second release, on the list"]
    assert told("srcu_3_7", "exit") == released
    assert told("srcu_3_10", "exit") == released
    assert told("srcu_3_9", "exit") == [
        "first release, off the list",
        "second release, off the list",
    ]
    assert told("srcu_4_19", "oom_reaper", (First, Refuses, Second)) == [
        "first start",
        "second start",
    ]


def test_3_7_unlinks_twice() -> None:
    """An exit comes between the look and the deletion."""
    assert under("srcu_3_7", "exit/unregister").startswith("null_dereference: unlinked twice")
    assert under("srcu_3_10", "exit/unregister") == HOLDS


def test_3_9_unlinks_first() -> None:
    """The first repair brought the freed page that is still mapped back."""
    assert under("srcu_3_9", "munmap/unregister").startswith("no_stale_translation")
    assert under("srcu_3_9", "punch_hole+exit").startswith("no_stale_translation")
    assert under("srcu_3_7", "punch_hole+exit") == HOLDS
    assert under("srcu_3_10", "munmap/unregister") == HOLDS


def test_before_4_19_nobody_can_refuse() -> None:
    assert reaped("srcu_3_10", Refuses).startswith("context: -EAGAIN from a hook that returns")


def test_4_19_does_not_unwind() -> None:
    """A subscriber that counts sections waits for the end of one that was refused."""
    assert reaped("srcu_4_19", Refuses) == "quiescent"
    assert reaped("srcu", Refuses) == HOLDS


def test_hooks_may_sleep_since_3_7() -> None:
    assert under("srcu_3_7", "munmap", Sleeps) == HOLDS
    assert under("take_all_locks", "munmap", Sleeps).startswith("context")
