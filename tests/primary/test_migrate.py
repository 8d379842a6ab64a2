"""Migration: the new frame is mapped after the end, without another section."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of

SECTION = ["S(CLEAR)", "migration entry", "flush", "E", "set"]


def test_the_page_moves_to_a_new_frame() -> None:
    world = world_of("migrate")
    before = world.mm.pte[0]
    assert perform(world) == [*SECTION, "free"]
    assert world.mm.pte[0] is not before
    assert world.mm.pte_write[0]
    assert world.mm.quiescent()


def test_a_page_that_somebody_holds_stays() -> None:
    world = world_of("migrate")
    before = world.mm.pte[0]
    assert before is not None
    before.get()
    assert perform(world) == [*SECTION, "free"]  # what is freed is the frame allocated in vain
    assert world.mm.pte[0] is before
    assert before.refcount == 2
