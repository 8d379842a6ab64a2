"""What hooks return: refused where nothing looks at it, in every scenario."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import mmunotify
from mmunotify import EFAULT, RETRY, DiagnosticError, Driver, FaultResult, Table
from mmunotify.lang.page_range import PageRange
from mmunotify.primary import Frame, Mm

CODE = 5


class Plain(Driver):
    """A table."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.writable: Table[bool] = Table(mm.pages, False)
        self.fails = False

    def failed(self) -> Any:
        """Give a number."""
        return 1 if self.fails else 0


class NotBlocking(Plain):
    """Only the OOM reaper comes to this line."""

    def invalidate_range_start(self, rng: PageRange) -> Any:
        """Return as in C."""
        if not rng.blockable:
            return -errno.EAGAIN
        return 0


class OfHelper(Plain):
    """The value comes from somewhere else."""

    def invalidate_range_end(self, rng: PageRange) -> Any:
        """Change what it depends on, so that it is no constant."""
        self.fails = True
        return self.failed()


class Named(Plain):
    """The value has a name."""

    def release(self) -> Any:
        """Return it."""
        return CODE


class Thrower(Plain):
    """Returns what it should raise."""

    def fault(self, page: int, write: bool) -> Any:
        """Fail for writes."""
        return EFAULT if write else None


class Giver(Plain):
    """Returns what it found."""

    def fault(self, page: int, write: bool) -> Any:
        """Return a frame."""
        frame = self.mm.get_user_page(page, write)
        frame.put()
        return frame


@pytest.mark.parametrize(
    ("driver", "hook"),
    [
        (NotBlocking, "invalidate_range_start"),
        (OfHelper, "invalidate_range_end"),
        (Named, "release"),
        (Thrower, "fault"),
        (Giver, "fault"),
    ],
)
def test_lost(driver: type[Driver], hook: str) -> None:
    """One error, at the line of the return statement."""
    scenario = "exit" if hook == "release" else "munmap"
    with pytest.raises(DiagnosticError) as caught:
        mmunotify.check(driver, scenario=scenario)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E312"
    assert diagnostic.what == f"{hook} returns a value that nothing looks at"


class Answering(Plain):
    """Returns what may be returned."""

    def invalidate_range_start(self, rng: PageRange) -> Any:
        """Return 0, by way of a helper."""
        self.spte.fill(None)
        return self.tlb.flush()

    def invalidate_range_end(self, rng: PageRange) -> Any:
        """Return success."""
        return 0

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Return either."""
        return self.install(page) if write else None

    def install(self, page: int) -> FaultResult | None:
        """Return either."""
        if self.spte[page] is None:
            return RETRY
        return None


def test_kept() -> None:
    """None, 0 and RETRY are answers."""
    # Whoever answers RETRY for ever makes no progress, which is not what is asked here.
    found = mmunotify.check(Answering, scenario="munmap", properties="no_stale_translation")
    assert found.verdict == "HOLDS"
