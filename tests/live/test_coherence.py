"""Translations beside the page table of this process."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from tests.live.raw import PAGE, PRIVATE, Memory

from mmunotify.lang import Driver, Table
from mmunotify.lang.page_range import Event
from mmunotify.live.coherence import Coherence, Found
from mmunotify.live.memory import MemoryRange
from mmunotify.live.open_mm import OpenMm, opened
from mmunotify.live.page_table import PageTable
from mmunotify.live.simulated import DeviceThreads

MADV_DONTNEED = 4


class Forgetful(Driver):
    """Translates what it is asked for; `drop` is for the test to call."""

    def __init__(self, mm: Any) -> None:
        super().__init__(mm)
        self.spte: Any = Table(mm.pages)

    def invalidate_range_start(self, rng: Any) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""

    def fault(self, page: int, write: bool) -> None:
        """Translate."""
        frame = self.mm.get_user_page(page, write)
        self.spte[page] = frame
        frame.put()


class World:
    """A page of memory, a driver that translates it, and what is found."""

    def __init__(self, kind: type[Driver] = Forgetful) -> None:
        self.memory = Memory(2, PRIVATE)
        self.memory.fill()
        self.page = self.memory.address // PAGE
        self.rng = MemoryRange(self.page, 2, Event.CLEAR, True, "madvise", 7)
        self.found: list[Found] = []
        self.threads = DeviceThreads()
        self.table = PageTable(os.getpid())
        with self.threads.running():
            self.driver = opened(kind, OpenMm(self.threads, table=self.table))
            self.driver.fault(self.page, True)
        used = {self.page}
        self.coherence = Coherence(self.driver, self.table, used, self.found.append)

    def ends(self, over: int = 0) -> list[Found]:
        """The section is over."""
        with self.threads.running():
            self.coherence.ends(self.rng, over or time.monotonic_ns())
        return self.found

    def begins(self) -> None:
        """The section begins."""
        with self.threads.running():
            self.coherence.begins(self.rng)


def test_kept_over_a_section() -> None:
    """What the driver keeps is stale if the page has gone, once; if it is there it is not."""
    world = World()
    world.begins()
    assert not world.ends()
    world.memory.advise(MADV_DONTNEED)
    [found] = world.ends()
    assert (found.page, found.rng) == (world.page, world.rng)
    assert found.text.startswith("its table translates to ")
    assert found.text.endswith("the page table has nothing there")
    assert len(world.ends()) == 1
    assert not world.coherence.untold


def test_another_frame() -> None:
    """As stale is a translation to another frame than that of the page."""
    world = World()
    if world.table.hides_frames:
        pytest.skip("frame numbers are hidden: needs CAP_SYS_ADMIN")
    other = Memory(2, PRIVATE)
    other.fill()
    world.memory.advise(MADV_DONTNEED)
    other.advise(MADV_DONTNEED)
    other.fill()  # takes what was free
    Memory(64, PRIVATE).fill()
    world.memory.fill()
    if world.table.frame(world.page) != world.driver.walk(world.page).number:
        [found] = world.ends()
        assert "the page table has frame 0x" in found.text


def test_looked_up_after_the_change() -> None:
    """A translation from after the section is right; what happens then nobody has told."""
    world = World()
    world.begins()
    world.memory.advise(MADV_DONTNEED)
    over = time.monotonic_ns()
    with world.threads.running():
        world.driver.fault(world.page, True)
    assert not world.ends(over)
    world.memory.advise(MADV_DONTNEED)
    assert not world.ends(over)
    assert world.coherence.untold == {world.page}


def test_changed_before_the_section() -> None:
    """Nobody told of that; but it is told now, and has to go."""
    world = World()
    world.memory.advise(MADV_DONTNEED)
    world.begins()
    assert world.coherence.untold == {world.page}
    assert len(world.ends()) == 1


def test_changed_and_never_told() -> None:
    """It is counted when all goes away, if not before."""
    world = World()
    with world.threads.running():
        world.coherence.releases()
        assert not world.coherence.untold
        world.memory.advise(MADV_DONTNEED)
        world.coherence.releases()
    assert world.coherence.untold == {world.page}
    assert not world.found


def test_translation_cache() -> None:
    """A table that was emptied is not enough."""
    world = World()
    with world.threads.running():
        tlb = world.driver.tlb
        tlb.walk(tlb.caches[0], world.page, True)
        world.driver.spte[world.page] = None  # type: ignore[attr-defined]
    world.memory.advise(MADV_DONTNEED)
    [found] = world.ends()
    assert found.text.startswith("its translation cache translates")


def test_release() -> None:
    """Who hears of the end keeps nothing; who does not is not blamed."""

    class Deaf(Forgetful):
        release = Driver.release

    for kind, stale, left in ((Forgetful, 1, 0), (Deaf, 0, 1)):
        world = World(kind)
        with world.threads.running():
            world.coherence.released()
        assert (len(world.found), world.coherence.left) == (stale, left)
