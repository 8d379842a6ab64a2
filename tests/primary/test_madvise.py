"""MADV_DONTNEED zaps; MADV_FREE leaves the page where it is, clean."""

from __future__ import annotations

from tests.primary.sequence import perform, world_of


def test_dontneed() -> None:
    world = world_of("madvise_dontneed")
    assert perform(world) == ["S(CLEAR)", "clear", "E", "flush", "free"]
    assert world.mm.vma[0]


def test_dontneed_with_a_full_batch() -> None:
    assert perform(world_of("madvise_dontneed"), [0, 1]) == [
        "S(CLEAR)",
        "clear",
        "flush",
        "free",
        "E",
    ]


def test_free_keeps_the_mapping() -> None:
    world = world_of("madvise_free")
    assert perform(world) == ["S(CLEAR)", "E", "flush"]
    assert world.mm.pte[0] is not None
    assert world.mm.ghost.protected[0]
