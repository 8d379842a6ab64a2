"""What the model allows."""

from __future__ import annotations

import pytest

from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.page_range import PageRange
from mmunotify.litmus.case import Case, shipped
from mmunotify.litmus.model import allowed
from mmunotify.litmus.row import how_often

CASES = shipped()


class Deaf(Kvm):
    """Drops nothing when it is told to."""

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        return False


class WithoutFlush(Kvm):
    """Drops the translations, and leaves them in the virtual CPUs' caches."""

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        super().unmap_gfn_range(rng)
        return False


class WithoutRetry(Kvm):
    """Installs whatever it has looked up."""

    def mmu_invalidate_retry(self, mmu_seq: int) -> bool:
        return False


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_shipped(case: Case) -> None:
    """The model says what the case has been found to say."""
    assert how_often(case, allowed(case).outcomes) == case.model


@pytest.mark.parametrize("name", ["dontneed-read", "cow-read", "mprotect-write", "mremap-old"])
def test_reduction_loses_no_outcome(name: str) -> None:
    """All interleavings of steps give the same outcomes."""
    reduced, whole = allowed(CASES[name]), allowed(CASES[name], reduced=False)
    assert reduced.outcomes == whole.outcomes
    assert reduced.states < whole.states


class Forgetful(Kvm):
    """Says that nothing was used."""

    def age_gfn_range(self, rng: PageRange) -> bool:
        return False


class Remembering(Kvm):
    """Does not clear the accessed bits."""

    def age_gfn_range(self, rng: PageRange) -> bool:
        return any(self.accessed[page] for page in rng)


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("dontneed-read", Deaf),
        ("mprotect-write", Deaf),
        ("cow-read", Deaf),
        ("mremap-old", Deaf),
        ("dontneed-untouched", WithoutRetry),
        ("munmap-fault", WithoutRetry),
        ("two-vcpus", Deaf),
        ("punch-hole-read", Deaf),
        ("aging-used", Forgetful),
        ("aging-once", Remembering),
    ],
)
def test_broken_driver_is_seen(name: str, driver: type[Kvm]) -> None:
    """What never happens with KVM happens with a driver that lacks a line: no case is vacuous."""
    assert how_often(CASES[name], allowed(CASES[name], driver=driver).outcomes) != "Never"


def test_cache_without_flush() -> None:
    """A read before the flag fills the cache, and the one after it is stale."""
    case = CASES["munmap-fault"]
    assert how_often(case, allowed(case, driver=WithoutFlush).outcomes) == "Sometimes"


def test_unfinished_search_is_no_answer() -> None:
    """A bound that is reached raises."""
    with pytest.raises(RuntimeError, match="incomplete"):
        allowed(CASES["two-vcpus"], reduced=False, seconds=0.0)
