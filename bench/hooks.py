"""What the memory hooks of UCX hear of, beside a cache with the default monitors.

UCX (libucx-cu12 from PyPI) patches the C library's functions, as registration caches of MPI do.
Each operation is done once to watched memory of a child process in which both are at work.
Invariant: every row puts other pages, or none, behind the addresses, so whoever misses it hands out
a stale registration afterwards.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import spin
from bench.invalidations import Nothing
from bench.options import Options
from bench.table import Table

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.kernel.system_call import Syscall
from mmunotify.live.memory import Extent
from mmunotify.live.operations import OPERATIONS, Kind
from mmunotify.live.scratch import Scratch

__all__ = ["CHILD", "child", "measure"]

CHILD = "--hooks"
_PACKAGE = "libucx-cu12"
# The handler must not need the interpreter's lock, which whoever it interrupts may wait for.
_HANDLER = """
#include <stdatomic.h>
#include <stddef.h>
struct range { void *address; size_t size; };
struct range seen[4096];
atomic_int count;
void told(int type, struct range *event, void *argument) {
  int at = atomic_fetch_add(&count, 1);
  if (at < 4096) seen[at] = *event;
}
"""
_VM_UNMAPPED = 1 << 17  # UCM_EVENT_VM_UNMAPPED (ucm/api/ucm.h)
_MAYMOVE, _FIXED, _DONTUNMAP = 1, 2, 4
_PUNCH_HOLE_KEEP_SIZE = 3
_DONTNEED, _REMOVE, _DONTNEED_LOCKED, _GUARD_INSTALL = 4, 9, 24, 102


class _Libc:
    """The C library's functions, which return 0 or an address; an error is an OSError."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)

    def __call__(self, name: str, *arguments: int) -> int:
        function = getattr(self._library, name)
        function.restype = ctypes.c_long
        result = int(function(*map(ctypes.c_long, arguments)))
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result


@dataclass(frozen=True)
class _Case:
    """An operation as a program does it: by the C library unless it says otherwise."""

    what: str
    kind: Kind
    fire: Callable[[_Libc, Scratch], object]


def _on(name: str, *rest: int) -> Callable[[_Libc, Scratch], object]:
    return lambda libc, memory: libc(name, memory.extent.address, memory.extent.length, *rest)


def _over(libc: _Libc, memory: Scratch) -> None:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10
    libc("mmap", memory.extent.address, memory.extent.length, 3, flags, -1, 0)


def _away(libc: _Libc, memory: Scratch) -> None:
    to, size = memory.more().address, memory.extent.length
    libc("mremap", memory.extent.address, size, size, _MAYMOVE | _FIXED, to)


def _onto(libc: _Libc, memory: Scratch) -> None:
    source, size = memory.more().address, memory.extent.length
    libc("mremap", source, size, size, _MAYMOVE | _FIXED, memory.extent.address)


def _and_keep(libc: _Libc, memory: Scratch) -> None:
    size = memory.extent.length
    at = libc("mremap", memory.extent.address, size, size, _MAYMOVE | _DONTUNMAP, 0)
    memory.elsewhere.append(Extent(at, size))


def _by_process(libc: _Libc, memory: Scratch) -> None:
    words = (ctypes.c_uint64 * 2)(memory.extent.address, memory.extent.length)
    pidfd = os.pidfd_open(os.getpid())
    try:
        libc("process_madvise", pidfd, ctypes.addressof(words), 1, _DONTNEED, 0)
    finally:
        os.close(pidfd)


def _punch(libc: _Libc, memory: Scratch) -> None:
    libc("fallocate", memory.fd, _PUNCH_HOLE_KEEP_SIZE, 0, memory.extent.length)


_CASES = (
    _Case("munmap", Kind.ANONYMOUS, _on("munmap")),
    _Case("munmap, system call by hand", Kind.ANONYMOUS, lambda _, m: m.call(Syscall.MUNMAP)),
    _Case("mmap(MAP_FIXED) over it", Kind.ANONYMOUS, _over),
    _Case("mremap away", Kind.ANONYMOUS, _away),
    _Case("mremap(MREMAP_FIXED) onto it", Kind.ANONYMOUS, _onto),
    _Case("mremap(MREMAP_DONTUNMAP)", Kind.ANONYMOUS, _and_keep),
    _Case("mremap to a smaller length", Kind.ANONYMOUS, _on("mremap", mmap.PAGESIZE, 0)),
    _Case("madvise(MADV_DONTNEED)", Kind.ANONYMOUS, _on("madvise", _DONTNEED)),
    _Case("madvise(MADV_DONTNEED_LOCKED)", Kind.ANONYMOUS, _on("madvise", _DONTNEED_LOCKED)),
    _Case("process_madvise(MADV_DONTNEED)", Kind.ANONYMOUS, _by_process),
    _Case("madvise(MADV_REMOVE)", Kind.SHARED, _on("madvise", _REMOVE)),
    _Case("madvise(MADV_GUARD_INSTALL)", Kind.ANONYMOUS, _on("madvise", _GUARD_INSTALL)),
    _Case("fallocate(FALLOC_FL_PUNCH_HOLE)", Kind.SHARED, _punch),
    _Case("ftruncate to less", Kind.SHARED, lambda libc, m: libc("ftruncate", m.fd, 0)),
)


def measure(options: Options) -> Table:
    """Who hears of what; without UCX, a note that says why there are no rows."""
    table = Table("hooks", "who hears of it", ["operation", "memory", "UCX's hooks", "mmunotify"])
    if options.quick:
        table.notes.append(f"left out by --quick: it fetches {_PACKAGE}, 43 MB, from PyPI")
        return table
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        if problem := _prepare(place):
            table.notes.append(f"left out: {problem}")
            return table
        script = Path(__file__).with_name("live.py")
        libraries = place / "libucx" / "lib"
        if problem := _failed([sys.executable, script, CHILD, libraries, place]):
            table.notes.append(f"left out: {_PACKAGE} cannot be used: {problem}")
            return table
        for row in json.loads((place / "found.json").read_text()):
            table.row(*row)
    table.notes.append(
        "mmunotify: AddressSpace() with its default monitors. What they do not hear of is refused "
        "by a cache (E414) unless the caller allows it by name, as here"
    )
    return table


def _prepare(place: Path) -> str:
    """Fetch UCX and compile the handler; say what is missing."""
    compiler = spin.compiler()
    if compiler is None:
        return "the handler for UCX's hooks needs a C compiler (apt install gcc)"
    source = place / "handler.c"
    source.write_text(_HANDLER)
    if problem := _failed([compiler, "-shared", "-fPIC", "-o", place / "handler.so", source]):
        return f"the handler for UCX's hooks cannot be compiled: {problem}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place]
    problem = _failed([*pip, _PACKAGE])
    return problem and f"{_PACKAGE} cannot be had: {problem}"


def _failed(command: list[Any]) -> str:
    """Run a command; return its last line if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        return "not done in 240 s"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]


class _Told:
    """The ranges that the handler was told of since the last `clear`."""

    def __init__(self, library: Path) -> None:
        self.handler = ctypes.CDLL(str(library))
        self._count = ctypes.c_int.in_dll(self.handler, "count")
        self._seen = (ctypes.c_uint64 * 8192).in_dll(self.handler, "seen")

    def clear(self) -> None:
        """Begin anew."""
        self._count.value = 0

    def of(self, extent: Extent) -> bool:
        """Tell whether one of them overlaps."""
        pairs = [self._seen[2 * n : 2 * n + 2] for n in range(min(4096, self._count.value))]
        return any(start < extent.end and start + size > extent.address for start, size in pairs)


def child(libraries: Path, place: Path) -> None:
    """Do every operation in this process, with UCX's hooks installed, and write the rows."""
    told = _Told(place / "handler.so")
    _install(libraries, told.handler)
    everything = [operation.name for operation in OPERATIONS]
    cache = RegistrationCache(AddressSpace(), Nothing(), allow_uncovered=everything)
    rows = [_row(case, memory, cache, told) for case, memory in _prepared()]
    (place / "found.json").write_text(json.dumps(rows))
    os._exit(0)  # the patched functions lead into libraries that are torn down in some order


def _install(libraries: Path, handler: ctypes.CDLL) -> None:
    ctypes.CDLL(str(libraries / "libucs.so"), mode=ctypes.RTLD_GLOBAL)  # libucm needs it loaded
    ucm = ctypes.CDLL(str(libraries / "libucm.so.0"), mode=ctypes.RTLD_GLOBAL)
    if ucm.ucm_set_event_handler(_VM_UNMAPPED, -1, handler.told, None) != 0:
        raise OSError("ucm_set_event_handler has failed")
    if ucm.ucm_test_events(_VM_UNMAPPED) != 0:
        raise OSError("ucm_test_events finds that the hooks do not work here")


def _prepared() -> list[tuple[_Case, Scratch]]:
    """Map everything first: no operation's memory is at the address of another's."""
    return [(case, Scratch(case.kind)) for case in _CASES]


def _row(
    case: _Case, memory: Scratch, cache: RegistrationCache, told: _Told
) -> tuple[str, str, str, str]:
    extent = memory.extent
    span = extent.address, extent.length
    with cache.get(span) as registration:
        assert registration.valid(span)
        told.clear()
        try:
            case.fire(_Libc(), memory)
        except (OSError, AttributeError) as error:
            return case.what, str(case.kind), f"not to be done: {error}", "-"
        theirs = told.of(extent)
        cache.mm.space.settle()
        ours = not registration.valid(span)
    return case.what, str(case.kind), _word(theirs), _word(ours)


def _word(heard: bool) -> str:
    return "heard" if heard else "MISSED"
