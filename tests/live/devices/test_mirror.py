"""A mirror that copies what was written: stale without scan or notifier, never with both."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory, libc, raw
from tests.live.side_by_side import side_by_side

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import DiagnosticError
from mmunotify.live.device import AliasDevice
from mmunotify.live.devices import Mirror
from mmunotify.live.devices.mirror import Copy
from mmunotify.live.memory import Extent
from mmunotify.live.registration import Registration

DONTNEED, HUGEPAGE, GUARD_INSTALL = 4, 14, 102
MAYMOVE_FIXED = 3
STEPS = 100_000
OF_THREADS = pytest.mark.parametrize(
    "steps", [10_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["short", "long"]
)
ZEROS, DESCRIPTORS = Path("/dev/zero"), Path("/proc/self/fd")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror; skips where the kernel cannot tell what was written."""
    try:
        found = Mirror()
    except OSError as error:
        pytest.skip(f"PAGEMAP_SCAN: {error}; needs Linux 6.7 and /proc")
    with found:
        yield found


@pytest.fixture
def cache(mm: AddressSpace, mirror: Mirror) -> Iterator[RegistrationCache]:
    """A cache of its copies. Nothing has to be allowed: what no monitor reports, the scan finds."""
    with RegistrationCache(mm, mirror) as found:
        assert found.uncovered([]) == []
        yield found


def seen(memory: Memory) -> bytes:
    """What a CPU sees."""
    return ctypes.string_at(*memory.span)


def mirrored(mirror: Mirror, cache: RegistrationCache, memory: Memory) -> bytes:
    """What the mirror shows."""
    with cache.get(memory.span) as registration:
        mirror.update(registration)
        return mirror.read(memory.span, registration)


def bare(memory: Memory, mirror: Mirror, cache: RegistrationCache) -> Registration:
    """A registration that no cache invalidates."""
    cache.mm.watch(Extent(*memory.span))
    return Registration(cache, -1, mirror.register(*memory.span), Extent(*memory.span))


def test_stale_without_a_scan(mirror: Mirror, cache: RegistrationCache) -> None:
    """No monitor reports a write: the copy that a lookup finds is old until it is updated."""
    memory = Memory(4, PRIVATE)
    memory.write(b"old")
    with cache.get(memory.span) as registration:
        memory.write(b"new")
        with cache.get(memory.span) as again:
            assert again is registration, "a write does not invalidate"
            assert mirror.read((memory.address, 3), again) == b"old"
            assert mirror.update(again) == 1
            assert mirror.read((memory.address, 3), again) == b"new"


def test_stale_without_the_notifier(mirror: Mirror, cache: RegistrationCache) -> None:
    """Pages that were not written come to an address by mremap: a scan has nothing to report."""
    memory, other = Memory(4, PRIVATE), Memory(4, PRIVATE)
    memory.write(b"old")
    other.write(b"new")
    held, second = bare(memory, mirror, cache), bare(other, mirror, cache)
    raw(libc.mremap(other.address, other.length, other.length, MAYMOVE_FIXED, memory.address))
    assert mirror.update(held) == 0
    assert mirror.read((memory.address, 3), held) == b"old"
    assert seen(memory)[:3] == b"new"
    assert mirrored(mirror, cache, memory)[:3] == b"new", "a lookup after it is right"
    for registration in (held, second):
        mirror.deregister(registration.key)


def test_right_with_both(mirror: Mirror, cache: RegistrationCache) -> None:
    """The same two things with the cache: a write, and other pages that were not written."""
    memory, other = Memory(4, PRIVATE), Memory(4, PRIVATE)
    for text in (b"one", b"two"):
        memory.write(text)
        assert mirrored(mirror, cache, memory)[:3] == text
    other.write(b"new")
    assert mirrored(mirror, cache, other)[:3] == b"new"
    raw(libc.mremap(other.address, other.length, other.length, MAYMOVE_FIXED, memory.address))
    assert mirrored(mirror, cache, memory)[:3] == b"new"


def test_right_after_a_part_has_gone(mirror: Mirror, cache: RegistrationCache) -> None:
    """The rest is copied anew: the old copy has memory that no scan follows."""
    memory = Memory(3, PRIVATE)
    assert mirrored(mirror, cache, memory) == bytes(memory.length)
    Memory(1, PRIVATE, memory.address + PAGE)
    memory.write(b"new")
    rest = (memory.address, PAGE)
    with cache.get(rest) as registration:
        mirror.update(registration)
        assert mirror.read((memory.address, 3), registration) == b"new"


def test_right_with_validation(mirror: Mirror) -> None:
    """The monitor that is asked sees the same bits; a mirror that clears them hides nothing."""
    with (
        AddressSpace(monitors=["explicit", "validate"]) as mm,
        RegistrationCache(mm, mirror) as cache,
    ):
        memory, other = Memory(4, PRIVATE), Memory(4, PRIVATE)
        for text in (b"one", b"two"):
            memory.write(text)
            assert mirrored(mirror, cache, memory)[:3] == text
        other.write(b"new")
        assert mirrored(mirror, cache, other)[:3] == b"new"
        raw(libc.mremap(other.address, other.length, other.length, MAYMOVE_FIXED, memory.address))
        assert mirrored(mirror, cache, memory)[:3] == b"new"


@pytest.mark.parametrize("touched", [True, False])
def test_copies_only_what_was_written(
    mirror: Mirror, cache: RegistrationCache, touched: bool
) -> None:
    """The number of pages copied is the number of pages written, whatever was there before."""
    memory = Memory(64, PRIVATE)
    if touched:
        memory.fill()
    dice = random.Random(7)
    with cache.get(memory.span) as registration:
        assert mirror.copied == 64
        assert mirror.update(registration) == 0
        for count in (1, 2, 5, 17, 64, 0):
            for page in dice.sample(range(64), count):
                memory.write(os.urandom(8), page)
            seen(memory)  # reading changes nothing
            assert mirror.update(registration) == count
            assert mirror.read(memory.span, registration) == seen(memory)
        assert mirror.update(registration) == 0


def test_more_regions_than_one_call_reports(mirror: Mirror, cache: RegistrationCache) -> None:
    """Every second page of many: the scan goes on where it stopped."""
    memory = Memory(2048, PRIVATE)
    with cache.get(memory.span) as registration:
        for page in range(0, 2048, 2):
            memory.write(b"%5d" % page, page)
        assert mirror.update(registration) == 1024
        assert mirror.read(memory.span, registration) == seen(memory)


def test_two_copies_of_a_page(mm: AddressSpace, mirror: Mirror, cache: RegistrationCache) -> None:
    """A scan for one copy forgets what was written; the others must still hear of it."""
    memory = Memory(2, PRIVATE)
    with Mirror() as second, RegistrationCache(mm, second) as beside:
        with cache.get(memory.span) as one, beside.get(memory.span) as two:
            memory.write(b"new")
            assert (mirror.update(one), second.update(two)) == (1, 1)
            assert mirror.read((memory.address, 3), one) == b"new"
            assert second.read((memory.address, 3), two) == b"new"


def test_scan_that_fails(mirror: Mirror, cache: RegistrationCache) -> None:
    """The kernel clears bits before it comes to memory that it refuses: nobody may miss them."""
    memory = Memory(8, PRIVATE)
    whole = bare(memory, mirror, cache)
    memory.unmap(4, 4)
    Memory(4, PRIVATE, memory.address + 4 * PAGE)
    half = Extent(memory.address, 4 * PAGE)
    with cache.get((half.address, half.length)) as registration:
        memory.write(b"new", 1)
        with pytest.raises(OSError, match="not permitted"):
            mirror.update(whole)
        assert mirror.update(registration) >= 1
        assert mirror.read((half.address + PAGE, 3), registration) == b"new"
    mirror.deregister(whole.key)


def test_writes_of_the_kernel(mirror: Mirror, cache: RegistrationCache) -> None:
    """read(2) into the memory is a write like any other."""
    memory = Memory(2, PRIVATE)
    with cache.get(memory.span) as registration, ZEROS.open("rb", buffering=0) as zeros:
        memory.fill()
        assert mirror.update(registration) == 2
        window = (ctypes.c_char * PAGE).from_address(memory.address)
        assert zeros.readinto(window) == PAGE
        assert mirror.update(registration) == 1
        assert mirror.read(memory.span, registration) == bytes(PAGE) + b"\1" * PAGE


def test_forget(mirror: Mirror, cache: RegistrationCache) -> None:
    """What the caller knows to be written is copied although no bit says so."""
    memory = Memory(4, PRIVATE)
    with cache.get(memory.span) as registration:
        mirror.forget((memory.address + PAGE + 5, PAGE))
        assert mirror.update(registration) == 2


def test_huge_pages(mirror: Mirror, cache: RegistrationCache) -> None:
    """A huge page is one entry: more may be copied than was written, never less."""
    memory = Memory(1536, PRIVATE)
    memory.advise(HUGEPAGE)
    memory.fill()
    dice = random.Random(3)
    mirrored(mirror, cache, memory)
    for turn in range(100):
        page = dice.randrange(1536)
        memory.write(b"%5d" % turn, page)
        with cache.get(memory.span) as registration:
            assert mirror.update(registration) >= 1
            where = (memory.address + page * PAGE, 5)
            assert mirror.read(where, registration) == b"%5d" % turn
    assert mirrored(mirror, cache, memory) == seen(memory)


def test_memory_that_cannot_be_read(mirror: Mirror, cache: RegistrationCache) -> None:
    """Guard pages and unmapped memory are errors, not signals; the copy keeps what it has."""
    memory = Memory(4, PRIVATE)
    memory.write(b"old")
    with cache.get(memory.span) as registration:
        try:
            memory.advise(GUARD_INSTALL, 0, 1)
        except OSError as error:
            pytest.skip(f"MADV_GUARD_INSTALL: {error}; needs Linux 6.13")
        for _ in range(2):
            with pytest.raises(OSError, match=r"error|Bad address"):
                mirror.update(registration)
            assert mirror.read((memory.address, 3), registration) == b"old"
        memory.unmap()
        Memory(4, PRIVATE, memory.address)
        with pytest.raises(OSError, match="not permitted"):
            mirror.update(registration)


def test_shared_memory_is_refused(cache: RegistrationCache, tmp_path: Path) -> None:
    """Others write it unseen."""
    fd = os.memfd_create("shared")
    os.truncate(fd, PAGE)
    try:
        with pytest.raises(DiagnosticError, match="E41"):
            cache.get(Memory(1, SHARED, 0, fd).span)
        with pytest.raises(DiagnosticError, match="E412"):
            cache.get(Memory(1, SHARED).span)
        with pytest.raises(DiagnosticError, match="E412"):
            cache.device.register(*Memory(1, PRIVATE, 0, fd).span)
    finally:
        os.close(fd)


def test_other_devices_cover_nothing(mm: AddressSpace) -> None:
    """Guard pages are refused to a device that does not look for them itself."""
    with pytest.raises(DiagnosticError, match="madv_guard_install"):
        RegistrationCache(mm, AliasDevice())


def test_child(mirror: Mirror, cache: RegistrationCache) -> None:
    """A child has the objects, not the memory that they scan."""
    memory = Memory(1, PRIVATE)
    with cache.get(memory.span) as registration:
        child = os.fork()
        if child == 0:
            try:
                mirror.update(registration)
            except DiagnosticError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        memory.write(b"new")
        assert mirror.update(registration) == 1


class CountingMirror(Mirror):
    """Counts the pages of first copies."""

    first = 0

    def register(self, address: int, length: int) -> Copy:
        self.first += length // PAGE
        return super().register(address, length)


class Regions:
    """A few regions that are written, replaced, moved and discarded at random, and mirrored."""

    def __init__(self, mirror: Mirror, cache: RegistrationCache, seed: int) -> None:
        self.mirror, self.cache = mirror, cache
        self.dice = random.Random(seed)
        self.memories = [Memory(4, PRIVATE) for _ in range(8)]
        self.stale = self.reads = self.written = self.forks = 0

    def step(self) -> None:
        """Do one thing."""
        at = self.dice.randrange(len(self.memories))
        chance = self.dice.random()
        if chance < 0.4:
            self.read(at)
        elif chance < 0.8:
            self.written += 1
            self.memories[at].write(self.dice.randbytes(8), self.dice.randrange(4))
        elif chance < 0.9995:
            self.change(at)
        else:
            self.fork()

    def read(self, at: int) -> None:
        """Compare a region with its copy."""
        self.reads += 1
        memory = self.memories[at]
        if mirrored(self.mirror, self.cache, memory) != seen(memory):
            self.stale += 1

    def change(self, at: int) -> None:
        """Change what is behind the addresses of a region."""
        memory = self.memories[at]
        # Few discards: until the kernel is known to be done with one, nothing there is kept.
        how = self.dice.choices(range(4), (10, 10, 1, 10))[0]
        if how == 0:
            memory.unmap()
            self.memories[at] = Memory(4, PRIVATE, memory.address)
        elif how == 1:
            self.memories[at] = Memory(4, PRIVATE, memory.address)  # MAP_FIXED over it
        elif how == 2:
            memory.advise(DONTNEED, self.dice.randrange(3), 2)
        else:  # pages that are mirrored and were perhaps not written since
            over = self.dice.randrange(len(self.memories))
            if over != at:
                onto, size = self.memories[over], memory.length
                raw(libc.mremap(memory.address, size, size, MAYMOVE_FIXED, onto.address))
                self.memories[at] = Memory(4, PRIVATE, memory.address)

    def step_among_others(self) -> None:
        """Do one thing that leaves no addresses to other threads."""
        at, chance = self.dice.randrange(8), self.dice.random()
        if chance < 0.5:
            self.read(at)
        elif chance < 0.9:
            self.memories[at].write(self.dice.randbytes(8), 1)
        else:
            self.memories[at].advise(DONTNEED, 1, 2)

    def fork(self) -> None:
        """Have a child that shares the pages for a moment, while the parent writes."""
        self.forks += 1
        child = os.fork()
        if child == 0:
            os._exit(0)
        for memory in self.memories:
            memory.write(self.dice.randbytes(8))
        os.waitpid(child, 0)

    def close(self) -> None:
        """Unmap all."""
        for memory in self.memories:
            memory.unmap()


def test_random_steps(mm: AddressSpace, mirror: Mirror) -> None:
    """100,000 steps: no stale read, only what was written is copied, and nothing is left."""
    del mirror  # skips where there is none
    gc.collect()
    with CountingMirror() as counting, RegistrationCache(mm, counting) as cache:
        regions = Regions(counting, cache, seed=20080402)
        regions.read(0)  # what monitors open at the first use stays open
        before = len(list(DESCRIPTORS.iterdir()))
        for _ in range(STEPS):
            regions.step()
        assert regions.stale == 0
        assert regions.reads > STEPS // 3 < regions.written
        assert regions.forks > 20
        found = cache.statistics()
        # How many depends on when the monitor's thread runs.
        assert found.invalidations > 100
        assert found.hits > 100
        # Each page that was copied was written, or belonged to a new registration.
        assert counting.copied <= regions.written + 8 * regions.forks + counting.first
        regions.close()
        mm.space.settle()  # the report is read, and is entered now
        cache.reap()
        assert cache.statistics().registrations == 0
        assert len(list(DESCRIPTORS.iterdir())) == before


@OF_THREADS
def test_threads(mirror: Mirror, cache: RegistrationCache, steps: int) -> None:
    """Four threads with regions of their own, one mirror and one cache."""
    everything = [Regions(mirror, cache, seed) for seed in range(4)]
    side_by_side([one.step_among_others for one in everything], steps // 4)
    assert sum(one.stale for one in everything) == 0
    assert sum(one.reads for one in everything) > steps // 3
    for one in everything:
        one.close()


def test_mapping_of_this_process() -> None:
    """The page size that the tests count in."""
    assert mmap.PAGESIZE == PAGE
