"""Standard scenarios: which operations meet which devices, as data.

Invariant: a scenario and a driver class determine the world, down to the order of its threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

from mmunotify.check.form import require_base, require_intervals, require_subscribable
from mmunotify.check.world import World
from mmunotify.lang.driver import Driver
from mmunotify.lang.thread import Thread
from mmunotify.primary import OPERATIONS
from mmunotify.primary.device import Device
from mmunotify.primary.mm import Mm
from mmunotify.primary.secondary_tlb import SecondaryTlb
from mmunotify.protocols import PROTOCOLS, default_protocol

__all__ = ["Membership", "Scenario", "standard"]

_SINGLE = (
    "munmap",
    "mmap_fixed",
    "madvise_dontneed",
    "madvise_free",
    "mprotect",
    "clear_refs",
    "punch_hole",
    "truncate",
    "mremap",
    "reclaim",
    "migrate",
    "ksm",
    "cow",
    "fork",
    "oom_reaper",
    "exit",
)
# What is combined with more than one device and with changes of the list: one of each kind, by the
# locks held and by what becomes of the page.
_DEVICES = ("munmap", "punch_hole", "mprotect", "reclaim", "migrate", "cow")
_REGISTER = ("munmap", "madvise_dontneed", "punch_hole", "migrate", "cow")
_UNREGISTER = ("munmap", "punch_hole", "reclaim", "cow", "exit")
_PAIRED = ("munmap", "madvise_dontneed", "mprotect", "punch_hole", "reclaim", "migrate", "cow")
_MORE_PAIRS = (
    ("punch_hole", "ksm"),
    ("punch_hole", "fork"),
    ("punch_hole", "exit"),
    ("mremap", "migrate"),
    ("reclaim", "exit"),
    ("migrate", "fork"),
    ("migrate", "exit"),
    ("ksm", "cow"),
    ("ksm", "fork"),
    ("cow", "fork"),
    ("mmap_fixed", "cpu_write"),
    ("migrate", "cpu_write"),
    ("ksm", "cpu_write"),
    ("cow", "cpu_write"),
    ("fork", "cpu_write"),
)


@dataclass(frozen=True)
class Membership:
    """Which subscriptions change while the operations run."""

    registers: bool = False  # the driver is not subscribed at first
    unregisters: bool = False  # it leaves when its devices have stopped


@dataclass(frozen=True)
class Scenario:
    """One closed system: a thread for each of `operations` and each of `devices`.

    With two `drivers`, two subscribers of the same class, each has `devices` devices; `beside` are
    classes of further subscribers, with as many.
    """

    name: str
    operations: tuple[str, ...]
    devices: int = 1
    drivers: int = 1
    membership: Membership = Membership()
    pages: int = 2
    frames: int = 3
    protocol: str = "srcu"
    beside: tuple[type[Driver], ...] = ()

    def build(
        self, driver_class: type[Driver], overrides: Mapping[str, Any] | None = None
    ) -> World:
        """Run set-up; `overrides` replaces fields of the scenario."""
        return _build(replace(self, **(overrides or {})), driver_class)


def standard(
    driver_class: type[Driver], *, protocol: str = "", all_pairs: bool = False
) -> list[Scenario]:
    """All standard scenarios for a driver, the simplest first.

    Of the pairs of operations those that differ in kind; `all_pairs`: every pair. Without a
    `protocol` the first one that can serve the driver.
    """
    protocol = protocol or default_protocol(driver_class)
    found = [
        *(Scenario(name, (name,)) for name in _SINGLE),
        *(_small(f"{name}/2 devices", (name,), devices=2) for name in _DEVICES),
        *(_small(f"{n}/register", (n,), membership=Membership(registers=True)) for n in _REGISTER),
        *(
            _small(f"{n}/unregister", (n,), membership=Membership(unregisters=True))
            for n in _UNREGISTER
        ),
        *_subscribers(driver_class),
        *(_small("+".join(pair), pair) for pair in _pairs(all_pairs)),
    ]
    return [replace(scenario, protocol=protocol) for scenario in found]


def _subscribers(driver_class: type[Driver]) -> Iterator[Scenario]:
    yield _small("munmap/2 drivers", ("munmap",), drivers=2)
    if driver_class.clear_flush_young is not Driver.clear_flush_young:
        yield _small("reclaim/2 drivers", ("reclaim",), drivers=2)


def _pairs(everything: bool) -> Iterator[tuple[str, str]]:
    if not everything:
        yield from combinations_with_replacement(_PAIRED, 2)
        yield from _MORE_PAIRS
        return
    for one, two in combinations_with_replacement((*_SINGLE, "cpu_write"), 2):
        exits = "exit" in (one, two)
        # A thread of the process keeps the address space: no exit meanwhile.
        if one != "exit" and (not exits or OPERATIONS[one].foreign):
            yield one, two


def _small(
    name: str,
    operations: tuple[str, ...],
    devices: int = 1,
    drivers: int = 1,
    membership: Membership = Membership(),
) -> Scenario:
    """Return a scenario with as few pages and frames as its operations allow."""
    pages = max(OPERATIONS[op].pages for op in operations)
    frames = pages + max(1, sum(OPERATIONS[op].frames for op in operations))
    return Scenario(name, operations, devices, drivers, membership, pages, frames)


def _build(scenario: Scenario, driver_class: type[Driver]) -> World:
    mm = Mm(scenario.pages, scenario.frames)
    mm.populate(0)
    classes = [driver_class] * scenario.drivers + list(scenario.beside)
    for cls in classes:
        require_subscribable(cls, scenario.protocol)
    drivers = tuple(cls(mm) for cls in classes)
    for number, driver in enumerate(drivers):
        require_base(driver)
        require_intervals(driver)
        if number:
            driver.name += str(number + 1)
        driver.tlb = SecondaryTlb(driver, scenario.devices)
    mm.drivers = drivers
    mm.ghost.watches_gathers = any(_is_flushed_late(driver) for driver in drivers)
    mm.notifiers = PROTOCOLS[scenario.protocol](mm, drivers, not scenario.membership.registers)
    mm.notifiers.changes = _list_changes(scenario)
    threads = [*_operation_threads(scenario, mm), *_device_threads(scenario, drivers)]
    return World(mm, drivers, threads)


def _is_flushed_late(driver: Driver) -> bool:
    cls = type(driver)
    return cls.arch_invalidate_secondary_tlbs is not Driver.arch_invalidate_secondary_tlbs


def _list_changes(scenario: Scenario) -> bool:
    membership = scenario.membership
    return membership.registers or membership.unregisters or "exit" in scenario.operations


def _operation_threads(scenario: Scenario, mm: Mm) -> Iterator[Thread]:
    for number, name in enumerate(scenario.operations):
        again = scenario.operations[:number].count(name)
        operation = OPERATIONS[name](mm)
        yield Thread(f"{name}{again + 1}" if again else name, operation.run, role=name)


def _device_threads(scenario: Scenario, drivers: tuple[Driver, ...]) -> Iterator[Thread]:
    membership = scenario.membership
    number = 0
    for driver in drivers:
        for cache in range(scenario.devices):
            device = Device(driver, cache)
            body = device.register_and_run if membership.registers else device.run
            yield Thread(f"device{number}", body, role="device", mmu="secondary")
            if membership.unregisters:
                leave = device.unregister_when_stopped
                yield Thread(f"unregister{number}", leave, role="unregister", mmu="secondary")
            number += 1
