"""The forms of invalidation that the mail of 2 April 2008 weighs (its claims 15 to 18), measured.

Invariant: N pages are mapped by the driver before, and none after; only what happens in between is
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmunotify.cost.meter import Cost, Meter
from mmunotify.drivers.end_only import EndOnly
from mmunotify.drivers.kvm import Kvm
from mmunotify.drivers.odp import Odp
from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.pages import Pages
from mmunotify.lang.runtime import Alone, installed
from mmunotify.lang.thread import Thread
from mmunotify.primary.frame import Owner
from mmunotify.primary.mm import Mm
from mmunotify.primary.secondary_tlb import SecondaryTlb
from mmunotify.protocols import PROTOCOLS

__all__ = ["CAPACITY", "FORMS", "SUBSCRIBERS", "Form"]

CAPACITY = 64
"""Pages that the array of the end-only form holds."""

SUBSCRIBERS = (1, 4)
"""How many interval notifiers cover the pages, one form each."""


class ManyPages(Pages):
    """More pages than a check can hold: for bodies that run as plain Python."""

    def __init__(self, count: int) -> None:
        self.size = count


@dataclass(frozen=True)
class Form:
    """One way to invalidate N pages: its subscribers, and whether each page is a section."""

    name: str
    text: str
    subscribers: Callable[[Mm], Sequence[Driver]]
    protocol: str = "srcu"
    by_page: bool = False

    def measure(self, pages: int) -> Cost:
        """Count what the invalidation of `pages` mapped pages takes."""
        mm = Mm(ManyPages(pages), pages)
        drivers = tuple(self.subscribers(mm))
        for driver in drivers:
            driver.tlb = SecondaryTlb(driver, devices=0)  # flushes are counted, nothing is cached
        mm.drivers = drivers
        thread = Thread("munmap", lambda: None)
        mm.notifiers = PROTOCOLS[self.protocol](mm, drivers, True)
        mm.notifiers.changes = False
        for driver in drivers:
            mm.notifiers.by_driver[driver].attach([thread])
        with installed(Alone(thread)):
            _map_all(mm)
            meter = Meter(drivers)
            for rng in self._ranges(pages):
                mm.notifiers.invalidate_range_start(rng)
                mm.notifiers.invalidate_range_end(rng)
        _require_dropped(mm)
        return meter.cost

    def _ranges(self, pages: int) -> Sequence[PageRange]:
        if self.by_page:
            return [PageRange(page) for page in range(pages)]
        return [PageRange(0, pages)]


def _map_all(mm: Mm) -> None:
    """Map every page, and have every driver translate it."""
    for page in mm.pages:
        frame = mm.frames[page]
        frame.owner = Owner.MM
        frame.refcount.set(1)
        mm.set_pte(page, frame, True)
        for driver in mm.drivers:
            driver.fault(page, True)


def _require_dropped(mm: Mm) -> None:
    for driver in mm.drivers:
        left = [page for page in mm.pages if driver.walk(page) is not None]
        assert not left, f"{driver.name} still translates {len(left)} pages"


FORMS: tuple[Form, ...] = (
    Form("start_end", "range_start and range_end, one flush (KVM)", lambda mm: [Kvm(mm)]),
    Form(
        "end_only",
        f"range_end alone, an array of {CAPACITY} pages",
        lambda mm: [EndOnly(mm, CAPACITY)],
    ),
    Form("by_page", "a section for each page (KVM)", lambda mm: [Kvm(mm)], by_page=True),
    *(
        Form(
            f"interval_{count}",
            f"interval notifiers, {count} subscribers (RDMA)",
            lambda mm, count=count: [Odp(mm) for _ in range(count)],  # type: ignore[misc]
            protocol="interval",
        )
        for count in SUBSCRIBERS
    ),
)
"""The forms, the one that Linux took first."""
