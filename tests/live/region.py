"""Memory of a device as a state machine: hypothesis looks for a sequence that ends stale.

What a device is like, its test says: how it is made, and how one access is compared with what the
CPU sees. Invariant: whatever was done to the memory before, the two are the same.
"""

from __future__ import annotations

import ctypes
import os
import sys
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory, libc, raw
from tests.live.resources import gained, resources

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.live import Registration
from mmunotify.live.device import Device
from mmunotify.live.mapping import mappings_in
from mmunotify.live.memory import Extent

__all__ = ["PAGES", "Region", "Stale"]

DONTNEED, MAYMOVE_FIXED = 4, 3
PAGES, CAPACITY = 8, 4
# Far below all else. The kernel takes the highest hole that is large enough: no other thread, such
# as one that Python maps a stack of frames for, gets what is unmapped here for a moment.
PLACE = 1 << 45

places = st.integers(0, PAGES - 1)
lengths = st.just(1) | st.integers(1, PAGES)
kinds = st.sampled_from([PRIVATE, SHARED])
values = st.integers(0, 55)


class Stale(AssertionError):
    """The device has reached other memory than it should."""


class Region(RuleBasedStateMachine):
    """One region of eight pages, always mapped between two rules."""

    remember: ClassVar[bool] = False
    """No cache, but what one does without a notifier: a registration is kept for ever."""

    only: ClassVar[int | None] = None
    """The kind of memory that the device can reach; None: all."""
    uncovered: ClassVar[tuple[str, ...]] = ()
    """The operations that nobody reports, which no rule does."""

    def __init__(self) -> None:
        super().__init__()
        self.before = resources()
        self.mm = AddressSpace()
        self.device = self.make()
        self.cache = RegistrationCache(
            self.mm, self.device, capacity=CAPACITY, allow_uncovered=self.uncovered
        )
        self.held: list[Registration] = []
        self.kept: list[Registration] = []
        self.address = 0

    # -- what a device is like ------------------------------------------------------------------

    @staticmethod
    def missing() -> str | None:
        """Say what this machine lacks of it, if it does."""
        return None

    @abstractmethod
    def make(self) -> Device:
        """Make the device."""

    @abstractmethod
    def access(self, registration: Registration, address: int, length: int, value: int) -> None:
        """Have the device access whole pages; `Stale` if that is not what the CPU sees."""

    @abstractmethod
    def close(self) -> None:
        """Close the device, and see that it has no registration left."""

    def fresh(self, count: int, kind: int, address: int) -> None:
        """Map new memory."""
        Memory(count, self.only or kind, address)

    def parts(self, address: int, length: int) -> list[tuple[int, int]]:
        """Return what of these pages can be registered, each at once."""
        return [(address, length)]

    def given(self, registration: Registration) -> None:
        """A lookup has given this."""

    def moved(self, first: int, count: int) -> None:
        """Memory that was elsewhere is at these addresses."""

    def replaced(self, first: int, count: int) -> None:
        """Other memory than before is at these addresses; `Stale` if the device reaches it."""

    # -- the rules ------------------------------------------------------------------------------

    @initialize(kind=kinds)
    def map(self, kind: int) -> None:
        """Begin with something mapped."""
        assert not mappings_in(PLACE, PLACE + PAGES * PAGE)
        self.address = PLACE
        self.fresh(PAGES, kind, self.address)
        self.write(0, PAGES, 1)

    def span(self, first: int, count: int) -> tuple[int, int]:
        """The bytes of up to `count` pages from `first` on."""
        return self.address + first * PAGE, min(count, PAGES - first) * PAGE

    @rule(first=places, count=lengths, value=values)
    def read(self, first: int, count: int, value: int) -> None:
        """Access by the device; look by the CPU."""
        for address, length in self.parts(*self.span(first, count)):
            with self.get(address, length) as registration:
                self.given(registration)
                self.access(registration, address, length, value)

    @rule(value=st.integers(0, 48))
    def read_each(self, value: int) -> None:
        """Access page by page: more registrations than the cache holds."""
        for page in range(PAGES):
            self.read(page, 1, value + page)

    @rule(first=places, count=lengths, value=values)
    def write(self, first: int, count: int, value: int) -> None:
        """Write by the CPU."""
        address, length = self.span(first, count)
        for page in range(length // PAGE):
            ctypes.memset(address + page * PAGE, value + page, PAGE)

    @rule(first=places, count=lengths, kind=kinds)
    def map_over(self, first: int, count: int, kind: int) -> None:
        """mmap(MAP_FIXED)."""
        self.replace(first, count, kind, lambda address, length: None)

    @rule(first=places, count=lengths, kind=kinds)
    def unmap_and_map(self, first: int, count: int, kind: int) -> None:
        """munmap, then something else at the same addresses."""
        self.replace(first, count, kind, lambda *span: raw(libc.munmap(*span)))

    @rule(first=places, count=lengths, kind=kinds)
    def unmap_through(self, first: int, count: int, kind: int) -> None:
        """The same through the address space."""
        self.replace(first, count, kind, lambda *span: self.mm.unmap(span))

    def replace(
        self, first: int, count: int, kind: int, unmap: Callable[[int, int], object]
    ) -> None:
        """Unmap in some way, and map new memory."""
        address, length = self.span(first, count)
        unmap(address, length)
        self.fresh(length // PAGE, kind, address)
        self.replaced(first, length // PAGE)

    @rule(first=places, count=lengths)
    def discard(self, first: int, count: int) -> None:
        """madvise(MADV_DONTNEED) by hand."""
        raw(libc.madvise(*self.span(first, count), DONTNEED))

    @rule(first=places, count=lengths)
    def discard_through(self, first: int, count: int) -> None:
        """The same through the address space."""
        self.mm.discard(self.span(first, count))

    @rule(first=places, count=lengths, kind=kinds)
    def move_onto(self, first: int, count: int, kind: int) -> None:
        """mremap(MREMAP_FIXED) of other memory onto it."""
        address, length = self.span(first, count)
        other = Memory(length // PAGE, self.only or kind)
        raw(libc.mremap(other.address, length, length, MAYMOVE_FIXED, address))
        self.moved(first, length // PAGE)
        self.replaced(first, length // PAGE)

    @rule(first=places, to=places, count=lengths, kind=kinds)
    def move_within(self, first: int, to: int, count: int, kind: int) -> None:
        """The same with pages of the region, which the device may know; new ones take their place.

        One by one: a call moves one mapping.
        """
        count = min(count, PAGES - max(first, to), abs(first - to))
        if count:
            old, new = self.span(first, count)[0], self.span(to, count)[0]
            for page in range(0, count * PAGE, PAGE):
                raw(libc.mremap(old + page, PAGE, PAGE, MAYMOVE_FIXED, new + page))
            self.moved(to, count)
            self.fresh(count, kind, old)
            self.replaced(first, count)
            self.replaced(to, count)

    @rule()
    def fork(self) -> None:
        """A child that shares the pages for a moment."""
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    @precondition(lambda self: len(self.held) < 3)
    @rule(first=places, count=lengths)
    def hold(self, first: int, count: int) -> None:
        """Keep a registration in use over what comes."""
        for part in self.parts(*self.span(first, count))[:1]:
            self.held.append(self.cache.get(part))
            self.given(self.held[-1])

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        """Give the oldest back."""
        self.held.pop(0).release()

    @invariant()
    def within_its_size(self) -> None:
        """The cache keeps its bound; what is dead and in use comes on top."""
        assert self.cache.statistics().registrations <= CAPACITY + len(self.held)

    # -- registrations --------------------------------------------------------------------------

    def get(self, address: int, length: int) -> AbstractContextManager[Registration]:
        """Look a registration up; without a cache, the first that there was."""
        if not self.remember:
            return self.cache.get((address, length))
        wanted = Extent(address, length)
        for one in self.kept:
            if one.extent == wanted:
                return nullcontext(one)
        self.mm.watch(wanted)
        made = Registration(self.cache, -1, self.device.register(address, length), wanted)
        self.kept.append(made)
        return nullcontext(made)

    def forget(self, registration: Registration) -> None:
        """Give back what was kept."""
        self.kept.remove(registration)
        self.device.deregister(registration.key)

    def teardown(self) -> None:
        """Leave nothing registered, open, mapped, pinned or running."""
        while self.held:
            self.release()
        while self.kept:
            self.forget(self.kept[0])
        if self.address:
            raw(libc.munmap(self.address, PAGES * PAGE))
        self.mm.poll()
        registrations = self.cache.statistics().registrations
        self.cache.close()
        self.close()
        self.mm.close()
        del self.mm, self.device, self.cache
        if sys.exc_info()[0] is None:  # its traceback keeps what it saw
            leaked = gained(self.before)
            assert not registrations, registrations
            assert not leaked, leaked
