"""The registration cache with a device that maps the same pages a second time."""

from __future__ import annotations

import ctypes
import errno
import gc
import mmap
import os
import random
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.raw import PAGE, SHARED, Memory, libc, raw

from mmunotify import AddressSpace, RegistrationCache, _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.live import AliasDevice, Need
from mmunotify.live.mapping import mappings_in
from mmunotify.live.operations import Kind
from mmunotify.live.registration import Registration

GUARD = ["madv_guard_install"]  # what no monitor of an unprivileged process reports


@pytest.fixture
def mm() -> Iterator[AddressSpace]:
    """An address space with the default monitors."""
    with AddressSpace() as found:
        yield found


def make(mm: AddressSpace, device: AliasDevice | None = None, **more: int) -> RegistrationCache:
    """Return a cache for an alias device."""
    return RegistrationCache(mm, device or AliasDevice(), allow_uncovered=GUARD, **more)


def read(cache: RegistrationCache, memory: Memory, length: int = 3) -> bytes:
    """Read the beginning of memory as the device does."""
    with cache.get(memory.span) as registration:
        device = cache.device
        assert isinstance(device, AliasDevice)
        return device.read(registration.key, registration.offset(memory.span), length)


def test_without_a_cache_that_is_told_the_device_is_stale() -> None:
    """The bug: registered once, mapped anew at the same address, the device reads old bytes."""
    device = AliasDevice()
    memory = Memory()
    memory.write(b"old")
    key = device.register(*memory.span)
    memory.unmap()
    again = Memory(memory.pages, SHARED, memory.address)
    again.write(b"new")
    assert device.read(key, 0, 3) == b"old"
    device.deregister(key)


def test_the_same_with_the_cache(mm: AddressSpace) -> None:
    """The registration is another one, and the bytes are right."""
    cache = make(mm)
    memory = Memory()
    memory.write(b"old")
    assert read(cache, memory) == b"old"
    memory.unmap()
    again = Memory(memory.pages, SHARED, memory.address)
    again.write(b"new")
    assert read(cache, again) == b"new"
    found = cache.statistics()
    assert (found.hits, found.misses, found.invalidations) == (0, 2, 1)


def test_a_hit_is_the_same_registration(mm: AddressSpace) -> None:
    """Objects, slices of them and addresses find what covers them."""
    cache = make(mm)
    memory = mmap.mmap(-1, 8 * PAGE)
    with cache.get(memory) as one, cache.get(memory) as two:
        assert one is two
        view = memoryview(memory)[100:200]
        with cache.get(view) as part:
            assert part is one
            assert part.offset(view) == 100
        view.release()
    assert cache.statistics().hits == 2


def test_overlapping_requests_merge(mm: AddressSpace) -> None:
    """A request that overlaps a registration makes a bigger one that takes its place."""
    device = AliasDevice()
    cache = make(mm, device)
    memory = Memory(16)
    cache.get((memory.address, 4 * PAGE)).release()
    with cache.get((memory.address + 2 * PAGE, 4 * PAGE)) as merged:
        assert (merged.extent.address, merged.extent.length) == (memory.address, 6 * PAGE)
    cache.reap()
    assert list(device.lengths.values()) == [6 * PAGE]


def test_partial_unmap_keeps_the_rest(mm: AddressSpace) -> None:
    """A hole in the middle splits: both sides are still hits of the same registration."""
    cache = make(mm)
    memory = Memory(16)
    memory.write(b"left")
    memory.write(b"right", 10)
    with cache.get(memory.span) as whole:
        memory.unmap(4, 2)
        with cache.get((memory.address, PAGE)) as left:
            assert left is whole
        with cache.get((memory.address + 10 * PAGE, PAGE)) as right:
            assert right is whole
        assert not whole.valid((memory.address + 4 * PAGE, PAGE))
        with pytest.raises(DiagnosticError, match="E412"):
            cache.get((memory.address + 4 * PAGE, PAGE))


def test_in_use_dies_with_its_last_user(mm: AddressSpace) -> None:
    """While it is in use the device keeps an invalidated registration, for the old pages."""
    device = AliasDevice()
    cache = make(mm, device)
    memory = Memory()
    memory.write(b"old")
    one, two = cache.get(memory.span), cache.get(memory.span)
    mm.unmap(memory.span)
    assert device.read(one.key, 0, 3) == b"old"
    one.release()
    assert list(device.lengths) == [two.key]
    two.release()
    assert not device.lengths
    with pytest.raises(DiagnosticError, match="E416 this registration has no users"):
        two.release()


def test_busy_all_the_time(mm: AddressSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup waits for the unmaps of others, as many as there are."""

    class Busy(_monitor.Table):
        """A table that says so for a while."""

        left = 100

        def hit_range(self, start: int, end: int) -> int:
            self.left -= 1
            return _monitor.BUSY if self.left > 0 else super().hit_range(start, end)

    with make(mm) as cache:
        memory = Memory()
        memory.write(b"new")
        busy = Busy(mm.space, 8)
        monkeypatch.setattr(cache, "table", busy)
        assert read(cache, memory) == b"new"
        assert busy.left == 0
        assert cache.statistics().misses == 1


def test_capacity(mm: AddressSpace) -> None:
    """The least used goes first; one in use never, and if all are, that is said."""
    device = AliasDevice()
    cache = make(mm, device, capacity=2)
    one, two, three = Memory(1), Memory(1), Memory(1)
    for memory in (one, two):
        cache.get(memory.span).release()
    with cache.get(one.span) as held:
        cache.get(three.span).release()  # two goes
        mm.poll()  # its second mapping was watched, too: until that is entered nothing is valid
        assert held.valid(one.span)
        with cache.get(three.span), pytest.raises(DiagnosticError, match=r"E417 .* capacity=2"):
            cache.get(two.span)
    assert cache.statistics().evictions == 1


class BusyDevice(AliasDevice):
    """Uses everything, all the time."""

    asked = 0

    def clear_young(self, key: int) -> bool:
        self.asked += 1
        assert self.asked < 100, "asked for ever"
        return True


def test_capacity_of_a_busy_device(mm: AddressSpace) -> None:
    """Where everything is in use by the device, something goes nevertheless."""
    device = BusyDevice()
    cache = make(mm, device, capacity=2)
    for memory in [Memory(1) for _ in range(4)]:
        cache.get(memory.span).release()
    assert cache.statistics().evictions == 2
    assert len(device.lengths) == 2


def test_bytes_and_the_limits_of_the_device(mm: AddressSpace) -> None:
    """Both limits are kept by giving others back."""
    for device, more in ((AliasDevice(), {"max_bytes": 8 * PAGE}), (AliasDevice(8 * PAGE), {})):
        cache = make(mm, device, **more)
        for _ in range(10):
            cache.get(Memory(3).span).release()
            assert sum(device.lengths.values()) <= 8 * PAGE
        assert cache.statistics().evictions == 8
        with pytest.raises(DiagnosticError, match="E417"):
            cache.get(Memory(9).span)
        cache.close()
        assert not device.lengths


def test_the_device_says_what_is_young(mm: AddressSpace) -> None:
    """What the device used since the last look is passed over once."""
    device = AliasDevice()
    cache = make(mm, device, capacity=2)
    one, two = Memory(1), Memory(1)
    with cache.get(one.span) as first:
        key = first.key
    cache.get(two.span).release()
    device.read(key, 0, 1)
    cache.get(Memory(1).span).release()
    assert key in device.lengths


def test_device_that_refuses_for_good(mm: AddressSpace) -> None:
    """Its error comes through, and nothing is left behind."""

    class Refusing(AliasDevice):
        def register(self, address: int, length: int) -> int:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    cache = make(mm, Refusing())
    with pytest.raises(PermissionError):
        cache.get(Memory().span)
    assert cache.statistics().registrations == 0


def test_needs(mm: AddressSpace) -> None:
    """A device whose needs are not covered is refused, and the operations are named."""
    with pytest.raises(DiagnosticError, match=r"E414 alias is pinned.* of madv_guard_install"):
        RegistrationCache(mm, AliasDevice())

    class Translating(AliasDevice):
        need = Need.TRANSLATING

    with pytest.raises(DiagnosticError, match="reclaim, madv_collapse, migrate, ksm, fork, cow"):
        RegistrationCache(mm, Translating(), allow_uncovered=GUARD)
    with pytest.raises(DiagnosticError, match="E413 there is no operation 'guard'"):
        RegistrationCache(mm, AliasDevice(), allow_uncovered=["guard"])


def test_needs_of_shared_files(mm: AddressSpace) -> None:
    """What only files suffer is refused at the first get of such memory."""
    fd = os.memfd_create("test")
    os.truncate(fd, 4 * PAGE)
    memory = Memory(4, SHARED, fd=fd)
    assert [m.kind for m in mappings_in(memory.address, memory.end)] == [Kind.SHARED]
    with pytest.raises(DiagnosticError, match=r"E414 .* of punch_hole, ftruncate"):
        make(mm).get(memory.span)
    allowed = [*GUARD, "punch_hole", "ftruncate"]
    cache = RegistrationCache(mm, AliasDevice(), allow_uncovered=allowed)
    cache.get(memory.span).release()
    cache.close()
    os.close(fd)


def test_bytearray_is_refused(mm: AddressSpace) -> None:
    """It moves when it grows, and nobody would tell; a view of it does not."""
    with pytest.raises(DiagnosticError, match="E411 a bytearray has no address"):
        make(mm).get(bytearray(PAGE))


def test_fork(mm: AddressSpace) -> None:
    """The parent's pins stay good; the child's cache serves nothing."""
    cache = make(mm)
    memory = Memory()
    cache.get(memory.span).release()
    child = os.fork()
    if child == 0:
        try:
            cache.get(memory.span)
        except DiagnosticError as error:
            os._exit(0 if "E415" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    cache.get(memory.span).release()
    assert cache.statistics().hits == 1


def test_closed() -> None:
    """After close of the address space nothing is a hit, and nothing is left registered."""
    device = AliasDevice()
    memory = Memory()
    with AddressSpace() as mm:
        cache = make(mm, device)
        cache.get(memory.span).release()
        held = cache.get(memory.span)
    with pytest.raises(DiagnosticError, match="E415"):
        cache.get(memory.span)
    held.release()
    assert not device.lengths


def test_discarded_memory_is_not_kept_at_once(mm: AddressSpace) -> None:
    """After a raw discard registrations are good for one use, until the discard is over for
    sure."""
    cache = make(mm)
    memory = Memory()
    cache.get(memory.span).release()
    memory.advise(9)  # MADV_REMOVE
    memory.write(b"new")
    assert read(cache, memory) == b"new"
    assert cache.statistics().transient == 1
    deadline = time.monotonic() + 20
    while cache.statistics().transient < 1000 and time.monotonic() < deadline:
        before = cache.statistics().transient
        assert read(cache, memory) == b"new"
        if cache.statistics().transient == before:
            return
        time.sleep(0.02)
    pytest.fail("the tombstone is never lifted")


@pytest.mark.parametrize(
    "steps", [20_000, pytest.param(500_000, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_random_steps(mm: AddressSpace, steps: int) -> None:
    """Random steps on a few addresses: no byte that the device reads is stale, nothing is left."""
    rng = random.Random(20261125)
    device = AliasDevice()
    cache = make(mm, device, capacity=6)
    arena = Memory(64)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for serial in range(steps):
        first = rng.randrange(60)
        pages = rng.randrange(1, 5)
        start = arena.address + first * PAGE
        step = rng.random()
        if step < 0.25:
            Memory(pages, SHARED, start)  # maps over
        elif step < 0.3:
            mm.discard((start, pages * PAGE))
        elif step < 0.35:
            arena.advise(9, first, pages)  # MADV_REMOVE by hand
        elif step < 0.351:
            fork_and_end()
        elif step < 0.4:
            there = Memory(pages)
            data = b"%8d" % serial
            there.write(data)
            raw(libc.mremap(there.address, there.length, there.length, 3, start))
            assert read_by(cache, start) == data
        else:
            data = b"%8d" % serial
            arena.write(data, first)
            assert read_by(cache, start) == data
            with cache.get((start, PAGE)) as registration:
                offset = start - registration.extent.address
                device.write(registration.key, offset + 8, data)
            assert cpu_read(start + 8) == data
    cache.close()
    assert not device.lengths
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


def read_by(cache: RegistrationCache, start: int) -> bytes:
    """Read eight bytes as the device does."""
    device = cache.device
    assert isinstance(device, AliasDevice)
    with cache.get((start, PAGE)) as registration:
        return device.read(registration.key, start - registration.extent.address, 8)


def fork_and_end() -> None:
    """Make a child that ends at once."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def cpu_read(address: int) -> bytes:
    """Read eight bytes by the CPU."""
    return ctypes.string_at(address, 8)


def test_threads(mm: AddressSpace) -> None:
    """Threads that map over, read and write pages of their own beside each other."""
    device = AliasDevice()
    cache = make(mm, device, capacity=4)
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        memory = Memory(2)
        for number in range(400):
            if rng.random() < 0.3:
                Memory(2, SHARED, memory.address)
            data = b"%d-%6d" % (seed, number)
            memory.write(data)
            found = read(cache, memory, len(data))
            if found != data:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    cache.close()
    assert not device.lengths


def test_a_cache_that_nobody_closes_is_collected(mm: AddressSpace) -> None:
    """The native half of a lookup holds registrations, which hold the cache: no leak of both."""
    device = AliasDevice()
    cache = make(mm, device)
    memory = Memory()
    cache.get(memory.span).release()
    gone = weakref.ref(cache)
    del cache
    for _ in range(200):  # the thread that tells of events holds it now and then
        gc.collect()
        if gone() is None:
            return
        time.sleep(0.01)
    pytest.fail("something holds the cache")


def test_a_subclass_may_look_first(mm: AddressSpace) -> None:
    """`get` is a method like others: overridden, and called from there."""

    class Counting(RegistrationCache):
        asked = 0

        def get(self, memory: object) -> Registration:
            self.asked += 1
            return super().get(memory)

    cache = Counting(mm, AliasDevice(), allow_uncovered=GUARD)
    memory = Memory()
    for _ in range(3):
        with cache.get(memory.span):
            pass
    assert (cache.asked, cache.statistics().hits) == (3, 2)


@pytest.mark.parametrize("wrong", [(1,), (1, 2, 3), ("a", 2), (-1, 4), (0, 4), (4096, -1), None])
def test_what_is_no_memory_is_refused(mm: AddressSpace, wrong: object) -> None:
    """Whatever the quick way cannot read is the other's to refuse, with an error."""
    with pytest.raises(DiagnosticError, match="E411"):
        make(mm).get(wrong)
