"""KSM: two sections, the first to make sure of the page, the second to replace it."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of

PROTECT = ["S(CLEAR)", "clear", "flush", "set", "E"]


def test_merge() -> None:
    world = world_of("ksm")
    assert perform(world) == [*PROTECT, *PROTECT, "free"]
    merged = world.mm.pte[0]
    assert merged is not None
    assert merged.merged
    assert not world.mm.pte_write[0]
    assert world.mm.quiescent()


def test_a_page_that_somebody_holds_is_left_alone() -> None:
    world = world_of("ksm")
    frame = world.mm.pte[0]
    assert frame is not None
    frame.get()
    assert perform(world) == PROTECT
    assert world.mm.pte[0] is frame
    assert world.mm.pte_write[0]
