"""Reading a file by io_uring: through the cache, without registration, and registered each time.

From the page cache a read is a copy. With O_DIRECT the disk writes into the memory itself, and a
READ pins the pages each time: that is what registration saves.
Invariant: all ways read the same bytes into the same memory, one read each before any of them reads
again, in an order drawn anew each time.
"""

from __future__ import annotations

import ctypes
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.lookups import UNCOVERED, touched
from bench.options import Options
from bench.table import Bar, Table

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.live.devices import IoUring
from mmunotify.live.registration import Registration

__all__ = ["buffered", "direct"]

_SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 22)
_WAYS = ("READ_FIXED, held", "READ_FIXED, cache", "READ", "READ_FIXED, register each time")
_IN_MEMORY = {"tmpfs", "ramfs"}  # their O_DIRECT is a copy from the page cache
_HELD = (
    "held is one registration for all reads, without a lookup: what registration can save at the "
    "most. The cache has a bar only where held beats both uncached ways"
)
_PROCESSOR = (
    "processor: time of the reading thread. It has the pinning, and not the disk, which works "
    "meanwhile: what limits a program that keeps the disk busy"
)

Clock = Callable[[], int]
Figures = list[list[float]]  # of each way the median of each run, in microseconds


def buffered(options: Options) -> Table:
    """Microseconds of one read of each size, each way; the median of many, of several runs."""
    table = _table("read", "from the page cache by io_uring")
    with _file(Path(tempfile.gettempdir()), os.O_RDONLY) as file:
        for size in _SIZES:
            [found] = _reads(file, size, options, [time.perf_counter_ns])
            _row(table, _label(size), found)
    table.notes.append(_HELD)
    return table


def direct(options: Options) -> Table:
    """The same past the page cache, by the clock and in time of the thread."""
    table = _table("direct", "from the disk by io_uring, O_DIRECT")
    clocks = [time.perf_counter_ns, time.thread_time_ns]
    folder, kind = _disk()
    if kind in _IN_MEMORY:
        table.notes.append(f"left out: {folder} is {kind}, in memory, and so is every other")
        return table
    try:
        with _file(folder, os.O_RDONLY | os.O_DIRECT) as file:
            for size in _SIZES:
                wall, thread = _reads(file, size, options, clocks)
                _row(table, _label(size), wall)
                _row(table, f"{_label(size)}, processor", thread)
    except OSError as error:
        table.notes.append(f"left out: O_DIRECT on {kind} at {folder}: {error.strerror}")
        return table
    table.notes += [f"a file of {_label(max(_SIZES))} on {kind}, read over and over", _HELD]
    table.notes.append(_PROCESSOR)
    return table


def _table(name: str, title: str) -> Table:
    return Table(name, title, ["size", *(f"{way}, us" for way in _WAYS), "best uncached / cache"])


def _label(size: int) -> str:
    return f"{size >> 10:,} KiB"


def _row(table: Table, label: str, found: Figures) -> None:
    medians = [statistics.median(values) for values in found]
    kept, cached, *uncached = medians
    best = min(uncached)
    table.row(label, *medians, f"{best / cached:.2f}")
    for way, values in zip(_WAYS, found, strict=True):
        table.samples[f"{label}: {way}"] = values
    if kept >= best:
        table.notes.append(f"{label}: registration does not pay here, held or not")
        return
    table.bars.append(Bar(f"{label}: cache against best uncached", best / cached, ">=", 1.0))
    if cached > best:
        saved, lookup = best - kept, cached - kept
        table.notes.append(f"{label}: held saves {saved:.2g} us, and the lookup costs {lookup:.2g}")


def _reads(file: int, size: int, options: Options, clocks: Sequence[Clock]) -> list[Figures]:
    """Return the figures by each clock."""
    rounds = 5 if options.quick else max(40, min(2_000, (256 << 20) // size))
    with _ways(file, size) as ways:
        runs = [_run(ways, size, rounds, clocks) for _ in range(options.runs)]
    return [[[run[n][way] for run in runs] for way in range(len(ways))] for n in range(len(clocks))]


def _run(
    ways: Sequence[Callable[[], int]], size: int, rounds: int, clocks: Sequence[Clock]
) -> list[list[float]]:
    """Return the median of each way by each clock. The ways alternate, read by read."""
    took: list[list[list[int]]] = [[[] for _ in ways] for _ in clocks]
    order = list(enumerate(ways))
    draw = random.Random(size)
    for _ in range(rounds):
        draw.shuffle(order)
        for number, read in order:
            before = [clock() for clock in clocks]
            done = read()
            after = [clock() for clock in clocks]
            assert done == size, f"{done} bytes of {size}"
            for n in range(len(clocks)):
                took[n][number].append(after[n] - before[n])
    return [[statistics.median(values) / 1000 for values in found] for found in took]


@contextmanager
def _ways(file: int, size: int) -> Iterator[list[Callable[[], int]]]:
    """Yield the ways to read, in the order of `_WAYS`."""
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

        yield [by_held, by_cache, plain, each_time]


def _disk() -> tuple[Path, str]:
    """Return a folder for a file, on a disk if there is one to be had, and its file system."""
    folders = [Path("/var/tmp"), Path(tempfile.gettempdir()), Path.cwd()]
    found = [(one, _file_system(one)) for one in folders if os.access(one, os.W_OK)]
    return next((pair for pair in found if pair[1] not in _IN_MEMORY), found[0])


def _file_system(folder: Path) -> str:
    """Return the type of the file system, as in /proc/self/mountinfo."""
    around = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    best, kind = "", "unknown"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, source = line.partition(" - ")
        point = mount.split()[4]
        if point in around and len(point) >= len(best):  # the last one is on top
            best, kind = point, source.split()[0]
    return kind


@contextmanager
def _file(folder: Path, flags: int) -> Iterator[int]:
    """Yield the descriptor of a file, written to the disk, whose pages are in the page cache."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="mmunotify-") as file:
        file.write(b"\2" * max(_SIZES))
        file.flush()
        os.fsync(file.fileno())
        os.pread(file.fileno(), max(_SIZES), 0)
        fd = os.open(file.name, flags | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
