"""The interval tree, step by step: its three states, what waits for it to thaw, and who waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.protocols.test_interval import Willing

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.lang import (
    MmuIntervalNotifier,
    PageRange,
    Violation,
    mmu_interval_notifier_insert,
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
)
from mmunotify.lang.runtime import Alone, WouldBlock, installed
from mmunotify.primary.mm import Mm
from mmunotify.protocols import IntervalNotifiers, IntervalTree


class TwoHalves(Willing):
    """A range on the first page, and one on the second that is not inserted yet."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.interval_notifiers = ()
        self.first = MmuIntervalNotifier(self, 0, 1)
        self.second = MmuIntervalNotifier(self, 1, 1, by_hand=True)


FIRST, SECOND = PageRange(0), PageRange(1)


@pytest.fixture
def driver() -> Iterator[TwoHalves]:
    """Return a driver in a world, with nobody else running."""
    world = Scenario("munmap", ("munmap",), protocol="interval").build(TwoHalves)
    found = world.drivers[0]
    assert isinstance(found, TwoHalves)
    with installed(Alone(world.threads[0])):
        yield found


def tree_of(driver: TwoHalves) -> IntervalTree:
    notifiers = driver.mm.notifiers
    assert isinstance(notifiers, IntervalNotifiers)
    return notifiers.tree


def test_three_states(driver: TwoHalves) -> None:
    """Idle; a section of no subscribed range, in which the tree may change; excluded."""
    tree = tree_of(driver)
    before = tree.invalidate_seq.read()
    tree.invalidate(SECOND)
    assert (tree.active_invalidate_ranges.read(), tree.excluded) == (1, False)
    assert tree.invalidate_seq.read() == before
    tree.invalidate(FIRST)
    assert (tree.active_invalidate_ranges.read(), tree.excluded) == (2, True)
    tree.inv_end()
    assert tree.excluded, "the last section thaws the tree, not the one that froze it"
    tree.inv_end()
    assert (tree.active_invalidate_ranges.read(), tree.excluded) == (0, False)
    assert tree.quiescent()


def test_a_reader_waits_while_its_range_is_invalidated(driver: TwoHalves) -> None:
    tree = tree_of(driver)
    seq = mmu_interval_read_begin(driver.first)
    assert not mmu_interval_read_retry(driver.first, seq)
    tree.invalidate(FIRST)
    assert mmu_interval_read_retry(driver.first, seq)
    with pytest.raises(WouldBlock):
        mmu_interval_read_begin(driver.first)
    tree.inv_end()
    later = mmu_interval_read_begin(driver.first)
    assert later != seq
    assert not mmu_interval_read_retry(driver.first, later)


def test_an_idle_tree_takes_it_at_once(driver: TwoHalves) -> None:
    mmu_interval_notifier_insert(driver.second)
    assert driver.second.inserted
    mmu_interval_read_begin(driver.second)


def test_born_colliding(driver: TwoHalves) -> None:
    """In the middle of a section the tree does not freeze for, it freezes for the newcomer."""
    tree = tree_of(driver)
    tree.invalidate(SECOND)
    mmu_interval_notifier_insert(driver.second)
    assert driver.second.inserted
    assert tree.excluded
    with pytest.raises(WouldBlock):
        mmu_interval_read_begin(driver.second)
    tree.inv_end()
    mmu_interval_read_begin(driver.second)


def test_inserted_when_the_tree_thaws(driver: TwoHalves) -> None:
    tree = tree_of(driver)
    tree.invalidate(FIRST)
    mmu_interval_notifier_insert(driver.second)
    assert (driver.second.inserted, driver.second.deferred) == (False, True)
    assert not tree.quiescent()
    tree.inv_end()
    assert (driver.second.inserted, driver.second.deferred) == (True, False)


def test_removed_before_it_was_inserted(driver: TwoHalves) -> None:
    """It was never in the tree, so nobody can be calling it: no wait."""
    tree = tree_of(driver)
    tree.invalidate(FIRST)
    mmu_interval_notifier_insert(driver.second)
    mmu_interval_notifier_remove(driver.second)
    assert not driver.second.deferred
    tree.inv_end()
    assert not driver.second.inserted


def test_removed_when_the_tree_thaws(driver: TwoHalves) -> None:
    tree = tree_of(driver)
    tree.invalidate(FIRST)
    with pytest.raises(WouldBlock):
        mmu_interval_notifier_remove(driver.first)
    assert (driver.first.inserted, driver.first.deferred) == (True, True)
    tree.inv_end()
    assert (driver.first.inserted, driver.first.deferred) == (False, False)


def test_a_section_that_never_began(driver: TwoHalves) -> None:
    with pytest.raises(Violation, match="paired"):
        tree_of(driver).inv_end()


def test_the_first_insertion_excludes_all_sections() -> None:
    """Before it nobody counts sections, so it must not fall into one."""
    late = Membership(registers=True)
    world = Scenario("munmap", ("munmap",), membership=late, protocol="interval").build(Willing)
    mm = world.mm
    mm.rmap_lock.readers.set(1)
    assert isinstance(mm.notifiers, IntervalNotifiers)
    with installed(Alone(world.threads[0])), pytest.raises(WouldBlock):
        mm.notifiers.register(mm.drivers[0])
    assert not mm.notifiers.tree.has_itree
