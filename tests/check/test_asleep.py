"""Why a thread must not sleep where it does."""

from __future__ import annotations

import re

import mmunotify
from mmunotify import EAGAIN, Driver, Mutex, Rcu, RwLock, SpinLock, Table
from mmunotify.lang.page_range import PageRange
from mmunotify.primary import Frame, Mm


class Sleepy(Driver):
    """A table under a mutex."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Sleep, also where that is forbidden."""
        with self.lock:
            self.spte.fill(None)


class Under(Sleepy):
    """Looks a page up while it reads under RCU and holds a rwlock."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.rcu = Rcu()
        self.table = RwLock()
        self.spin = SpinLock()

    def fault(self, page: int, write: bool) -> None:
        """Take a lock and give it back; then hold two things."""
        with self.spin:
            self.spte[page] = None
        with self.rcu, self.table.write:
            self.look(page, write)

    def look(self, page: int, write: bool) -> None:
        """Sleep."""
        self.mm.get_user_page(page, write).put()


class Early(Sleepy):
    """Gives up in a section that may block."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Fail."""
        raise EAGAIN


def why(driver: type[Driver], scenario: str) -> str:
    """Return why `context` is violated."""
    result = mmunotify.check(driver, scenario=scenario)
    assert result.property == "context"
    return str(result.why)


def test_section_that_may_not_block() -> None:
    """The hook is called for a range that is not blockable."""
    assert why(Sleepy, "oom_reaper") == (
        "Step 2 (`lock.acquire` in invalidate_range_start()) may sleep, and oom_reaper must not, "
        "in atomic context since it began, at step 2, to call hooks for a range that is not "
        "blockable."
    )


def test_lock_that_is_held() -> None:
    """What was given back is not named."""
    found = why(Under, "munmap")
    assert "may sleep, and device0 must not, in atomic context since `rcu.read_lock`" in found
    assert "and since `table.write.write_lock` at step" in found
    assert "spin" not in found


def test_eagain() -> None:
    """The line that gives up is named."""
    assert re.sub(r"\d+", "N", why(Early, "munmap")) == (
        "Step N (`raise EAGAIN` in invalidate_range_start()) gives up, and the section of munmap "
        "may block: EAGAIN is an answer for a range that is not blockable only."
    )
