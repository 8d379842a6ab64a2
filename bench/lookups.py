"""What a lookup in a registration cache costs, beside a dict and beside registering anew.

Invariant: times are of the calling thread, and the empty loop is subtracted, so that other work on
the machine counts little.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import statistics
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.options import Options
from bench.samples import in_turn
from bench.table import Bar, Table

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.live.devices import IoUring

__all__ = ["UNCOVERED", "measure", "touched"]

UNCOVERED = ("madv_guard_install",)  # what no monitor of an unprivileged process reports
_SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 22)
_HIT = 300.0  # nanoseconds, the aim
_NOTES = (
    "a probe asks the kernel by a system call whether an unmap is under way (docs/live.md); "
    "mm.space.probes = False leaves it out",
    "registering anew is IoUring.register and deregister of pages that are present",
)


def measure(options: Options) -> Table:
    """Nanoseconds of a hit, in the ways that there are, and of what it saves."""
    rounds = 1_000 if options.quick else 20_000
    columns = ["what", "ns", "least", "most", "ns per MiB"]
    table = Table("hit", "a lookup, beside a dict and beside registering anew", columns)
    with _lookups() as lookups:
        found = in_turn(
            options.runs,
            [
                _timed(statement, names, rounds, probes="no probe" not in name)
                for name, (statement, names) in lookups.items()
            ],
        )
    for name, values in zip(lookups, found, strict=True):
        _row(table, name, values, None)
    ring = IoUring(8)
    anew = [_anew(ring, size, max(3, rounds // 200)) for size in _SIZES]
    for size, values in zip(_SIZES, in_turn(options.runs, anew), strict=True):
        _row(table, f"register and deregister {size >> 10:,} KiB", values, size)
    for name in ("get, no probe", "get and release, no probe", "get", "get and release"):
        bar = Bar(f"a hit: {name}", statistics.median(table.samples[name]), "<=", _HIT, " ns")
        table.bars.append(bar)
    table.notes += _NOTES
    return table


def touched(length: int) -> mmap.mmap:
    """Return private anonymous memory, every page present."""
    memory = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b"\1" * length)
    return memory


@contextmanager
def _lookups() -> Iterator[dict[str, tuple[str, dict[str, Any]]]]:
    """Yield statements that look one registration up, with the names that they use."""
    memory = touched(1 << 20)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    pair = address, len(memory)
    with (
        AddressSpace() as mm,
        RegistrationCache(mm, IoUring(8), allow_uncovered=UNCOVERED) as cache,
        cache.get(memory) as kept,
    ):
        names = {"get": cache.get, "kept": kept, "memory": memory, "pair": pair, "mm": mm}
        dictionary = {address: kept, pair: kept}
        yield {
            "dict[address]": ("table[key]", {"table": dictionary, "key": address}),
            "dict[address, length]": ("table[key]", {"table": dictionary, "key": pair}),
            "os.getppid(), the least system call": ("call()", {"call": os.getppid}),
            "get, no probe": ("get(memory)", names),
            "get and release, no probe": ("get(memory).release()", names),
            "get": ("get(memory)", names),
            "get and release": ("get(memory).release()", names),
            "with get(...): pass": ("with get(memory): pass", names),
            "get((address, length)) and release": ("get(pair).release()", names),
        }


def _timed(
    statement: str, names: dict[str, Any], rounds: int, *, probes: bool
) -> Callable[[], float]:
    """Return what measures a statement, in nanoseconds; what it got is released afterwards."""
    action = timeit.Timer(statement, globals=names, timer=time.thread_time)
    empty = timeit.Timer("pass", timer=time.thread_time)

    def once() -> float:
        if "mm" in names:
            names["mm"].space.probes = probes
        took = action.timeit(rounds) - empty.timeit(rounds)
        if statement == "get(memory)":
            for _ in range(rounds):
                names["kept"].release()
        return max(took, 0.0) / rounds * 1e9

    return once


def _anew(ring: IoUring, size: int, rounds: int) -> Callable[[], float]:
    first = ctypes.c_char.from_buffer(touched(size))  # keeps the memory

    def once() -> float:
        address = ctypes.addressof(first)
        before = time.thread_time_ns()
        for _ in range(rounds):
            ring.deregister(ring.register(address, size))
        return (time.thread_time_ns() - before) / rounds

    return once


def _row(table: Table, name: str, values: list[float], size: int | None) -> None:
    table.samples[name] = values
    median = statistics.median(values)
    shown = [round(value) for value in (median, min(values), max(values))]
    table.row(name, *shown, None if size is None else round(median / size * (1 << 20)))
