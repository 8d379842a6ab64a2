"""Reading a file by io_uring: through the cache, without registration, and registered each time.

Invariant: all ways read the same bytes of a file that is in the page cache into the same memory,
in turn, one after another.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.lookups import UNCOVERED, touched
from bench.options import Options
from bench.samples import in_turn
from bench.table import Bar, Table

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.live.devices import IoUring
from mmunotify.live.registration import Registration

__all__ = ["measure"]

_SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 22)
_WAYS = ("READ_FIXED, held", "READ_FIXED, cache", "READ", "READ_FIXED, register each time")


def measure(options: Options) -> Table:
    """Microseconds of one read of each size, each way; the median of many, of several runs."""
    columns = ["size", *(f"{way}, us" for way in _WAYS), "best uncached / cache"]
    table = Table("read", "from the page cache by io_uring", columns)
    with _file(max(_SIZES)) as file:
        for size in _SIZES:
            _size(table, file, size, options)
    table.notes.append(
        "held is one registration for all reads, without a lookup: what registration can save at "
        "the most. The cache has a bar only where held beats both uncached ways"
    )
    return table


def _size(table: Table, file: int, size: int, options: Options) -> None:
    rounds = 5 if options.quick else max(40, min(2_000, (256 << 20) // size))
    ring, memory = IoUring(8), touched(size)
    with (
        AddressSpace() as mm,
        RegistrationCache(mm, ring, allow_uncovered=UNCOVERED) as cache,
        cache.get(memory) as held,
    ):
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        once = Registration(cache, -1, None, held.extent)

        def by_held() -> int:
            return ring.read(file, memory, 0, held)

        def by_cache() -> int:
            with cache.get(memory) as registration:
                return ring.read(file, memory, 0, registration)

        def plain() -> int:
            return ring.read(file, memory, 0, None)

        def each_time() -> int:
            once.key = ring.register(address, size)
            try:
                return ring.read(file, memory, 0, once)
            finally:
                ring.deregister(once.key)

        ways = [by_held, by_cache, plain, each_time]
        found = in_turn(options.runs, [_timed(way, size, rounds) for way in ways])
    label = f"{size >> 10:,} KiB"
    medians = [statistics.median(values) for values in found]
    kept, cached, *uncached = medians
    best = min(uncached)
    table.row(label, *medians, f"{best / cached:.2f}")
    for way, values in zip(_WAYS, found, strict=True):
        table.samples[f"{label}: {way}"] = values
    if kept < best:
        table.bars.append(Bar(f"{label}: cache against best uncached", best / cached, ">=", 1.0))
    else:
        table.notes.append(f"{label}: registration does not pay here, held or not")


def _timed(read: Callable[[], int], size: int, rounds: int) -> Callable[[], float]:
    """Return what measures the median of `rounds` reads, in microseconds."""

    def once() -> float:
        took = []
        for _ in range(rounds):
            before = time.perf_counter_ns()
            done = read()
            took.append(time.perf_counter_ns() - before)
            assert done == size, f"{done} bytes of {size}"
        return statistics.median(took) / 1000

    return once


@contextmanager
def _file(length: int) -> Iterator[int]:
    """Yield the descriptor of a file whose pages are all in the page cache."""
    with tempfile.TemporaryFile() as file:
        file.write(b"\2" * length)
        file.flush()
        os.pread(file.fileno(), length, 0)
        yield file.fileno()
