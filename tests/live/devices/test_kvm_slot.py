"""Memory slots of a real guest: what KVM's own notifier does, and what a cache adds to it."""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory, libc, raw
from tests.live.resources import mappings
from tests.live.side_by_side import side_by_side

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import CannotError, DiagnosticError
from mmunotify.kernel.memory import read64, write64
from mmunotify.live.devices import KvmSlots
from mmunotify.live.devices.kvm_slot import REFUSED
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Kind
from mmunotify.live.registration import Registration

DONTNEED, REMOVE, MAYMOVE_FIXED = 4, 9, 3
# A step with a new slot waits for grace periods of SRCU in the kernel: milliseconds.
STEPS = pytest.mark.parametrize(
    "steps", [10_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["short", "long"]
)
DESCRIPTORS = Path("/proc/self/fd")


def _slots(count: int = 64) -> KvmSlots:
    try:
        return KvmSlots(count)
    except CannotError as error:
        pytest.skip(str(error))


@pytest.fixture
def slots() -> Iterator[KvmSlots]:
    """A guest; skips where the machine has no KVM."""
    with _slots() as found:
        yield found


@pytest.fixture
def cache(mm: AddressSpace, slots: KvmSlots) -> Iterator[RegistrationCache]:
    """A cache of slots. Nothing has to be allowed but shmdt: KVM's notifier covers the rest."""
    with RegistrationCache(mm, slots) as found:
        assert found.uncovered(set(Kind) - {Kind.SYSV}) == []
        yield found


def bare(memory: Memory, slots: KvmSlots, cache: RegistrationCache) -> Registration:
    """A slot that no cache takes back."""
    return Registration(cache, -1, slots.register(*memory.span), Extent(*memory.span))


def moved(memory: Memory) -> int:
    """Move memory elsewhere and return where to."""
    place = Memory(memory.pages, PRIVATE).address
    for offset in range(0, memory.length, PAGE):  # what is watched in part is two mappings
        raw(libc.mremap(memory.address + offset, PAGE, PAGE, MAYMOVE_FIXED, place + offset))
    return place


def test_kvm_follows_the_address(slots: KvmSlots, cache: RegistrationCache) -> None:
    """A slot left over a new mapping shows the new bytes: KVM's notifier saw the unmap."""
    memory = Memory(1, PRIVATE)
    write64(memory.address, 1)
    slot = bare(memory, slots, cache)
    assert slots.read(memory.span, slot) == 1
    before = slots.guest.require_translations()
    memory.unmap()
    assert slots.read(memory.span, slot) == REFUSED
    again = Memory(1, PRIVATE, memory.address)
    write64(again.address, 2)
    assert slots.read(memory.span, slot) == 2
    slots.guest.require_translations(before)
    again.advise(DONTNEED)
    assert slots.read(memory.span, slot) == 0
    slots.deregister(slot.key)


def test_left_over_without_a_cache(slots: KvmSlots, cache: RegistrationCache) -> None:
    """The bug: the buffer moves, and the guest reads and writes what is at its old address."""
    buffer = Memory(1, PRIVATE)
    write64(buffer.address, 1)
    slot = bare(buffer, slots, cache)
    assert slots.read(buffer.span, slot) == 1
    now = moved(buffer)
    other = Memory(1, PRIVATE, buffer.address)
    write64(other.address, 0x5EC12E7)
    write64(now, 2)
    assert slots.read(buffer.span, slot) == 0x5EC12E7, "memory that nobody gave to the guest"
    assert slots.write(buffer.span, slot, 3)
    assert (read64(other.address), read64(now)) == (3, 2)
    slots.deregister(slot.key)


def test_taken_back_with_the_cache(
    mm: AddressSpace, slots: KvmSlots, cache: RegistrationCache
) -> None:
    """The same with a cache: the guest has lost the slot, and a lookup finds the buffer."""
    buffer = Memory(1, PRIVATE)
    write64(buffer.address, 1)
    with cache.get(buffer.span) as slot:
        assert slots.read(buffer.span, slot) == 1
    before = slots.guest.require_translations()
    now = moved(buffer)
    other = Memory(1, PRIVATE, buffer.address)
    write64(other.address, 0x5EC12E7)
    mm.poll()
    assert slots.read(buffer.span, slot) == REFUSED
    assert not slots.write(buffer.span, slot, 3)
    assert read64(other.address) == 0x5EC12E7
    with cache.get((now, PAGE)) as found:
        assert slots.read((now, PAGE), found) == 1
        assert slots.write((now, PAGE), found, 4)
    assert read64(now) == 4
    slots.guest.require_translations(before)


def test_taken_back_with_the_part(
    mm: AddressSpace, slots: KvmSlots, cache: RegistrationCache
) -> None:
    """A slot of which a part is gone goes whole: the guest would reach what comes there."""
    memory = Memory(3, PRIVATE)
    with cache.get(memory.span) as slot:
        assert slots.read(memory.span, slot) == 0
    other = Memory(1, PRIVATE, memory.address + PAGE)
    write64(other.address, 0x5EC12E7)
    mm.poll()
    assert slots.read(other.span, slot) == REFUSED
    write64(memory.address, 1)
    where = (memory.address, PAGE)
    with cache.get(where) as found:
        assert slots.read(where, found) == 1


def test_offsets(slots: KvmSlots, cache: RegistrationCache) -> None:
    """A part of a registration is where it is in the memory."""
    memory = Memory(8, SHARED)
    for word in range(0, memory.length, 8 * 37):
        write64(memory.address + word, word)
    with cache.get(memory.span):
        for word in range(0, memory.length, 8 * 37):
            where = (memory.address + word, 8)
            with cache.get(where) as registration:
                assert slots.read(where, registration) == word
    assert cache.statistics().registrations == 1


def test_no_slot_left(mm: AddressSpace) -> None:
    """The cache gives back what is not in use; if all is, the error says so."""
    with _slots(2) as slots, RegistrationCache(mm, slots) as cache:
        memories = [Memory(1, PRIVATE) for _ in range(4)]
        for value, memory in enumerate(memories):
            write64(memory.address, value)
            with cache.get(memory.span) as registration:
                assert slots.read(memory.span, registration) == value
        assert cache.statistics().evictions == 2
        held = [cache.get(memory.span) for memory in memories[:2]]
        with pytest.raises(DiagnosticError, match="E417"):
            cache.get(memories[2].span)
        for one in held:
            one.release()


def test_limits(slots: KvmSlots) -> None:
    """What does not fit is refused, and no slot is lost."""
    free = len(slots._free)
    with pytest.raises(OSError, match="too long"):
        slots.register(PAGE, slots.window + PAGE)
    with pytest.raises(OSError, match="Invalid argument"):
        slots.register(PAGE + 1, PAGE)
    assert len(slots._free) == free
    with pytest.raises(ValueError, match="4,096"):
        KvmSlots(0)


class Regions:
    """A few regions that are changed at random, and read and written by the guest."""

    def __init__(self, slots: KvmSlots, cache: RegistrationCache, seed: int) -> None:
        self.slots, self.cache = slots, cache
        self.dice = random.Random(seed)
        self.memories = [Memory(2, self.dice.choice((PRIVATE, SHARED))) for _ in range(8)]
        self.wrong = self.reads = self.forks = 0

    def step(self) -> None:
        """Do one thing."""
        at = self.dice.randrange(len(self.memories))
        chance = self.dice.random()
        if chance < 0.4:
            self.read(at)
        elif chance < 0.6:
            self.write(at)
        elif chance < 0.8:
            where = self.memories[at].address + self.dice.randrange(2) * PAGE
            write64(where, self.dice.getrandbits(32))
        elif chance < 0.998:
            self.change(at)
        else:
            self.fork()

    def read(self, at: int) -> None:
        """The guest reads what the host reads."""
        self.reads += 1
        where = (self.memories[at].address + self.dice.randrange(2) * PAGE, 8)
        with self.cache.get(where) as registration:
            if self.slots.read(where, registration) != read64(where[0]):
                self.wrong += 1

    def write(self, at: int) -> None:
        """The host reads what the guest writes."""
        where = (self.memories[at].address + self.dice.randrange(2) * PAGE, 8)
        value = self.dice.getrandbits(32)
        with self.cache.get(where) as registration:
            if not self.slots.write(where, registration, value) or read64(where[0]) != value:
                self.wrong += 1

    def change(self, at: int) -> None:
        """Change what is behind the addresses of a region."""
        memory = self.memories[at]
        # Few discards: until the kernel is known to be done with one, nothing there is kept.
        how = self.dice.choices(range(4), (10, 10, 1, 10))[0]
        if how == 0:
            memory.unmap()
            self.memories[at] = Memory(2, memory.flags, self.place(memory))
        elif how == 1:
            self.memories[at] = Memory(2, memory.flags, memory.address)  # MAP_FIXED over it
        elif how == 2:
            memory.advise(REMOVE if memory.flags == SHARED else DONTNEED)
        else:
            self.memories[at] = Memory(2, memory.flags, moved(memory))

    def place(self, memory: Memory) -> int:
        """Where to map anew what was unmapped."""
        return memory.address

    def fork(self) -> None:
        """Have a child that shares the pages while the parent writes."""
        self.forks += 1
        child = os.fork()
        if child == 0:
            os._exit(0)
        for memory in self.memories:
            write64(memory.address, self.forks)
        os.waitpid(child, 0)


@STEPS
def test_random_steps(mm: AddressSpace, steps: int) -> None:
    """Random steps: the guest and the host agree, and nothing is left."""
    gc.collect()
    mm.start_dispatcher()  # it has descriptors of its own
    before = len(list(DESCRIPTORS.iterdir()))
    with _slots() as slots, RegistrationCache(mm, slots) as cache:
        regions = Regions(slots, cache, seed=20080402)
        regions.read(0)
        translated = slots.guest.require_translations()
        for _ in range(steps):
            regions.step()
        assert regions.wrong == 0
        assert regions.reads > steps // 3
        assert regions.forks > 0
        assert slots.guest.require_translations(translated) > translated + steps // 20
        found = cache.statistics()
        assert found.invalidations > 100
        assert found.hits > 100
        for memory in regions.memories:
            memory.unmap()
        mm.poll()
        assert cache.statistics().registrations == 0
        assert len(slots._free) == 64
    assert len(list(DESCRIPTORS.iterdir())) == before


class Rivals(Regions):
    """Regions of one thread among others, which take the addresses that it gives up."""

    def place(self, memory: Memory) -> int:
        """Wherever the kernel likes: what is free is anybody's."""
        return 0


@STEPS
def test_threads(mm: AddressSpace, steps: int) -> None:
    """Four threads, one guest, one cache: everybody sees its own memory, and nothing is left."""
    gc.collect()
    mm.start_dispatcher()
    before, mapped = len(list(DESCRIPTORS.iterdir())), mappings()
    with _slots() as slots, RegistrationCache(mm, slots) as cache:
        everything = [Rivals(slots, cache, seed) for seed in range(4)]
        side_by_side([regions.step for regions in everything], steps // 4)
        assert sum(regions.wrong for regions in everything) == 0
        assert sum(regions.reads for regions in everything) > steps // 3
        assert sum(regions.forks for regions in everything) > 0
        assert cache.statistics().invalidations > 100
        assert cache.statistics().hits > 100
        for memory in [memory for regions in everything for memory in regions.memories]:
            memory.unmap()
        mm.poll()
        assert cache.statistics().registrations == 0
        assert len(slots._free) == 64
    assert len(list(DESCRIPTORS.iterdir())) == before
    assert mappings() < mapped + 20  # stacks and arenas of the threads
