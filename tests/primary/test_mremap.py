"""mremap: one section on the old range; the frame keeps its references."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of


def test_the_entry_moves_and_the_old_range_is_flushed() -> None:
    world = world_of("mremap", pages=2)
    frame = world.mm.pte[0]
    assert perform(world) == ["S(UNMAP)", "clear", "set", "flush", "E"]
    assert world.mm.pte[0] is None
    assert world.mm.pte[1] is frame
    assert frame is not None
    assert frame.refcount == 1
