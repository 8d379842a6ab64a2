"""mprotect and clear_refs: the flush comes after the end."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of


def test_mprotect() -> None:
    world = world_of("mprotect")
    assert perform(world) == ["S(PROTECTION_VMA)", "protect", "E", "flush"]
    assert not world.mm.pte_write[0]
    assert world.mm.ghost.protected[0]


def test_clear_refs_does_every_page_in_one_section() -> None:
    world = world_of("clear_refs", pages=2)
    assert perform(world) == ["S(SOFT_DIRTY)", "protect", "protect", "E", "flush"]
    assert world.mm.vma_write[0]
