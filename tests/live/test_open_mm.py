"""Drivers whose pages are those of a program."""

from __future__ import annotations

from typing import Any

import pytest

from mmunotify.drivers.gru import Gru
from mmunotify.drivers.hold_off.counter_sequence import CounterSequence
from mmunotify.drivers.hold_off.rwsem import HeldRwSem
from mmunotify.drivers.kvm import Kvm
from mmunotify.drivers.odp_rwsem import OdpRwsem
from mmunotify.drivers.registration_cache import RegistrationCache
from mmunotify.drivers.xpmem import Xpmem
from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import Event
from mmunotify.live.memory import MemoryRange
from mmunotify.live.open_mm import OpenPages, OpenTable, opened
from mmunotify.live.runtime import Threads

TOP = 1 << 47


def at(address: int) -> MemoryRange:
    """Return 16 pages from an address on."""
    return MemoryRange.around(address, address + (16 << 12), Event.UNMAP, "munmap")


@pytest.mark.parametrize(
    "kind", [CounterSequence, Gru, HeldRwSem, Kvm, OdpRwsem, RegistrationCache, Xpmem]
)
def test_many_sections(kind: type[Driver]) -> None:
    """Far more sections and pages than a check has, two of them open at a time."""
    with Threads().running():
        driver = opened(kind)
        for number in range(1, 300):
            one, two = at(number << 20), at(TOP - (number << 20))
            driver.invalidate_range_start(one)
            driver.invalidate_range_start(two)
            driver.invalidate_range_end(one)
            driver.invalidate_range_end(two)
        driver.release()


def test_flushes_and_pages() -> None:
    """What the driver knows of a page is dropped by a section over it, and by no other."""
    with Threads().running():
        driver = opened(Kvm)
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
