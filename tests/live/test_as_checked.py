"""The cache that runs against the driver that is checked: the same steps, the same outcome.

`drivers/registration_cache.py` is what `check` has run through every interleaving. The cache that
runs is native, so it is another source; here both take the same random steps, with sections that
begin and end in the middle of a registration as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from tests.live.raw import PAGE, Memory

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.drivers.registration_cache import RegistrationCache as Checked
from mmunotify.drivers.registration_cache import Slot
from mmunotify.lang import PageRange
from mmunotify.live import Need
from mmunotify.live.operations import OPERATIONS
from mmunotify.live.registration import Registration
from mmunotify.live.runtime import Threads
from mmunotify.primary.frame import Owner

PAGES = 4
SLOTS = 24


class Frame:
    """A frame of the checked driver: its references are counted."""

    owner = Owner.MM

    def __init__(self, pins: list[int]) -> None:
        self.pins = pins
        pins[0] += 1

    def put(self) -> None:
        """Give the reference back."""
        self.pins[0] -= 1


class Device:
    """A device that counts registrations; `meanwhile` runs in the middle of the next one."""

    name = "counting"
    need = Need.PINNED
    covers = frozenset(operation.name for operation in OPERATIONS)

    def __init__(self) -> None:
        self.registered = 0
        self.meanwhile: Callable[[], None] | None = None

    def register(self, address: int, length: int) -> int:
        """Count."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self.registered += 1
        return address // length

    def deregister(self, key: int) -> None:
        """Count down."""
        self.registered -= 1

    def clear_young(self, key: int) -> bool:
        """Nobody knows."""
        return False


class Both:
    """The cache and the driver, which take every step together."""

    def __init__(self, mm: AddressSpace) -> None:
        self.memory = Memory(PAGES)
        self.device = Device()
        self.cache = RegistrationCache(mm, self.device, capacity=SLOTS)
        self.pins = [0]
        self.meanwhile: Callable[[], None] | None = None
        world = SimpleNamespace(pages=range(PAGES), get_user_page=self.pinned)
        self.driver = Checked(world, capacity=SLOTS)  # type: ignore[arg-type]
        self.driver.tlb = SimpleNamespace(flush=lambda: None, flush_range=lambda rng: None)
        self.open = [0] * PAGES
        self.held: list[tuple[Registration, Slot | None]] = []

    def pinned(self, page: int, write: bool) -> Frame:
        """The driver's device."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return Frame(self.pins)

    def span(self, page: int) -> tuple[int, int]:
        """Where a page is."""
        return self.memory.address + page * PAGE, PAGE

    # -- steps ----------------------------------------------------------------------------------

    def get(self, page: int, meanwhile: list[bool]) -> None:
        """Look up and register; sections begin (True) or end in the middle of that."""
        kept = self.slot_of(page, meanwhile)
        self.device.meanwhile = self.on_cache(page, meanwhile)
        registration = self.cache.get(self.span(page))
        self.device.meanwhile = None
        assert (registration.slot >= 0) == (kept is not None)
        self.held.append((registration, kept))
        self.note(page, meanwhile)

    def slot_of(self, page: int, meanwhile: list[bool]) -> Slot | None:
        """Have the driver do what a fault does, once more if a section began meanwhile.

        Where one was open from the beginning the cache does not try again: what it registers is
        for one use.
        """
        found = self.driver.hit(page)
        if found is not None:
            meanwhile.clear()  # nothing is registered, so nothing has a middle
            return found
        self.meanwhile = self.on_driver(page, meanwhile)
        found = self.driver.miss(page)
        return self.driver.miss(page) if found is None and True in meanwhile else found

    def release(self, which: int) -> None:
        """A user leaves."""
        registration, slot = self.held.pop(which % len(self.held))
        registration.release()
        if slot is not None:
            self.driver.leave(slot)

    def section(self, page: int, begins: bool) -> None:
        """A section begins or ends."""
        steps = [begins]
        self.on_driver(page, steps)()
        self.on_cache(page, steps)()
        self.note(page, steps)

    def on_driver(self, page: int, steps: list[bool]) -> Callable[[], None]:
        """Return what has the driver told of sections."""
        hooks = self.driver.invalidate_range_end, self.driver.invalidate_range_start

        def told() -> None:
            for begins in steps:
                hooks[begins](PageRange(page))

        return told

    def on_cache(self, page: int, steps: list[bool]) -> Callable[[], None]:
        """Return what has the cache told."""
        address, length = self.span(page)
        space = self.cache.mm.space
        calls = space.end_unmap, space.begin_unmap

        def told() -> None:
            for begins in steps:
                calls[begins](address, address + length)

        return told

    def note(self, page: int, steps: list[bool]) -> None:
        """Remember how many sections are open."""
        for begins in steps:
            self.open[page] += 1 if begins else -1

    def compare(self) -> None:
        """What lookups find, and what the devices have."""
        self.cache.reap()
        self.driver.reap()
        table = self.cache.table
        for page in range(PAGES):
            address, length = self.span(page)
            slot = table.hit_range(address, address + length)
            if slot >= 0:
                table.leave(slot)
            assert (slot >= 0) == (self.driver.pieces[page] is not None)
        transient = sum(1 for registration, _ in self.held if registration.slot < 0)
        assert self.device.registered - transient == self.pins[0]


@pytest.mark.parametrize("seed", range(8))
def test_the_same_steps(seed: int) -> None:
    """Thousands of random steps: every lookup, every registration and every pin agrees."""
    rng = random.Random(seed)
    seen = {"hit": 0, "kept": 0, "not kept": 0, "meanwhile": 0}
    with AddressSpace(monitors=["explicit"]) as mm, Threads().running():
        both = Both(mm)
        for _ in range(2_000):
            page = rng.randrange(PAGES)
            kind = rng.random()
            if kind < 0.4 and len(both.held) < SLOTS // 4:
                meanwhile = _meanwhile(rng, both.open[page])
                hits = both.cache.statistics().hits
                both.get(page, meanwhile)
                seen["hit"] += both.cache.statistics().hits - hits
                seen["meanwhile"] += bool(meanwhile)
                seen["kept" if both.held[-1][1] is not None else "not kept"] += 1
            elif kind < 0.7 and both.held:
                both.release(rng.randrange(len(both.held)))
            elif both.open[page]:
                both.section(page, False)
            elif kind > 0.95:
                both.section(page, True)
            both.compare()
        while both.held:
            both.release(0)
        for page in range(PAGES):
            while both.open[page]:
                both.section(page, False)
        both.cache.close()
        both.driver.release()
        assert both.device.registered == both.pins[0] == 0
    assert min(seen.values()) > 50, seen


def _meanwhile(rng: random.Random, depth: int) -> list[bool]:
    """Return sections that begin and end while a page is registered."""
    ending = [[False], [False, True]] if depth else []
    return rng.choice([[], [], [True, False], *([[True]] if depth < 3 else []), *ending])
