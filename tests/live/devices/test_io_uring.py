"""Registered buffers of a real io_uring: stale without the cache, never stale with it."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.raw import FIXED, PAGE, PRIVATE, SHARED, Memory, libc, raw
from tests.live.side_by_side import side_by_side

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import DiagnosticError
from mmunotify.live.devices import IoUring

GUARD = ["madv_guard_install"]  # what no monitor of an unprivileged process reports
DONTNEED, REMAP_MAYMOVE, REMAP_FIXED = 4, 1, 2
STEPS = 100_000
OF_THREADS = pytest.mark.parametrize(
    "steps", [20_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["short", "long"]
)


def _ring(buffers: int = 64) -> IoUring:
    try:
        return IoUring(buffers)
    except OSError as error:
        pytest.skip(f"io_uring: {error.strerror}; sysctl kernel.io_uring_disabled=0 permits it")


@pytest.fixture
def ring() -> IoUring:
    """A ring; skips where the machine has none."""
    return _ring()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """A file of 64 pages, each with bytes of its own."""
    path = tmp_path / "pages"
    path.write_bytes(b"".join(bytes([page]) * PAGE for page in range(1, 65)))
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def first(memory: Memory) -> int:
    """The first byte of memory, as a CPU sees it."""
    return ctypes.string_at(memory.address, 1)[0]


def test_stale_without_a_cache(ring: IoUring, file: int) -> None:
    """The bug: the bytes go to the old pages, and the kernel reports success."""
    memory = Memory(1, PRIVATE)
    memory.fill()
    slot = ring.register(*memory.span)
    memory.unmap()
    again = Memory(1, PRIVATE, memory.address)
    again.fill()
    done = ring._ring.transfer(False, file, memory.address, PAGE, 0, slot)
    assert done == PAGE
    assert first(again) == 1 == first(again)
    ring._ring.transfer(False, file, memory.address, PAGE, 41 * PAGE, slot)
    assert first(again) == 1, "the pages at the address have not changed"
    ring.deregister(slot)


def test_right_with_the_cache(ring: IoUring, mm: AddressSpace, file: int) -> None:
    """The same with a cache: mapped anew, the memory is registered anew."""
    with RegistrationCache(mm, ring, allow_uncovered=GUARD) as cache:
        memory = Memory(1, PRIVATE)
        for page in (3, 7):
            with cache.get(memory.span) as registration:
                assert ring.read(file, memory.span, page * PAGE, registration) == PAGE
            assert first(memory) == page + 1
            memory.unmap()
            memory = Memory(1, PRIVATE, memory.address)
            memory.fill()


def test_write(ring: IoUring, mm: AddressSpace, file: int) -> None:
    """WRITE_FIXED takes the bytes that a CPU wrote last; a hit is no new registration."""
    with RegistrationCache(mm, ring, allow_uncovered=GUARD) as cache:
        memory = mmap.mmap(-1, PAGE)
        for text in (b"one", b"two"):
            memory[:3] = text
            with cache.get(memory) as registration:
                assert ring.write(file, memory, 0, registration) == PAGE
            assert os.pread(file, 3, 0) == text
        assert cache.statistics().misses == 1
        assert cache.statistics().hits == 1


def test_without_a_registration(ring: IoUring, file: int) -> None:
    """READ goes to what is at the address."""
    memory = Memory(1, PRIVATE)
    assert ring.read(file, memory.span, 9 * PAGE, None) == PAGE
    assert first(memory) == 10


def test_errors_of_the_kernel(ring: IoUring) -> None:
    """What the kernel answers is an OSError, and the slot is not lost."""
    free = len(ring._free)
    with pytest.raises(OSError, match="Bad address") as caught:
        ring.register(PAGE, PAGE)
    assert caught.value.errno == errno.EFAULT
    assert len(ring._free) == free
    memory = Memory(1, PRIVATE)
    with pytest.raises(OSError, match="Bad file descriptor"):
        ring.read(99_999, memory.span, 0, None)


def test_bounds() -> None:
    """A ring has buffers."""
    with pytest.raises(ValueError, match="16,384"):
        IoUring(0)


def test_no_buffer_left(mm: AddressSpace, file: int) -> None:
    """The cache gives back what is not in use; if all is, the error says so."""
    ring = _ring(2)
    with RegistrationCache(mm, ring, allow_uncovered=GUARD) as cache:
        memories = [Memory(1, PRIVATE) for _ in range(4)]
        for page, memory in enumerate(memories):
            with cache.get(memory.span) as registration:
                ring.read(file, memory.span, page * PAGE, registration)
            assert first(memory) == page + 1
        assert cache.statistics().evictions == 2
        held = [cache.get(memory.span) for memory in memories[:2]]
        with pytest.raises(DiagnosticError, match="E417"):
            cache.get(memories[2].span)
        for one in held:
            one.release()


def open_files() -> int:
    """The number of descriptors that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Regions:
    """A few regions that are unmapped, replaced, moved and discarded at random, and read into."""

    def __init__(self, ring: IoUring, cache: RegistrationCache, file: int, seed: int) -> None:
        self.ring, self.cache, self.file = ring, cache, file
        self.dice = random.Random(seed)
        self.memories = [Memory(4, self.dice.choice((PRIVATE, SHARED))) for _ in range(8)]
        self.stale = self.forks = 0

    def step(self) -> None:
        """Do one thing."""
        at = self.dice.randrange(len(self.memories))
        chance = self.dice.random()
        if chance < 0.55:
            self.read(at)
        elif chance < 0.999:
            self.change(at)
        else:
            self.fork()

    def read(self, at: int) -> None:
        """Read a page of the file through the cache; the CPU must see it."""
        memory, page = self.memories[at], self.dice.randrange(64)
        where = memory.address + self.dice.randrange(4) * PAGE
        with self.cache.get((where, PAGE)) as registration:
            done = self.ring._ring.transfer(
                False, self.file, where, PAGE, page * PAGE, registration.key
            )
        assert done == PAGE, os.strerror(-done)
        if ctypes.string_at(where, PAGE) != bytes([page + 1]) * PAGE:
            self.stale += 1

    def change(self, at: int) -> None:
        """Change what is behind the addresses of a region."""
        memory = self.memories[at]
        how = self.dice.randrange(4)
        if how == 0:
            memory.unmap()
            self.memories[at] = Memory(4, memory.flags, memory.address)
        elif how == 1:
            self.memories[at] = Memory(4, memory.flags, memory.address)  # MAP_FIXED over it
        elif how == 2:
            memory.advise(DONTNEED, self.dice.randrange(3), 2)
        else:
            other = Memory(4, memory.flags)
            raw(libc.mremap(other.address, other.length, other.length, 3, memory.address))

    def step_among_others(self) -> None:
        """Do one thing that leaves no addresses to other threads."""
        at = self.dice.randrange(8)
        if self.dice.random() < 0.6:
            self.read(at)
        else:
            self.memories[at].advise(DONTNEED, 1, 2)

    def fork(self) -> None:
        """Have a child that shares the pages for a moment."""
        self.forks += 1
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


def test_flags() -> None:
    """The constants of the steps above."""
    assert (REMAP_MAYMOVE | REMAP_FIXED, FIXED) == (3, 0x10)


def test_random_steps(ring: IoUring, mm: AddressSpace, file: int) -> None:
    """100,000 steps: no stale read, and nothing is left registered or open."""
    with RegistrationCache(mm, ring, allow_uncovered=GUARD) as cache:
        regions = Regions(ring, cache, file, seed=20080402)
        regions.read(0)  # what monitors open at the first use stays open
        before = open_files()
        for _ in range(STEPS):
            regions.step()
        assert regions.stale == 0
        assert regions.forks > 50
        found = cache.statistics()
        assert found.invalidations > STEPS // 10
        assert found.hits > 0
        for memory in regions.memories:
            memory.unmap()
        mm.space.settle()  # the monitor has read the events; it may still be entering them
        cache.reap()
        assert cache.statistics().registrations == 0
    assert len(ring._free) == 64
    assert open_files() == before


@OF_THREADS
def test_threads(ring: IoUring, mm: AddressSpace, file: int, steps: int) -> None:
    """Four threads with regions of their own, one ring and one cache."""
    with RegistrationCache(mm, ring, allow_uncovered=GUARD) as cache:
        everything = [Regions(ring, cache, file, seed) for seed in range(4)]
        side_by_side([one.step_among_others for one in everything], steps // 4)
        assert sum(one.stale for one in everything) == 0
        assert cache.statistics().invalidations > 100
        assert cache.statistics().hits > 100
