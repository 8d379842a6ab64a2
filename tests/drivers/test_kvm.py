"""KVM holds in every standard scenario, and without any one of its parts it does not."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, scenario, verdict, verdict_of

from mmunotify.check.plain import Ending, PlainRun
from mmunotify.check.scenario import standard
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import RETRY, Driver, Event, FaultResult, Mutex, PageRange
from mmunotify.primary import Mm

QUICK = ("munmap", "mprotect", "cow", "exit", "munmap/register", "punch_hole/unregister")


@pytest.mark.parametrize("name", QUICK)
def test_kvm_holds(name: str) -> None:
    assert verdict(Kvm, name) == HOLDS


@pytest.mark.long
@pytest.mark.parametrize("name", [s.name for s in standard(Kvm, all_pairs=True)])
def test_kvm_holds_in_all_pairs(name: str) -> None:
    chosen = next(s for s in standard(Kvm, all_pairs=True) if s.name == name)
    assert verdict_of(chosen.build(Kvm)) == HOLDS


@pytest.mark.parametrize("name", [s.name for s in standard(Kvm)])
def test_no_plain_run_hurts_kvm(name: str) -> None:
    for seed in range(3):
        outcome = PlainRun(scenario(name, Kvm).build(Kvm)).random_run(seed)
        assert outcome.ending is Ending.DONE, (seed, outcome.violation)


class ChecksSequenceOnly(Kvm):
    def mmu_invalidate_retry(self, mmu_seq: int) -> bool:
        return self.mmu_invalidate_seq.read() != mmu_seq


class ChecksCountOnly(Kvm):
    def mmu_invalidate_retry(self, mmu_seq: int) -> bool:
        return self.mmu_invalidate_in_progress > 0


class ReadsSequenceLate(Kvm):
    def fault(self, page: int, write: bool) -> FaultResult | None:
        frame = self.mm.get_user_page(page, write)
        mmu_seq = self.mmu_invalidate_seq.read()
        with self.mmu_lock:
            stale = self.mmu_invalidate_retry(mmu_seq)
            if not stale and not self.access_allowed(page, write):
                self.set_spte(page, frame, write)
        frame.put()
        return RETRY if stale else None


class NeverBumps(Kvm):
    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.mmu_lock:
            self.mmu_invalidate_in_progress -= 1


class NeverFlushes(Kvm):
    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.mmu_lock:
            self.mmu_invalidate_in_progress += 1
            self.unmap_gfn_range(rng)


class FlushesAfterUnlock(Kvm):
    """As in 2.6.27: another section finds no spte, and so does not flush."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.mmu_lock:
            self.mmu_invalidate_in_progress += 1
            flush = self.unmap_gfn_range(rng)
        if flush:
            self.tlb.flush()


class NoRelease(Kvm):
    """Before 85db06e51442."""

    release = Driver.release


class IgnoresProtection(Kvm):
    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.mmu_lock:
            self.mmu_invalidate_in_progress += 1
            if rng.event is not Event.PROTECTION_VMA and self.unmap_gfn_range(rng):
                self.tlb.flush()


class InstallsUnlocked(Kvm):
    def fault(self, page: int, write: bool) -> FaultResult | None:
        mmu_seq = self.mmu_invalidate_seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.mmu_lock:
            stale = self.mmu_invalidate_retry(mmu_seq)
        if not stale and not self.access_allowed(page, write):
            self.set_spte(page, frame, write)
        frame.put()
        return RETRY if stale else None


class LeaksOnRetry(Kvm):
    def fault(self, page: int, write: bool) -> FaultResult | None:
        mmu_seq = self.mmu_invalidate_seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.mmu_lock:
            if self.mmu_invalidate_retry(mmu_seq):
                return RETRY
            if not self.access_allowed(page, write):
                self.set_spte(page, frame, write)
        frame.put()
        return None


class PutsTwice(Kvm):
    def fault(self, page: int, write: bool) -> FaultResult | None:
        result = super().fault(page, write)
        if result is RETRY and self.spte[page] is None:
            frame = self.mm.pte[page]
            if frame is not None:
                frame.put()
        return result


class FaultsUnderSpinlock(Kvm):
    def fault(self, page: int, write: bool) -> FaultResult | None:
        with self.mmu_lock:
            frame = self.mm.get_user_page(page, write)
            self.set_spte(page, frame, write)
        frame.put()
        return None


class FaultsUnderMutex(FaultsUnderSpinlock):
    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mmu_lock = Mutex()  # type: ignore[assignment]


class NeverYoung(Kvm):
    def clear_flush_young(self, rng: PageRange) -> bool:
        return False


class SkipsAnEnd(Kvm):
    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.mmu_lock:
            self.mmu_invalidate_seq.bump()


class MapsReadOnlyWritable(Kvm):
    def set_spte(self, page: int, frame: object, write: bool) -> None:
        super().set_spte(page, frame, True)  # type: ignore[arg-type]


MUTANTS: list[tuple[type[Kvm], str, str]] = [
    (ChecksSequenceOnly, "munmap", "no_stale_translation"),
    (ChecksCountOnly, "munmap", "no_stale_translation"),
    (ReadsSequenceLate, "munmap", "no_stale_translation"),
    (NeverBumps, "munmap", "no_stale_translation"),
    (NeverFlushes, "munmap", "no_stale_translation"),
    (FlushesAfterUnlock, "munmap", HOLDS),
    (FlushesAfterUnlock, "madvise_dontneed+punch_hole", "no_stale_translation"),
    (NoRelease, "munmap", HOLDS),
    (NoRelease, "exit", "no_stale_translation"),
    (NoRelease, "munmap/unregister", "no_stale_translation"),
    (IgnoresProtection, "mprotect", "no_write_after_protect"),
    (InstallsUnlocked, "punch_hole", "no_stale_translation"),
    (LeaksOnRetry, "madvise_dontneed", "quiescent"),
    (PutsTwice, "madvise_dontneed", "quiescent"),
    (FaultsUnderSpinlock, "munmap", "context"),
    (FaultsUnderMutex, "munmap", "no_deadlock"),
    (FaultsUnderMutex, "cow", "no_deadlock"),
    (NeverYoung, "reclaim", "aging_not_lost"),
    (SkipsAnEnd, "mprotect", "quiescent"),
    (MapsReadOnlyWritable, "cow", "no_write_after_protect"),
    (MapsReadOnlyWritable, "ksm", "no_write_after_protect"),
]


@pytest.mark.parametrize(
    ("mutant", "name", "expected"), MUTANTS, ids=[f"{m.__name__}-{n}" for m, n, _ in MUTANTS]
)
def test_mutants(mutant: type[Kvm], name: str, expected: str) -> None:
    found = verdict(mutant, name)
    assert found.split(":")[0] == expected, found
