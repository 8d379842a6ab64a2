"""Scenarios: which operations meet which drivers and devices, as data; the standard ones.

Invariant: a scenario and a driver class determine the world, down to the order of its threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any, TypeVar

from mmunotify.check.form import (
    require_base,
    require_intervals,
    require_subscribable,
    require_unregister,
)
from mmunotify.check.threads import own_threads, renamed
from mmunotify.check.world import World
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.lang.driver import Driver
from mmunotify.lang.thread import Thread
from mmunotify.primary import OPERATIONS
from mmunotify.primary.device import Device
from mmunotify.primary.mm import Mm
from mmunotify.primary.notifiers import overrides
from mmunotify.primary.operation import Operation
from mmunotify.primary.secondary_tlb import SecondaryTlb
from mmunotify.protocols import PROTOCOLS, Subscriptions, default_protocol
from mmunotify.terms import nearest

__all__ = ["Membership", "Scenario", "composed", "standard"]

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
    """Which subscriptions change while the operations run; those of drivers `beside` never do."""

    registers: bool = False  # the driver is not subscribed at first
    unregisters: bool = False  # it leaves when its devices have stopped


@dataclass(frozen=True)
class Scenario:
    """One closed system: a thread for each of `operations` and each of `devices`.

    Operations and the protocol are registered names or classes of one's own; without a protocol it
    is the first that can serve the driver. With two `drivers`, two subscribers of the class under
    check, each has `devices` devices; `beside` are classes of further subscribers, with as many.
    `populated` pages are mapped, writable, at the beginning. `mm` is the class of the address
    space. `endless`: each operation is repeated for ever. Methods with `@thread` of the drivers, of
    what belongs to them, of the protocol and of the address space are threads, too.
    """

    name: str
    operations: tuple[str | type[Operation], ...] = ()
    devices: int = 1
    drivers: int = 1
    membership: Membership = Membership()
    pages: int = 2
    frames: int = 3
    protocol: str | type[Subscriptions] = ""
    beside: tuple[type[Driver], ...] = ()
    populated: tuple[int, ...] = (0,)
    mm: type[Mm] = Mm
    endless: bool = False

    def __post_init__(self) -> None:
        found = list(_wrong_fields(self))
        if found:
            raise DiagnosticError(found)

    @property
    def operation_classes(self) -> tuple[type[Operation], ...]:
        """The classes of the operations; raise `DiagnosticError` E304 for an unknown name."""
        return tuple(
            _known("operation", one, OPERATIONS) if isinstance(one, str) else one
            for one in self.operations
        )

    @property
    def protocol_class(self) -> type[Subscriptions]:
        """The class of the protocol; raise `DiagnosticError` E304 for an unknown name."""
        one = self.protocol
        return _known("protocol", one, PROTOCOLS) if isinstance(one, str) else one

    @property
    def operation_names(self) -> list[str]:
        """What the operations are called."""
        return [one if isinstance(one, str) else _name(one) for one in self.operations]

    @property
    def protocol_name(self) -> str:
        """What the protocol is called."""
        return self.protocol if isinstance(self.protocol, str) else self.protocol.__name__

    def serving(self, driver_class: type[Driver]) -> Scenario:
        """The scenario with a protocol that can serve its drivers, if it has none."""
        if self.protocol:
            return self
        return replace(self, protocol=default_protocol(driver_class, *self.beside))

    def build(
        self, driver_class: type[Driver], overrides: Mapping[str, Any] | None = None
    ) -> World:
        """Run set-up; `overrides` replaces fields of the scenario."""
        return _build(replace(self, **(overrides or {})).serving(driver_class), driver_class)


_RANGES = {"pages": (1, 8), "frames": (1, 12), "devices": (0, 4), "drivers": (1, 4)}


def _wrong_fields(scenario: Scenario) -> Iterator[Diagnostic]:
    name = scenario.name or "without a name"
    if not scenario.name:
        yield Diagnostic("E311", None, "a scenario has no name", fix='Scenario("munmap", ...)')
    for field, (low, high) in _RANGES.items():
        value = getattr(scenario, field)
        if not low <= value <= high:
            what = f"scenario {name} has {value} {field}"
            yield Diagnostic("E311", None, what, f"a model has {low} to {high} {field}")
    operations: Any = scenario.operations  # whatever a user wrote there
    if isinstance(operations, str):
        what = f"scenario {name}: operations is a text, {operations!r}"
        yield Diagnostic("E311", None, what, fix=f'operations=("{operations}",)')
        return
    for one in operations:
        yield from _wrong_kind(name, one, Operation)
    yield from _wrong_kind(name, scenario.protocol, Subscriptions)
    if not set(scenario.populated) <= set(range(scenario.pages)):
        what = f"scenario {name} populates a page that is not there"
        yield Diagnostic("E311", None, what, f"its pages are 0 to {scenario.pages - 1}")
    elif len(scenario.populated) > scenario.frames:
        what = f"scenario {name} populates more pages than it has frames"
        yield Diagnostic("E311", None, what)


def _wrong_kind(name: str, one: Any, wanted: type) -> Iterator[Diagnostic]:
    if not isinstance(one, str) and not (isinstance(one, type) and issubclass(one, wanted)):
        what = f"scenario {name}: {one!r} is neither a name nor a class of {wanted.__name__}"
        yield Diagnostic("E311", None, what)


T = TypeVar("T")


def _known(kind: str, name: str, known: Mapping[str, T]) -> T:
    if name in known:
        return known[name]
    close = nearest(name, known)
    fix = f"did you mean {close}?" if close else ""
    why = f"known are: {', '.join(known)}; one of your own is given as its class"
    raise DiagnosticError(Diagnostic("E304", None, f"there is no {kind} {name}", why, fix))


def _name(operation: type[Operation]) -> str:
    return operation.name or operation.__name__


def standard(
    driver_class: type[Driver], *, protocol: str = "", all_pairs: bool = False
) -> list[Scenario]:
    """All standard scenarios for a driver, the simplest first.

    Of the pairs of operations those that differ in kind; `all_pairs`: every pair. Without a
    `protocol` the first one that can serve the driver. Where nobody can unsubscribe there is no
    scenario in which somebody does.
    """
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
    served = [replace(scenario, protocol=protocol).serving(driver_class) for scenario in found]
    return [one for one in served if one.protocol_class.unregisters or not _leaves(one)]


def _leaves(scenario: Scenario) -> bool:
    return scenario.membership.unregisters


def _subscribers(driver_class: type[Driver]) -> Iterator[Scenario]:
    if overrides(driver_class, "clear_young") or overrides(driver_class, "test_young"):
        yield _small("damon", ("damon",))
        yield _small("damon+reclaim", ("damon", "reclaim"))
    yield _small("munmap/2 drivers", ("munmap",), drivers=2)
    if overrides(driver_class, "clear_flush_young"):
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
    pages, frames = _fewest([OPERATIONS[op] for op in operations])
    return Scenario(name, operations, devices, drivers, membership, pages, frames)


def composed(operations: Iterable[type[Operation]], *, protocol: str = "") -> Scenario:
    """Return the scenario in which these operations run at once: one `a`, two `a+b`, and so on."""
    classes = tuple(operations)
    pages, frames = _fewest(classes)
    name = "+".join(map(_name, classes))
    return Scenario(name, classes, pages=pages, frames=frames, protocol=protocol)


def _fewest(operations: Sequence[type[Operation]]) -> tuple[int, int]:
    """Return the fewest pages and frames that these operations make sense with, together."""
    pages = max(op.pages for op in operations)
    return pages, pages + max(1, sum(op.frames for op in operations))


# -- from a scenario to its world --------------------------------------------------------------


def _build(scenario: Scenario, driver_class: type[Driver]) -> World:
    if _leaves(scenario):
        require_unregister(scenario.protocol_class, scenario.protocol_name, scenario.name)
    mm = scenario.mm(scenario.pages, scenario.frames)
    for page in scenario.populated:
        mm.populate(page)
    drivers = _drivers(scenario, driver_class, mm)
    mm.drivers = drivers
    mm.ghost.watches_gathers = any(_is_flushed_late(driver) for driver in drivers)
    mm.notifiers = _notifiers(scenario, mm, drivers)
    threads = [*_operation_threads(scenario, mm), *_device_threads(scenario, drivers)]
    own = list(own_threads(drivers, mm))
    mm.notifiers.changes = bool(own) or _list_changes(scenario)
    return World(mm, drivers, renamed([*threads, *own]))


def _built(driver_class: type[Driver], mm: Mm) -> Driver:
    try:
        return driver_class(mm)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # from inside of __init__
        what = f"set-up raised TypeError: {error}"
        why = f"{driver_class.__name__}(mm) builds the driver"
        raise DiagnosticError(Diagnostic("E209", None, what, why)) from None


def _drivers(scenario: Scenario, driver_class: type[Driver], mm: Mm) -> tuple[Driver, ...]:
    classes = [driver_class] * scenario.drivers + list(scenario.beside)
    for cls in classes:
        require_subscribable(cls, scenario.protocol_class, scenario.protocol_name)
    drivers = tuple(_built(cls, mm) for cls in classes)
    for number, driver in enumerate(drivers):
        require_base(driver, mm)
        require_intervals(driver)
        if number:
            driver.name = f"{driver.name}{number + 1}"
        driver.tlb = SecondaryTlb(driver, scenario.devices)
    return drivers


def _is_flushed_late(driver: Driver) -> bool:
    return overrides(type(driver), "arch_invalidate_secondary_tlbs")


def _notifiers(scenario: Scenario, mm: Mm, drivers: tuple[Driver, ...]) -> Subscriptions:
    """Return the protocol with its list as it is at the beginning."""
    late = drivers[: scenario.drivers] if scenario.membership.registers else ()
    notifiers = scenario.protocol_class(mm, drivers, len(late) < len(drivers))
    if len(late) < len(drivers):
        for driver in late:
            notifiers.leave_out(driver)
    return notifiers


def _list_changes(scenario: Scenario) -> bool:
    """Tell whether anybody could register, unregister or release; an own operation could."""
    shipped = OPERATIONS.keys() - {"exit"}
    own = any(not isinstance(op, str) or op not in shipped for op in scenario.operations)
    return own or scenario.membership != Membership()


def _operation_threads(scenario: Scenario, mm: Mm) -> Iterator[Thread]:
    for operation in scenario.operation_classes:
        name, made = _name(operation), operation(mm)
        own = None if operation.outside or operation.foreign else mm
        body = made.run_for_ever if scenario.endless else made.run
        yield Thread(name, body, role=name, mm=own)


def _device_threads(scenario: Scenario, drivers: tuple[Driver, ...]) -> Iterator[Thread]:
    number = 0
    for at, driver in enumerate(drivers):
        membership = scenario.membership if at < scenario.drivers else Membership()
        for cache in range(scenario.devices):
            device = Device(driver, cache)
            body = device.register_and_run if membership.registers else device.run
            yield Thread(f"device{number}", body, role="device", mmu="secondary")
            if membership.unregisters:
                leave = device.unregister_when_stopped
                yield Thread(f"unregister{number}", leave, role="unregister", mmu="secondary")
            number += 1
