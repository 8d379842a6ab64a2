"""GRU: what its hardware does for it, and what its missing release method costs."""

from __future__ import annotations

import pytest
from tests.check.verdicts import HOLDS, verdict
from tests.drivers.expected import EXPECTED

from mmunotify.drivers.gru import Gru
from mmunotify.lang import Epoch
from mmunotify.primary import Mm

EXIT = EXPECTED["gru"].violates["no_stale_translation"]


class WithRelease(Gru):
    """A GRU whose contexts are unloaded before the frames go."""

    def release(self) -> None:
        self.tlb.flush()


class WithSequence(Gru):
    """Hardware that takes every drop-in, and a sequence in its place, checked too early."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.seq = Epoch()

    def try_dropin(self, page: int, write: bool) -> None:
        seq = self.seq.read()
        if self.ms_range_active.read() == 0:
            frame = self.vtop(page, write)
            if self.seq.read() == seq:
                self.tlb.insert(page, frame, write)


@pytest.mark.parametrize("name", ["exit", "migrate+exit"])
def test_release_repairs_the_exit(name: str) -> None:
    assert verdict(Gru, name).startswith("no_stale")
    assert verdict(WithRelease, name) == HOLDS


@pytest.mark.long
@pytest.mark.parametrize("name", EXIT)
def test_release_repairs_every_exit(name: str) -> None:
    assert verdict(WithRelease, name) == HOLDS


def test_no_check_replaces_the_hardware() -> None:
    """Between a driver's last check and its drop-in there is always room for an invalidation."""
    assert verdict(WithSequence, "munmap").startswith("no_stale_translation")
