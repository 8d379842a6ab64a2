"""KVM as merged in 2008: its two bugs, and that nothing else was wrong with it."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, verdict
from tests.drivers.expected import EXPECTED

from mmunotify.drivers.kvm_2_6_27 import Kvm2627
from mmunotify.lang import PageRange

LATE = EXPECTED["kvm_2_6_27"].violates["no_stale_translation"]


class FlushesUnderLock(Kvm2627):
    """The repair of the first bug."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.mmu_lock:
            self.mmu_notifier_count += 1
            flush = False
            for page in rng:
                if self.unmap_hva(page):
                    flush = True
            if flush:
                self.tlb.flush()


class GivesBack(Kvm2627):
    """Asks for what the second bug kept: no reference outlives the address space."""

    def quiescent(self) -> bool:
        alive = self.mm.users > 0
        return alive or all(self.spte[page] is None for page in self.mm.pages)


class Releases(GivesBack):
    """The repair of the second bug, 85db06e51442."""

    def release(self) -> None:
        with self.mmu_lock:
            for page in self.mm.pages:
                self.unmap_hva(page)
            self.tlb.flush()


QUICK = ("munmap+punch_hole", "punch_hole+migrate", "mprotect+punch_hole")


@pytest.mark.parametrize("name", QUICK)
def test_the_flush_under_the_lock_repairs_it(name: str) -> None:
    assert verdict(Kvm2627, name) != HOLDS
    assert verdict(FlushesUnderLock, name) == HOLDS


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in LATE if name not in QUICK])
def test_the_flush_under_the_lock_repairs_everything(name: str) -> None:
    assert verdict(FlushesUnderLock, name) == HOLDS


def test_references_outlive_the_address_space() -> None:
    """Safe, since they are references; but the frames are lost until the virtual machine goes."""
    assert verdict(Kvm2627, "exit") == HOLDS
    assert verdict(GivesBack, "exit").startswith("quiescent")
    assert verdict(Releases, "exit") == HOLDS
