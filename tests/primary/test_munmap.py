"""munmap and MAP_FIXED: flush and free on either side of the end (kernel-facts 3, rows 1)."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of

ENDS_FIRST = ["S(UNMAP)", "clear", "E", "flush", "free"]
BATCH_FULL = ["S(UNMAP)", "clear", "flush", "free", "E"]


def test_munmap() -> None:
    world = world_of("munmap")
    assert perform(world) == ENDS_FIRST
    assert not world.mm.vma[0]
    assert perform(world_of("munmap"), [0, 1]) == BATCH_FULL


def test_mmap_fixed_leaves_a_new_mapping() -> None:
    world = world_of("mmap_fixed")
    assert perform(world) == ENDS_FIRST
    assert world.mm.vma[0]
    assert world.mm.pte[0] is None
