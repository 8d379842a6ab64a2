"""Drivers whose pages are those of a program."""

from __future__ import annotations

from typing import Any

import pytest

from mmunotify.drivers.gru import Gru
from mmunotify.drivers.hold_off.counter_sequence import CounterSequence
from mmunotify.drivers.hold_off.rwsem import HeldRwSem
from mmunotify.drivers.kvm import Kvm
from mmunotify.drivers.odp import Odp
from mmunotify.drivers.odp_rwsem import OdpRwsem
from mmunotify.drivers.registration_cache import RegistrationCache
from mmunotify.drivers.svm import Svm
from mmunotify.drivers.xpmem import Xpmem
from mmunotify.lang.driver import Driver
from mmunotify.lang.interval_notifier import (
    MmuIntervalNotifier,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
)
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.lang.table import Table
from mmunotify.live.guarded import HookError
from mmunotify.live.memory import MemoryRange
from mmunotify.live.open_mm import OpenMm, opened
from mmunotify.live.open_table import OpenPages, OpenTable
from mmunotify.live.simulated import DeviceThreads

TOP = 1 << 47


def at(address: int) -> MemoryRange:
    """Return 16 pages from an address on."""
    return MemoryRange.around(address, address + (16 << 12), Event.UNMAP, "munmap")


@pytest.mark.parametrize(
    "kind", [CounterSequence, Gru, HeldRwSem, Kvm, Odp, OdpRwsem, RegistrationCache, Svm, Xpmem]
)
def test_many_sections(kind: type[Driver]) -> None:
    """Far more sections and pages than a check has, two of them open at a time."""
    failures: list[HookError] = []
    threads = DeviceThreads()
    with threads.running():
        mm = OpenMm(threads, failures.append)
        opened(kind, mm)
        for number in range(1, 300):
            one, two = at(number << 20), at(TOP - (number << 20))
            mm.section_begins(one)
            mm.section_begins(two)
            mm.section_ends(one)
            mm.section_ends(two)
        mm.notifiers.release()
    assert not failures


def test_flushes_and_pages() -> None:
    """What the driver knows of a page is dropped by a section over it, and by no other."""
    threads = DeviceThreads()
    with threads.running():
        driver = opened(Kvm, OpenMm(threads))
        assert isinstance(driver, Kvm)
        page = TOP >> 13
        frame: Any = object()
        driver.spte[page] = frame
        driver.invalidate_range_start(at((page + 1) << 12))
        assert (driver.tlb.flushes, driver.spte[page]) == (0, frame)
        driver.invalidate_range_start(at(page << 12))
        assert (driver.tlb.flushes, driver.spte[page]) == (1, None)


def test_object_of_each_page() -> None:
    """A table of objects has one for each page; `fill` takes all away."""
    pages = OpenPages()
    table: OpenTable[OpenPages | None] = OpenTable(pages, OpenPages())
    one, two = table[7], table[8]
    assert one is table[7]
    assert one is not two
    table.fill(None)
    assert table[7] is None
    assert {7, 8} <= set(table)


def test_interval_notifier() -> None:
    """It is told of what it covers, and of the pages that are known when all goes away."""

    class Covering(Driver):
        def __init__(self, mm: Any) -> None:
            super().__init__(mm)
            self.spte: Any = Table(mm.pages)
            self.whole = MmuIntervalNotifier(self)
            self.part = MmuIntervalNotifier(self, start=TOP >> 13, length=1)
            self.told: list[tuple[str, int, Event]] = []
            self.ranges: list[PageRange] = []

        def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
            mmu_interval_set_seq(sub, cur_seq)
            self.ranges.append(rng)
            self.told.append(("whole" if sub is self.whole else "part", rng.start, rng.event))
            return True

    threads = DeviceThreads()
    with threads.running():
        mm = OpenMm(threads)
        driver = opened(Covering, mm)
        assert isinstance(driver, Covering)
        page = TOP >> 13
        for address in (page << 12, (page + 1) << 12):
            seq = mmu_interval_read_begin(driver.whole)
            mm.section_begins(at(address))
            mm.section_ends(at(address))
            assert mmu_interval_read_retry(driver.whole, seq)
        unmap = Event.UNMAP
        assert driver.told == [
            ("whole", page, unmap),
            ("part", page, unmap),
            ("whole", page + 1, unmap),
        ]
        driver.told.clear()
        driver.spte[7] = driver
        mm.notifiers.release()
        [whole] = [rng for rng in driver.ranges if rng.event is Event.RELEASE]
        assert 7 in list(whole)
