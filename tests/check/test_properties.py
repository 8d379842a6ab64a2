"""The properties against other kinds of secondary MMU than KVM: neither blind nor too strict."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, verdict

from mmunotify.check.scenario import standard
from mmunotify.lang import (
    EFAULT,
    RETRY,
    Counter,
    Driver,
    Epoch,
    FaultResult,
    PageRange,
    SpinLock,
    Table,
)
from mmunotify.primary import Frame, Mm


class Sva(Driver):
    """Hardware that walks the CPUs' page table and is flushed with them."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte = mm.pte
        self.writable = mm.pte_write
        self.attached = True

    def walk(self, page: int) -> Frame | None:
        return self.spte[page] if self.attached else None

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        self.tlb.flush_range(rng)

    def release(self) -> None:
        self.attached = False
        self.tlb.flush()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        if not self.attached:
            raise EFAULT
        self.mm.get_user_page(page, write).put()
        return None


class SvaUnflushed(Sva):
    """Flushes nothing."""

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        pass


class Loaded(Driver):
    """A TLB loaded by software, and no table (GRU)."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.active = Counter(high=7)
        self.seq = Epoch()
        self.dead = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.lock:
            self.active += 1
            self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.lock:
            self.seq.bump()
            self.active -= 1

    def release(self) -> None:
        with self.lock:
            self.dead = True
            self.tlb.flush()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, True)
        with self.lock:
            stale = self.active > 0 or self.seq.read() != seq
            if not stale and not self.dead:
                self.tlb.insert(page, frame)
        frame.put()
        if self.dead:
            raise EFAULT
        return RETRY if stale else None


class BumpsAtStart(Loaded):
    """A fault that begins and ends its GUP inside a section is not seen."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.lock:
            self.active += 1
            self.seq.bump()
            self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.lock:
            self.active -= 1


class Pinned(Driver):
    """Holds a reference to every frame it maps, and never listens (registered memory)."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)

    def fault(self, page: int, write: bool) -> FaultResult | None:
        frame = self.mm.get_user_page(page, True)
        with self.lock:
            if self.spte[page] is not None:
                frame.put()
            else:
                self.spte[page] = frame
        return None


QUICK = ("munmap", "madvise_free", "mprotect", "mremap", "migrate", "cow", "punch_hole/2 devices")
NAMES = [scenario.name for scenario in standard(Driver)]


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("driver", [Sva, Loaded])
def test_right_drivers_hold(driver: type[Driver], name: str) -> None:
    assert verdict(driver, name) == HOLDS


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("driver", [Sva, Loaded])
def test_right_drivers_hold_everywhere(driver: type[Driver], name: str) -> None:
    assert verdict(driver, name) == HOLDS


def test_a_walker_must_be_flushed() -> None:
    assert verdict(SvaUnflushed, "munmap").startswith("no_stale_translation")


def test_the_sequence_moves_at_the_end_of_a_section() -> None:
    assert verdict(BumpsAtStart, "munmap").startswith("no_stale_translation")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("munmap", HOLDS),
        ("mremap", HOLDS),
        ("migrate", HOLDS),
        ("exit", HOLDS),
        ("mprotect", "no_write_after_protect"),
        ("mmap_fixed+cpu_write", "no_stale_bytes"),
    ],
)
def test_pins_make_safe_but_not_coherent(name: str, expected: str) -> None:
    """A frame that is held is never freed; what the process sees and what the device sees part."""
    assert verdict(Pinned, name).split(":")[0] == expected
