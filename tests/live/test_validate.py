"""The monitor that is asked, with a device that copies."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator

import pytest
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import DiagnosticError
from mmunotify.live import Need


class Copying:
    """A mirror: it keeps the bytes that were there when they were registered."""

    name = "mirror"
    need = Need.COPYING

    def register(self, address: int, length: int) -> bytes:
        return ctypes.string_at(address, length)

    def deregister(self, key: bytes) -> None:
        pass

    def clear_young(self, key: bytes) -> bool:
        return False


@pytest.fixture
def cache() -> Iterator[RegistrationCache]:
    """A cache that asks at every use."""
    with AddressSpace(monitors=["explicit", "validate"]) as mm:
        yield RegistrationCache(mm, Copying())


def read(cache: RegistrationCache, memory: Memory, page: int = 0) -> bytes:
    """Read the beginning of a page from the mirror."""
    span = memory.address + page * PAGE, PAGE
    with cache.get(span) as registration:
        at = registration.offset(span)
        found: bytes = registration.key[at : at + 3]
        return found


def test_writes_are_found(cache: RegistrationCache) -> None:
    """What nobody reports is found at the next use."""
    memory = Memory(4, PRIVATE)
    memory.fill()
    memory.write(b"old")
    assert read(cache, memory) == b"old"
    assert read(cache, memory) == b"old"
    assert cache.statistics().hits == 1
    memory.write(b"new")
    assert read(cache, memory) == b"new"


def test_replaced_and_discarded(cache: RegistrationCache) -> None:
    """Another mapping at the same address, and pages that are gone."""
    memory = Memory(4, PRIVATE)
    memory.fill()
    read(cache, memory)
    again = Memory(4, PRIVATE, memory.address)
    again.write(b"new")
    assert read(cache, again) == b"new"
    again.advise(4)
    assert read(cache, again) == bytes(3)


def test_random_steps(cache: RegistrationCache) -> None:
    """Five thousand writes, discards and new mappings: the mirror is never behind."""
    rng = random.Random(20261125)
    arena = Memory(16, PRIVATE)
    arena.fill()
    for _ in range(5000):
        page = rng.randrange(16)
        step = rng.random()
        if step < 0.3:
            arena.write(b"%3d" % rng.randrange(1000), page)
        elif step < 0.35:
            arena.advise(4, page, 1)
        elif step < 0.4:
            Memory(1, PRIVATE, arena.address + page * PAGE)
        else:
            now = ctypes.string_at(arena.address + page * PAGE, 3)
            assert read(cache, arena, page) == now


def test_refused(cache: RegistrationCache) -> None:
    """Shared memory, a second cache, and a device that needs more."""
    with pytest.raises(DiagnosticError, match=r"E41[24] "):
        cache.get(Memory(4, SHARED).span)
    with pytest.raises(DiagnosticError, match="E416 this address space has a cache"):
        RegistrationCache(cache.mm, Copying())
