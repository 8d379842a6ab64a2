"""`RegistrationCache`: registrations of a device, kept for the next use and never stale.

A lookup that finds one is a single native call. It asks the kernel whether an operation on watched
memory is under way and the monitor whether it is up to date; then the table is the truth.
Invariant: memory is watched before the device registers it, and a registration is kept only if
nothing happened to the memory between the two and the table's last word.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmunotify import _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.live import refusals
from mmunotify.live.address_space import AddressSpace
from mmunotify.live.audit import Allowance
from mmunotify.live.device import Device
from mmunotify.live.exclusion import Exclusion
from mmunotify.live.guarantee import SUFFICIENT, Need
from mmunotify.live.mapping import mappings_in
from mmunotify.live.memory import Extent, Memory, extent_of, pages_of
from mmunotify.live.operations import OPERATIONS, Kind, needed
from mmunotify.live.registration import Registration

__all__ = ["RegistrationCache", "Statistics"]

_LIMITS = {errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EMFILE, errno.ENOSPC}
_ATTEMPTS = 8  # at a registration that others invalidate while it is made
_EVERYTHING = 0, (1 << 64) - 1


@dataclass(frozen=True)
class Statistics:
    """What a cache has done so far, and what it holds now.

    `transient` registrations were not kept, since an operation on their memory was under way.
    `bytes` are covered by lookups; `registrations` are those that the device has, in use or not.
    """

    hits: int
    misses: int
    transient: int
    invalidations: int
    evictions: int
    bytes: int
    registrations: int


class RegistrationCache(_monitor.Lookup):
    """The registrations of `device` on the memory of `mm`.

    Holds `capacity` registrations and `max_bytes` at most; what was not used since the last look
    goes first. `allow_uncovered` names the operations that the caller knows not to happen to this
    memory; others that the monitors do not report are refused (E414), at once for private
    anonymous memory, and at `get` for what only other kinds of memory suffer.
    """

    def __init__(
        self,
        mm: AddressSpace,
        device: Device,
        *,
        capacity: int = 1024,
        max_bytes: int | None = None,
        allow_uncovered: Iterable[str] = (),
    ) -> None:
        self.mm = mm
        self.device = device
        self.max_bytes = max_bytes
        covered: frozenset[str] = getattr(device, "covers", frozenset())
        self._allowance = Allowance(device.name, _known(allow_uncovered))
        self._allowed = self._allowance.operations | _known(covered)
        self._require_covered([Kind.ANONYMOUS])
        whole: bool = getattr(device, "whole", False)
        self.table = _monitor.Table(mm.space, capacity, whole)
        self._registrations: list[Registration | None] = [None] * capacity
        super().__init__(self.table, self._registrations)
        self.distrusts = bool(mm.validators)  # they have to be asked each time
        self._lock = Exclusion()
        self._left: list[Registration] = []  # by a handler, in the middle of something
        self._misses = self._transient = 0
        self._closed = False
        self._validators = mm.validators
        mm.attach(self)

    # -- use ------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        def get(self, memory: Memory) -> Registration:
            """Return a registration that covers `memory`, registered now if there is none.

            It was not stale when this was called. Release it after use, best by `with`. Raises
            `DiagnosticError`: E411 and E412 for memory that cannot be registered, E414 for what
            the monitors do not cover, E415 if they are dead, E417 if the device is full.
            """
            # Native (native/bind/hit.cpp): a hit at once, `_otherwise` for everything else.

    def statistics(self) -> Statistics:
        """Return the counts."""
        counted = self.table.statistics()
        return Statistics(misses=self._misses, transient=self._transient, **counted)

    def invalidate(self, memory: Memory) -> None:
        """Forget what is registered of `memory`, for whatever reason the caller knows."""
        extent = extent_of(memory)
        self.table.invalidate(extent.address, extent.end)
        self.reap()

    def close(self) -> None:
        """Deregister everything that nobody uses; what is in use goes when it is released."""
        self._closed = True
        self.lapse()

    def __enter__(self) -> RegistrationCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- a miss ---------------------------------------------------------------------------------

    def _otherwise(self, memory: Memory) -> Registration:
        extent = extent_of(memory)
        self._require_alive()  # before the lock, which a child's parent may have held at the fork
        with self._lock:
            attempts = 0
            while True:
                self._require_alive()
                slot = self.table.hit_range(extent.address, extent.end)
                if slot >= 0:
                    found = self._registered(slot)
                    if self._unchanged(found):
                        return found
                    self._give_up(found)
                elif slot == _monitor.BUSY:
                    self.mm.space.settle()
                elif slot == _monitor.BLIND:
                    raise DiagnosticError(refusals.dead_monitor())
                else:
                    self._misses += attempts == 0
                    attempts += 1
                    self._reap()
                    # If somebody is at work on the memory each time, what was registered last is as
                    # good as anything, but must not be kept.
                    made = self._register(pages_of(extent), keep=attempts <= _ATTEMPTS)
                    if made is not None:
                        return made

    def _unchanged(self, found: Registration) -> bool:
        """Ask the monitors that report nothing whether its pages are as they were."""
        return all(one.unchanged(found.extent) for one in self._validators)

    def _give_up(self, found: Registration) -> None:
        """Have a registration found no more, and leave it."""
        self.table.invalidate(found.extent.address, found.extent.end)
        if self.table.leave(found.slot):
            self._retire(found)

    def _registered(self, slot: int) -> Registration:
        found = self._registrations[slot]
        assert found is not None
        return found

    def _register(self, wanted: Extent, keep: bool) -> Registration | None:
        """Watch, register, and keep the result if nothing came between; None: try again."""
        self._require_covered(m.kind for m in mappings_in(wanted.address, wanted.end))
        extent = self._with_neighbours(wanted)
        if self._validators:  # whose answers begin anew
            self.table.invalidate(extent.address, extent.end)
        slot = self._reserve(extent)
        try:
            self.mm.watch(extent, self._allowance)
            for one in self._validators:
                one.remember(extent)
            try:
                registration = Registration(self, slot, self._ask_device(extent), extent)
            except BaseException:
                self.mm.unwatch(extent, self._allowance)
                raise
        except BaseException:
            self.table.forget(slot)
            raise
        self._registrations[slot] = registration
        outcome = self.table.commit(slot)
        if outcome == "clash":
            # Others in the way that the device would not join: they go, as far as they are.
            self.table.invalidate(extent.address, extent.end)
            outcome = "doomed"
        if outcome == "done":
            return registration
        if outcome == "doomed" and keep:
            self._retire(registration)
            return None
        self._transient += 1
        self._registrations[slot] = None
        self.table.forget(slot)
        registration.slot = -1
        return registration

    def _with_neighbours(self, wanted: Extent) -> Extent:
        """Return the pages wanted, with those of registrations that they overlap."""
        start, end = self.table.joined(wanted.address, wanted.end)
        return Extent(start, end - start)

    def _reserve(self, extent: Extent) -> int:
        """Take a slot, and see that the limits of the cache are kept."""
        if self.max_bytes is not None:
            if extent.length > self.max_bytes:
                problem = f"{extent.length} bytes at once, max_bytes={self.max_bytes}"
                raise DiagnosticError(refusals.too_many("the cache", problem))
            while self.table.statistics()["bytes"] + extent.length > self.max_bytes:
                if not self._evict():
                    problem = f"max_bytes={self.max_bytes}"
                    raise DiagnosticError(refusals.too_many("the cache", problem))
        while (slot := self.table.reserve(extent.address, extent.end)) < 0:
            if not self._evict():
                problem = f"capacity={self.table.capacity}"
                raise DiagnosticError(refusals.too_many("the cache", problem))
        return slot

    def _ask_device(self, extent: Extent) -> object:
        """Register; where the device has a limit, give others back and try again."""
        while True:
            try:
                return self.device.register(extent.address, extent.length)
            except OSError as error:
                if error.errno not in _LIMITS:
                    raise
                if not self._evict():
                    raise DiagnosticError(
                        refusals.too_many(self.device.name, error.strerror or str(error))
                    ) from error

    # -- room -----------------------------------------------------------------------------------

    def _evict(self) -> bool:
        """Give back a registration that neither a user nor the device has used lately.

        Each is spared once: a device may use all of them, all the time.
        """
        spared: set[int] = set()
        while (slot := self.table.candidate()) >= 0:
            registration = self._registered(slot)
            if slot not in spared and self.device.clear_young(registration.key):
                spared.add(slot)
                self.table.spare(slot)
            elif self.table.evict(slot):
                self._retire(registration)
                return True
        return False

    def reap(self) -> None:
        """Deregister what is dead and has no users; in a child that is the parent's business."""
        if not self.mm.is_here or self._lock.mine:
            return
        with self._lock:
            self._reap()

    def _reap(self) -> None:
        while self._left:
            self._retire(self._left.pop())
        while slots := self.table.reap():
            for slot in slots:
                self._retire(self._registered(slot))

    def retire(self, registration: Registration) -> None:
        """Deregister: nobody holds it, and no lookup finds it."""
        if not self.mm.is_here:
            return
        registration.retired = True
        if self._lock.mine:  # a signal's handler: whoever it interrupts does it
            self._left.append(registration)
            return
        with self._lock:
            self._retire(registration)

    def _retire(self, registration: Registration) -> None:
        registration.retired = True
        self.device.deregister(registration.key)
        self.mm.unwatch(registration.extent, self._allowance)
        if registration.slot >= 0:
            self._registrations[registration.slot] = None
            self.table.forget(registration.slot)

    # -- what the address space tells -------------------------------------------------------------

    def forked(self) -> None:
        """The process forks: private pages become copy-on-write, pins of the parent stay good."""
        if self.device.need is not Need.PINNED:
            self.table.invalidate(*_EVERYTHING)

    def lapse(self) -> None:
        """Nothing is told any more: forget everything."""
        self.table.invalidate(*_EVERYTHING)
        self.reap()

    # -- coverage -------------------------------------------------------------------------------

    def uncovered(self, kinds: Iterable[Kind] = tuple(Kind)) -> list[str]:
        """Name the operations on such memory that the device must hear of and nobody reports."""
        return [
            operation.name
            for operation in needed(self.device.need, kinds)
            if self.mm.guarantee(operation.name) < SUFFICIENT
            and operation.name not in self._allowed
        ]

    def _require_covered(self, kinds: Iterable[Kind]) -> None:
        missing = self.uncovered(frozenset(kinds))
        if missing:
            monitors = [monitor.name for monitor in self.mm.monitors]
            raise DiagnosticError(
                refusals.uncovered(self.device.name, str(self.device.need), missing, monitors)
            )

    def _require_alive(self) -> None:
        self.mm.require_open()
        if self._closed:
            raise DiagnosticError(refusals.closed())


def _known(names: Iterable[str]) -> frozenset[str]:
    known = {operation.name for operation in OPERATIONS}
    allowed = frozenset(names)
    for name in sorted(allowed - known):
        raise DiagnosticError(refusals.unknown_operation(name, sorted(known)))
    return allowed
