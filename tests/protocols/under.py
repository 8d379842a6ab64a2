"""A driver under a protocol: what a scenario violates, and what subscribers are told in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.check.verdicts import HOLDS, scenario, verdict_of
from tests.primary.sequence import Scripted

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.check.search import BrokenKind, Search, Verdict
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import progress_reduction
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.intrinsics import Violation
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.runtime import installed
from mmunotify.primary.mm import Mm
from mmunotify.protocols import Subscriptions

__all__ = [
    "EVENTS",
    "HOLDS",
    "REGISTERS",
    "First",
    "Refuses",
    "Second",
    "Subscriber",
    "endless",
    "reaped",
    "told",
    "under",
    "under_two",
]

Protocol = str | type[Subscriptions]
REGISTERS = Membership(registers=True)

EVENTS: list[str] = []


def under(protocol: Protocol, name: str, driver: type[Driver] = Kvm) -> str:
    """Return "holds", or what the standard scenario `name` violates under `protocol`."""
    return verdict_of(scenario(name, driver).build(driver, {"protocol": protocol}))


class Subscriber(Driver):
    """Writes down what it is told; says young if `used`."""

    used = False

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.who = type(self).__name__.lower()

    def invalidate_range_start(self, rng: PageRange) -> None:
        EVENTS.append(f"{self.who} start")

    def invalidate_range_end(self, rng: PageRange) -> None:
        EVENTS.append(f"{self.who} end")

    def clear_flush_young(self, rng: PageRange) -> bool:
        EVENTS.append(f"{self.who} young?")
        return self.used

    def release(self) -> None:
        listed = "on the list" if self.mm.notifiers.subscribed(self) else "off the list"
        EVENTS.append(f"{self.who} release, {listed}")


class First(Subscriber):
    used = True


class Second(Subscriber):
    """As the first, but says old."""


class Refuses(Driver):
    """Would have to sleep, so it says -EAGAIN; its device maps nothing."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        if not rng.blockable:
            raise EAGAIN


def told(
    protocol: Protocol, operation: str, drivers: Sequence[type[Driver]] = (First, Second)
) -> list[str]:
    """Run an operation alone; return what subscribers were told, and then what was violated."""
    first, *beside = drivers
    made = Scenario(operation, (operation,), pages=1, protocol=protocol, beside=tuple(beside))
    world = made.build(first)
    thread = world.threads[0]
    EVENTS.clear()
    with installed(Scripted(thread)):
        try:
            thread.body(*thread.args)
        except Violation as violation:
            EVENTS.append(violation.property)
    return list(EVENTS)


def under_two(protocol: Protocol, operation: str, driver: type[Driver], **fields: Any) -> str:
    """Return the verdict where `driver` registers during `operation`, beside one that is there."""
    made = Scenario(
        operation,
        (operation,),
        pages=1,
        frames=2,
        membership=REGISTERS,
        protocol=protocol,
        beside=(driver,),
        **fields,
    )
    return verdict_of(made.build(driver))


def endless(made: Scenario, driver: type[Driver]) -> str:
    """Return what never ends although every thread is treated fairly, or ""."""
    world = made.build(driver)
    world.watch_obligations()
    program = compile_world(world)
    found = Search(program, progress_reduction(program)).run(walks=False)
    if found.verdict is Verdict.HOLDS:
        return ""
    assert found.broken is not None, found.reason
    assert found.broken.kind is BrokenKind.CYCLE
    return program.predicates[found.broken.number].name


def reaped(protocol: Protocol, beside: type[Driver], driver: type[Driver] = Kvm) -> str:
    """Return the verdict of the OOM reaper with `driver` and one more subscriber."""
    made = Scenario(
        "oom_reaper", ("oom_reaper",), pages=1, frames=2, beside=(beside,), protocol=protocol
    )
    return verdict_of(made.build(driver))
