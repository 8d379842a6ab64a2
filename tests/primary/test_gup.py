"""GUP: a reference, the permission asked for, or an error; a migrating page is waited for."""

from __future__ import annotations

import pytest
from tests.primary.sequence import Scripted, perform, world_of

from mmunotify.lang.driver import EFAULT, ENOMEM
from mmunotify.lang.intrinsics import Violation
from mmunotify.lang.runtime import WouldBlock, installed
from mmunotify.primary.frame import Owner


def test_a_mapped_page() -> None:
    world = world_of("munmap")
    with installed(Scripted(world.threads[0])):
        frame = world.mm.get_user_page(0, True)
    assert frame is world.mm.pte[0]
    assert frame.refcount == 2


def test_an_empty_page_is_filled() -> None:
    world = world_of("munmap", pages=2)
    with installed(Scripted(world.threads[0])):
        frame = world.mm.get_user_page(1, False)
    assert world.mm.pte[1] is frame
    assert not world.mm.pte_write[1]
    assert (frame.owner, frame.refcount.read()) == (Owner.MM, 2)


def test_no_mapping_no_page() -> None:
    world = world_of("munmap")
    perform(world)
    with installed(Scripted(world.threads[0])), pytest.raises(EFAULT):
        world.mm.get_user_page(0, False)
    assert world.mm.mmap_lock.quiescent()
    assert world.mm.page_table_lock.quiescent()


def test_no_writing_what_is_read_only() -> None:
    world = world_of("mprotect")
    perform(world)
    with installed(Scripted(world.threads[0])):
        with pytest.raises(EFAULT):
            world.mm.get_user_page(0, True)
        assert world.mm.get_user_page(0, False) is world.mm.pte[0]


def test_no_free_frame() -> None:
    world = world_of("munmap", pages=2)
    for frame in world.mm.frames:
        frame.owner = Owner.OTHER
    with installed(Scripted(world.threads[0])), pytest.raises(ENOMEM):
        world.mm.get_user_page(1, False)
    assert world.mm.page_table_lock.quiescent()


def test_a_migrating_page_is_waited_for() -> None:
    world = world_of("migrate")
    world.mm.set_migration(0)
    with installed(Scripted(world.threads[0])), pytest.raises(WouldBlock):
        world.mm.get_user_page(0, False)


def test_gup_sleeps() -> None:
    world = world_of("munmap")
    with installed(Scripted(world.threads[0])), world.mm.page_table_lock:
        with pytest.raises(Violation, match="context"):
            world.mm.get_user_page(0, False)


def test_hmm_takes_no_reference() -> None:
    world = world_of("munmap", pages=2)
    with installed(Scripted(world.threads[0])), world.mm.mmap_lock.read:
        assert world.mm.hmm_range_fault(0, True).refcount == 1
        assert world.mm.hmm_range_fault(1, True).refcount == 1
