"""The meter counts what bodies do, and changes nothing of it."""

from __future__ import annotations

from mmunotify.cost import Meter
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.runtime import Alone, installed
from mmunotify.lang.thread import Thread
from mmunotify.primary.mm import Mm
from mmunotify.primary.secondary_tlb import SecondaryTlb


def test_nothing_to_zap() -> None:
    """KVM flushes only if there was an spte."""
    mm = Mm(2)
    driver = Kvm(mm)
    driver.tlb = SecondaryTlb(driver)
    meter = Meter([driver])
    with installed(Alone(Thread("munmap", lambda: None))):
        driver.invalidate_range_start(PageRange(0, 2))
        driver.invalidate_range_end(PageRange(0, 2))
    assert (meter.cost.callbacks, meter.cost.locks, meter.cost.flushes) == (2, 2, 0)
    assert driver.mmu_invalidate_in_progress == 0
    assert driver.mmu_lock.owner is None
