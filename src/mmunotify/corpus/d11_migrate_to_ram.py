"""D11: a fault on a device-private page let go of the page table before it held the page."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class DeviceMemory(Subscriber):
    """A GPU; `device_entry` is an entry of the page table that names a page of its memory."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        frame = mm.frames[-1]
        frame.owner = Owner.MM
        frame.refcount.set(1)  # the entry's
        self.device_entry: Frame | None = frame


class FaultsWithoutReference(Operation):
    """A CPU touches the page, and the driver brings it back to memory."""

    name = "device_private"
    function = "do_swap_page"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, DeviceMemory)
        self.driver = driver

    def run(self) -> None:
        """`do_swap_page`."""
        with self.mm.page_table_lock:
            frame = self.driver.device_entry
            if frame is None:
                return
            self.hold(frame)
        assert frame.owner is not Owner.FREE, "migrate_to_ram is called for a page that is free"
        self.migrate_to_ram(frame)
        self.drop(frame)

    def migrate_to_ram(self, frame: Frame) -> None:
        """Replace the entry, which drops its reference."""
        with self.mm.page_table_lock:
            if self.driver.device_entry is frame:
                self.driver.device_entry = None
                frame.put()

    def hold(self, frame: Frame) -> None:
        """What keeps the page until migrate_to_ram has returned; page_table_lock is held."""

    def drop(self, frame: Frame) -> None:
        """Let go of it."""


class FaultsWithReference(FaultsWithoutReference):
    """As repaired."""

    def hold(self, frame: Frame) -> None:
        """`get_page`."""
        frame.get()

    def drop(self, frame: Frame) -> None:
        """`put_page`."""
        frame.put()


SCENARIOS = [
    Scenario("no_reference", (FaultsWithoutReference,) * 2, devices=0, pages=1, frames=2),
    Scenario("reference", (FaultsWithReference,) * 2, devices=0, pages=1, frames=2),
]

BUG = Bug(
    id="D11",
    title="migrate_to_ram without a reference",
    versions="until 2022",
    kind=Kind.SC,
    property="assertion",
    what=(
        "A fault reads a device-private entry under the page-table lock, drops the lock and calls "
        "the driver's migrate_to_ram with the page. Another fault on the same page has brought it "
        "back in between, and the page is free."
    ),
    fix="Take a reference before the page-table lock is dropped.",
    commits=(
        Commit(
            "16ce101db85d",
            Seen.MAIL,
            "mm/memory.c: fix race when faulting a device private page",
        ),
    ),
    buggy=Case(DeviceMemory, SCENARIOS[0]),
    fixed=Case(DeviceMemory, SCENARIOS[1]),
)
