"""The cache as a state machine: hypothesis looks for a sequence of operations that ends stale.

The device is a real io_uring that reads files into memory. Invariant: whatever was done to the
memory before, the CPU sees what the device has just read.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory, libc, raw

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.live import Registration
from mmunotify.live.devices import IoUring

DONTNEED, MAYMOVE, AT = 4, 1, 2
PAGES = 8

places = st.integers(0, PAGES - 1)
lengths = st.integers(1, PAGES)
kinds = st.sampled_from([PRIVATE, SHARED])


class Cache(RuleBasedStateMachine):
    """One region of eight pages, always mapped between two rules."""

    def __init__(self) -> None:
        super().__init__()
        self.mm = AddressSpace()
        self.ring = IoUring(16)
        self.cache = RegistrationCache(
            self.mm, self.ring, capacity=4, allow_uncovered=["madv_guard_install"]
        )
        self.file, path = tempfile.mkstemp()
        Path(path).unlink()
        os.pwrite(self.file, b"".join(bytes([n]) * PAGE for n in range(64)), 0)
        self.held: list[Registration] = []

    @initialize(kind=kinds)
    def map(self, kind: int) -> None:
        """Begin with something mapped."""
        self.memory = Memory(PAGES, kind)

    def span(self, first: int, count: int) -> tuple[int, int]:
        """The bytes of up to `count` pages from `first` on."""
        count = min(count, PAGES - first)
        return self.memory.address + first * PAGE, count * PAGE

    @rule(first=places, count=lengths, page=st.integers(0, 55))
    def read(self, first: int, count: int, page: int) -> None:
        """Read by the device; look by the CPU."""
        address, length = self.span(first, count)
        self.transfer(address, length, page)
        expected = b"".join(bytes([page + n]) * PAGE for n in range(length // PAGE))
        assert ctypes.string_at(address, length) == expected

    def transfer(self, address: int, length: int, page: int) -> None:
        """Have the device read some pages of the file."""
        with self.cache.get((address, length)) as registration:
            done = self.ring.read(self.file, (address, length), page * PAGE, registration)
        assert done == length

    @rule(first=places, count=lengths, kind=kinds)
    def map_over(self, first: int, count: int, kind: int) -> None:
        """mmap(MAP_FIXED)."""
        address, length = self.span(first, count)
        Memory(length // PAGE, kind, address)

    @rule(first=places, count=lengths, kind=kinds)
    def unmap_and_map(self, first: int, count: int, kind: int) -> None:
        """munmap, then something else at the same addresses."""
        address, length = self.span(first, count)
        raw(libc.munmap(address, length))
        Memory(length // PAGE, kind, address)

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
        other = Memory(length // PAGE, kind)
        raw(libc.mremap(other.address, length, length, MAYMOVE | AT, address))

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
        self.held.append(self.cache.get(self.span(first, count)))

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        """Give the oldest back."""
        self.held.pop(0).release()

    @invariant()
    def within_its_size(self) -> None:
        """The cache keeps its bound; what is dead and in use comes on top."""
        assert self.cache.statistics().registrations <= 4 + len(self.held)

    def teardown(self) -> None:
        """Leave nothing registered, open or running."""
        for one in self.held:
            one.release()
        if hasattr(self, "memory"):
            self.memory.unmap()
        self.mm.space.settle()
        self.cache.close()
        assert len(self.ring._free) == 16
        self.mm.close()
        os.close(self.file)


class Remembering(Cache):
    """What one does without a notifier: a registration is kept for its addresses, for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: dict[tuple[int, int], int] = {}
        self.pinned = IoUring(64)

    def transfer(self, address: int, length: int, page: int) -> None:
        """Read through the first registration that there was."""
        if (address, length) not in self.slots:
            self.slots[address, length] = self.pinned.register(address, length)
        slot = self.slots[address, length]
        self.pinned._ring.transfer(False, self.file, address, length, page * PAGE, slot)


def _run(machine: type[Cache], examples: int, steps: int) -> None:
    try:
        IoUring(1)
    except OSError as error:
        pytest.skip(f"io_uring: {error.strerror}; sysctl kernel.io_uring_disabled=0 permits it")
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


def test_no_sequence_ends_stale() -> None:
    """Some thousand steps."""
    _run(Cache, 60, 50)


def test_stale_bytes_would_be_found() -> None:
    """Without the cache the same rules find a sequence that ends stale."""
    with pytest.raises(AssertionError):
        _run(Remembering, 60, 50)


@pytest.mark.long
def test_no_sequence_ends_stale_long() -> None:
    """A hundred thousand steps and more."""
    _run(Cache, 1_000, 120)
