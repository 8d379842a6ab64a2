"""`World`: predicates are collected, and a driver's own are among them."""

from __future__ import annotations

from tests.check.verdicts import verdict_of

from mmunotify.check.scenario import Scenario
from mmunotify.check.search import Search
from mmunotify.compile import compile_world
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import always, never, reachable

MUNMAP = Scenario("munmap", ("munmap",), pages=1, frames=2)


class Stated(Kvm):
    @always
    def holds_no_more_than_one_section(self) -> bool:
        return self.mmu_invalidate_in_progress <= 1

    @never
    def maps_while_a_section_is_open(self) -> bool:
        """Not true before the section has zapped."""
        return self.mmu_invalidate_in_progress > 0 and self.spte[0] is not None

    @reachable
    def is_mapped_for_writing(self) -> bool:
        return self.writable[0]


class StatedWell(Kvm):
    @reachable
    def is_mapped(self) -> bool:
        return self.spte[0] is not None

    @reachable
    def is_dizzy(self) -> bool:
        return self.mmu_invalidate_in_progress == 5


def test_a_drivers_predicates_are_checked() -> None:
    world = MUNMAP.build(Stated)
    assert list(world.always) == ["holds_no_more_than_one_section"]
    assert list(world.reachable) == ["is_mapped_for_writing"]
    assert verdict_of(world) == "maps_while_a_section_is_open"


def test_what_is_reached() -> None:
    program = compile_world(MUNMAP.build(StatedWell))
    found = Search(program).run(walks=False)
    assert [program.predicates[n].name for n in sorted(found.reached)] == ["is_mapped"]


def test_every_lock_and_table_of_references_is_asked_in_the_end() -> None:
    world = MUNMAP.build(Kvm)
    asked = {type(getattr(f, "__self__", None)).__name__ for _, f in world.finals}
    assert {"Mm", "SpinLock", "RwSem", "Subscription", "Balance"} <= asked
    assert all(name == "quiescent" for name, _ in world.finals)
    assert all(predicate() for _, predicate in world.finals)
