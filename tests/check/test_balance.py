"""Which counters of a driver must come back: those that its code counts down."""

from __future__ import annotations

from mmunotify.check.balance import balances
from mmunotify.check.scenario import Scenario
from mmunotify.lang import Counter, Driver, PageRange
from mmunotify.primary import Mm


class Part:
    def __init__(self) -> None:
        self.users = Counter(2)

    def leave(self) -> None:
        self.users -= 1


class Counting(Driver):
    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.sequence = Counter()
        self.held = Counter(1)
        self.part = Part()

    def invalidate_range_start(self, rng: PageRange) -> None:
        self.sequence += 1
        self.held += 1

    def invalidate_range_end(self, rng: PageRange) -> None:
        self.held -= 1


def test_counted_down_means_held() -> None:
    world = Scenario("munmap", ("munmap",)).build(Counting)
    driver = world.drivers[0]
    assert isinstance(driver, Counting)
    found = {id(balance.counter): balance for balance in balances(driver)}
    assert found.keys() == {id(driver.held), id(driver.part.users)}
    assert found[id(driver.part.users)].start == 2


def test_a_counter_out_of_balance_is_seen_while_subscribed() -> None:
    world = Scenario("munmap", ("munmap",)).build(Counting)
    driver = world.drivers[0]
    assert isinstance(driver, Counting)
    balance = next(b for b in balances(driver) if b.counter is driver.held)
    assert balance.quiescent()
    driver.held.set(3)
    assert not balance.quiescent()


def test_a_driver_torn_down_is_excused() -> None:
    world = Scenario("munmap", ("munmap",)).build(Counting, {"protocol": "srcu"})
    driver = world.drivers[0]
    assert isinstance(driver, Counting)
    balance = next(b for b in balances(driver) if b.counter is driver.held)
    driver.held.set(3)
    world.mm.notifiers.by_driver[driver].hashed = False  # type: ignore[attr-defined]
    assert balance.quiescent()


class CountingMm(Mm):
    """An address space of a user's own, which counts something down."""

    def __init__(self, pages: int = 2, frames: int = 3) -> None:
        super().__init__(pages, frames)
        self.left = Counter(start=1)

    def flush_tlb_range(self, rng: PageRange) -> None:
        """Count."""
        if self.left > 0:
            self.left -= 1
        super().flush_tlb_range(rng)


def test_an_address_space_is_not_the_drivers() -> None:
    """Its counters need not be back."""
    world = Scenario("munmap", ("munmap",), pages=1, frames=2, mm=CountingMm).build(Counting)
    assert len(list(balances(world.drivers[0]))) == 2
