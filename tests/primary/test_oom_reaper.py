"""The OOM reaper: a non-blockable section, skipped without a trace if somebody would block."""

from __future__ import annotations

from tests.primary.sequence import Refusing, perform, world_of


def test_reap() -> None:
    assert perform(world_of("oom_reaper")) == [
        "S(UNMAP, non-blockable)",
        "clear",
        "E",
        "flush",
        "free",
    ]


def test_skip() -> None:
    world = world_of("oom_reaper", Refusing)
    assert perform(world) == ["-EAGAIN"]
    assert world.mm.pte[0] is not None
    assert world.mm.mmap_lock.quiescent()


def test_the_reaper_does_not_wait_for_mmap_lock() -> None:
    world = world_of("oom_reaper")
    world.mm.mmap_lock.owner = world.threads[1]
    assert perform(world) == []
