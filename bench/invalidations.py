"""How long munmap and MADV_DONTNEED take, watched by each monitor, unwatched, and without any.

Invariant: only the operation is clocked, on memory mapped for it, every page present; the cache's
device does nothing, so that what is added is the monitor's.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.options import Options
from bench.samples import in_turn
from bench.table import Bar, Table

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import CannotError
from mmunotify.kernel.memory import map_pages
from mmunotify.live.guarantee import Need
from mmunotify.live.monitors import Kvm
from mmunotify.live.operations import OPERATIONS
from mmunotify.live.supervised import Supervised

__all__ = ["CHILD", "Nothing", "child", "measure", "silent_auditor"]

CHILD = "--child"
_PAGE = mmap.PAGESIZE
_PAGES = (1, 256)
_TURNS = 10  # in each run, of what is compared by a bar: the machine changes between turns
_NOISE = 1.15  # what unwatched memory may seem to pay on a quiet machine
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_NOTES = (
    "none is measured twice, the second time right after an address space was closed: what the two "
    "differ by is no monitor's",
    "explicit hears only of what goes through the AddressSpace: its watched row is mm.unmap and "
    "mm.discard, all others are the C library's calls",
    "validate has no row: it reports nothing and is asked at each use instead",
    "seccomp stops every call of a child program, of whatever memory; the child clocks itself",
    "kvm blocks nobody, but its VM makes all memory pay, for the kernel's notifier and tracepoint",
    "the caller is Python: where a thread of Python's is told, waiting for the interpreter's lock "
    "after the call is in the figure",
)

Operation = Callable[[int, int], object]
Figures = dict[str, float]


class Nothing:
    """A device that keeps a list, and pins nothing."""

    name = "nothing"
    need = Need.PINNED

    def __init__(self) -> None:
        self._keys: set[tuple[int, int]] = set()

    def register(self, address: int, length: int) -> tuple[int, int]:
        self._keys.add((address, length))
        return address, length

    def deregister(self, key: tuple[int, int]) -> None:
        self._keys.discard(key)

    def clear_young(self, key: tuple[int, int]) -> bool:
        return key not in self._keys  # never


def measure(options: Options) -> Table:
    """Microseconds of each operation in each setting, the median of many, of several runs."""
    turns, rounds = (1, 5) if options.quick else (_TURNS, 200)
    columns = ["setting", *(f"{name}, us" for name in _figures())]
    table = Table("invalidate", "an operation, by who watches the memory", columns)
    settings = _settings(rounds)
    for name in ("kvm, unwatched", "kvm, watched", "seccomp, any memory"):
        try:
            settings[name]()
        except (CannotError, OSError) as error:
            table.notes.append(f"{name}: {error}".partition("\n")[0])
            del settings[name]
    found = _in_turn(options.runs * turns, _unwatched_settings(rounds // turns))
    found |= _in_turn(options.runs, settings)
    medians = {}
    for name, runs in found.items():
        medians[name] = {key: statistics.median(run[key] for run in runs) for key in _figures()}
        table.row(name, *medians[name].values())
        for key in _figures():
            table.samples[f"{name}: {key}"] = [run[key] for run in runs]
    for key in _figures():
        ratio = medians["userfaultfd, unwatched"][key] / medians["none"][key]
        table.bars.append(Bar(f"{key}: unwatched against none", ratio, "<=", _NOISE))
    table.notes += _NOTES
    return table


def child(rounds: int) -> None:
    """Clock the operations in this process as it is; print the figures as JSON."""
    print(json.dumps(_clock(rounds, _munmap, _discard, _unwatched)))


def _figures() -> list[str]:
    names = [f"{pages} page{'s' if pages > 1 else ''}" for pages in _PAGES]
    return [f"{what} {name}" for name in names for what in ("munmap", "DONTNEED")]


def _in_turn(runs: int, settings: dict[str, Callable[[], Figures]]) -> dict[str, list[Figures]]:
    return dict(zip(settings, in_turn(runs, list(settings.values())), strict=True))


def _unwatched_settings(rounds: int) -> dict[str, Callable[[], Figures]]:
    """Those that the bars compare."""

    def none() -> Figures:
        return _clock(rounds, _munmap, _discard, _unwatched)

    return {
        "none": none,
        "explicit, unwatched": lambda: _by("explicit", rounds, watched=False),
        "userfaultfd, unwatched": lambda: _by("userfaultfd", rounds, watched=False),
        "none, again": none,
    }


def _settings(rounds: int) -> dict[str, Callable[[], Figures]]:
    return {
        "explicit, watched": lambda: _by("explicit", rounds, watched=True),
        "userfaultfd, watched": lambda: _by("userfaultfd", rounds, watched=True),
        "seccomp, any memory": lambda: _supervised(rounds),
        "kvm, unwatched": lambda: _by("kvm", rounds, watched=False),
        "kvm, watched": lambda: _by("kvm", rounds, watched=True),
    }


def _by(name: str, rounds: int, *, watched: bool) -> Figures:
    """Clock the operations with this monitor, which hears of them if the memory is watched."""
    monitor = silent_auditor() if name == "kvm" else name
    with AddressSpace(monitors=[monitor]) as mm, _cache(mm) as cache:
        through = watched and name == "explicit"
        unmap: Operation = (lambda at, size: mm.unmap((at, size))) if through else _munmap
        discard: Operation = (lambda at, size: mm.discard((at, size))) if through else _discard
        return _clock(
            rounds, unmap, discard, (lambda pair: cache.get(pair)) if watched else _unwatched
        )


def silent_auditor() -> Kvm:
    """Return the monitor kvm, which finds nothing but what is meant to happen here."""
    return Kvm(on_finding=lambda _: None)


def _cache(mm: AddressSpace) -> RegistrationCache:
    uncovered = [operation.name for operation in OPERATIONS]
    return RegistrationCache(mm, Nothing(), allow_uncovered=uncovered)


def _clock(
    rounds: int,
    unmap: Operation,
    discard: Operation,
    watch: Callable[[tuple[int, int]], AbstractContextManager[object]],
) -> Figures:
    """Return the medians in microseconds, in the order of `_figures`."""
    found = []
    for pages in _PAGES:
        took: tuple[list[int], list[int]] = ([], [])
        for _ in range(rounds):
            for operation, values in zip((unmap, discard), took, strict=True):
                with _mapped(pages * _PAGE) as address:
                    with watch((address, pages * _PAGE)):
                        before = time.perf_counter_ns()
                        operation(address, pages * _PAGE)
                        values.append(time.perf_counter_ns() - before)
        found += [statistics.median(values) / 1000 for values in took]
    return dict(zip(_figures(), found, strict=True))


@contextmanager
def _mapped(length: int) -> Iterator[int]:
    """Yield the address of private memory with a hole on either side, every page present."""
    around = map_pages(length + 2 * _PAGE, protection=0)
    address = map_pages(length, at=around + _PAGE)
    ctypes.memset(address, 1, length)
    try:
        yield address
    finally:
        _munmap(around, length + 2 * _PAGE)


def _munmap(address: int, length: int) -> None:
    assert _LIBC.munmap(address, length) == 0


def _discard(address: int, length: int) -> None:
    assert _LIBC.madvise(address, length, mmap.MADV_DONTNEED) == 0


def _unwatched(memory: tuple[int, int]) -> AbstractContextManager[object]:
    return contextlib.nullcontext(memory)


def _supervised(rounds: int) -> Figures:
    """Have a child clock itself while a notifier with empty hooks is told of each call before."""
    command = [sys.executable, str(Path(__file__).with_name("live.py")), CHILD, str(rounds)]
    program = Supervised(command, _Hooks(), stdout=subprocess.PIPE, text=True)
    assert program.process.stdout is not None
    with program.process.stdout as output:
        text = output.read()
    code = program.wait()
    if code != 0:
        raise OSError(f"the supervised program ended with {code}")
    figures: Figures = json.loads(text)
    return figures


class _Hooks:
    """Hears of everything and does nothing."""

    def invalidate_range_start(self, rng: object) -> None:
        pass

    def invalidate_range_end(self, rng: object) -> None:
        pass
