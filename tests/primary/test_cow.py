"""Breaking COW: the copy is mapped inside the section, the old frame dropped after it."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of

from mmunotify.primary.frame import Owner


def test_the_copy_is_ours_and_the_old_frame_the_childs() -> None:
    world = world_of("cow")
    old = world.mm.pte[0]
    assert old is not None
    assert perform(world) == ["S(CLEAR)", "clear", "flush", "set", "E"]
    new = world.mm.pte[0]
    assert new is not None
    assert new is not old
    assert (new.owner, new.written) == (Owner.MM, True)
    assert (old.owner, old.refcount.read()) == (Owner.OTHER, 1)
    assert world.mm.quiescent()


def test_nothing_is_copied_once_the_child_is_gone() -> None:
    world = world_of("cow")
    child, old = world.mm.child, world.mm.pte[0]
    assert child is not None
    child.exit(0)
    assert perform(world) == ["set"]  # wp_page_reuse tells nobody
    assert world.mm.pte[0] is old
    assert world.mm.quiescent()
