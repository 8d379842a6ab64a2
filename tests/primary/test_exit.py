"""exit: release while the pages are still there, then nobody is told any more."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of


def test_release_comes_first_and_the_list_is_empty_after_it() -> None:
    world = world_of("exit", pages=2)
    assert perform(world) == ["release", "clear", "clear", "flush", "free"]
    assert not world.mm.notifiers.subscribed(world.drivers[0])
    assert not world.mm.mmget_not_zero()
    assert world.mm.quiescent()
