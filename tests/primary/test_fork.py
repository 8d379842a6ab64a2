"""fork: the parent is write-protected in a section of its own and flushed later."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of

SECTION = ["S(PROTECTION_PAGE)", "protect", "E", "flush"]


def test_the_child_shares_the_frame() -> None:
    world = world_of("fork")
    mm = world.mm
    assert perform(world) == SECTION
    frame = mm.pte[0]
    assert frame is not None
    assert mm.child is not None
    assert mm.child.pte[0] is frame
    assert mm.is_shared(frame)
    assert (frame.refcount.read(), mm.pte_write[0], mm.ghost.protected[0]) == (2, False, True)
    assert mm.quiescent()


def test_a_child_that_exits_gives_the_frame_back() -> None:
    world = world_of("fork")
    assert perform(world, [0, 1]) == SECTION
    frame = world.mm.pte[0]
    assert frame is not None
    assert frame.refcount == 1
    assert world.mm.quiescent()
