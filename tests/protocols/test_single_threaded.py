"""Registration by the only thread excludes the sections of the process, no foreign ones."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, scenario, verdict_of
from tests.protocols.under import under

from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.page_range import PageRange


class Tolerant(Kvm):
    """Ignores an end without its start, as the discussion wanted drivers to."""

    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.mmu_lock:
            self.mmu_invalidate_seq.bump()
            if self.mmu_invalidate_in_progress > 0:
                self.mmu_invalidate_in_progress -= 1


@pytest.mark.parametrize("name", ["munmap/register", "madvise_dontneed/register", "cow/register"])
def test_own_sections_are_excluded(name: str) -> None:
    assert under("single_threaded", name) == HOLDS


def test_a_foreign_zapper() -> None:
    """T5: the section has begun, the driver comes and maps the page, and the page is freed."""
    assert stale("single_threaded", "punch_hole/register")
    assert stale("single_threaded", "migrate/register")
    assert not stale("single_threaded", "munmap/register")
    assert not stale("take_all_locks", "punch_hole/register")


def stale(protocol: str, name: str) -> bool:
    """Tell whether a scenario violates `no_stale_translation`, whatever else it violates."""
    world = scenario(name, Tolerant).build(Tolerant, {"protocol": protocol})
    return verdict_of(world, {"no_stale_translation"}) != HOLDS
