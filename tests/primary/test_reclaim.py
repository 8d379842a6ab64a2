"""Reclaim: aging without a section, then a section, and the frame is freed after the end."""

from __future__ import annotations

from tests.primary.sequence import Listening, Scripted, perform, world_of

from mmunotify.lang.page_range import PageRange
from mmunotify.lang.runtime import installed


class Young(Listening):
    def clear_flush_young(self, rng: PageRange) -> bool:
        return True


def test_an_old_page_goes() -> None:
    world = world_of("reclaim")
    assert perform(world) == ["young?", "S(CLEAR)", "clear", "flush", "E", "free"]
    assert world.mm.quiescent()


def test_a_young_page_stays() -> None:
    world = world_of("reclaim", Young)
    assert perform(world) == []
    assert world.mm.pte[0] is not None
    assert world.mm.quiescent()


def test_a_page_that_somebody_holds_stays_in_the_swap_cache() -> None:
    world = world_of("reclaim")
    mm = world.mm
    frame = mm.pte[0]
    assert frame is not None
    frame.get()
    assert perform(world) == ["young?", "S(CLEAR)", "clear", "flush", "E"]
    assert mm.swap_cache[0] is frame
    with installed(Scripted(world.threads[0])):
        assert mm.get_user_page(0, False) is frame  # a fault finds the same frame again
    frame.put()
    frame.put()
    assert mm.quiescent()
