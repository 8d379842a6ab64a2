"""truncate and hole punching: foreign, under the rmap lock alone."""

from __future__ import annotations

import pytest
from tests.primary.sequence import Scripted, perform, world_of

from mmunotify.lang.driver import EFAULT
from mmunotify.lang.runtime import installed

ZAP = ["S(CLEAR)", "clear", "E", "flush", "free"]


@pytest.mark.parametrize("operation", ["punch_hole", "truncate"])
def test_no_mmap_lock_is_taken(operation: str) -> None:
    world = world_of(operation)
    world.mm.mmap_lock.owner = world.threads[1]  # somebody else holds it all the while
    assert perform(world) == ZAP


def test_beyond_the_end_a_fault_fails() -> None:
    world = world_of("truncate")
    perform(world)
    with installed(Scripted(world.threads[0])), pytest.raises(EFAULT):
        world.mm.get_user_page(0, False)


def test_in_a_hole_a_fault_gets_a_new_page() -> None:
    world = world_of("punch_hole")
    perform(world)
    with installed(Scripted(world.threads[0])):
        assert world.mm.get_user_page(0, False).refcount == 2
