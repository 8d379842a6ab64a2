"""The memory hooks of UCX (libucx-cu12 from PyPI), which patch the C library's functions.

Registration caches of MPI rest on them.
Invariant: the handler does not need the interpreter's lock, which whoever it interrupts may wait
for.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from bench import spin
from bench.commands import failed

from mmunotify.live.memory import Extent

__all__ = ["PACKAGE", "Hooks", "prepare"]

PACKAGE = "libucx-cu12"
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
_MOST = 4096  # as in the handler
_VM_UNMAPPED = 1 << 17  # UCM_EVENT_VM_UNMAPPED (ucm/api/ucm.h)


def prepare(place: Path) -> str:
    """Fetch UCX and compile the handler; say what is missing."""
    compiler = spin.compiler()
    if compiler is None:
        return "the handler needs a C compiler (apt install gcc)"
    source = place / "handler.c"
    source.write_text(_HANDLER)
    command = [compiler, "-shared", "-fPIC", "-o", str(place / "handler.so"), str(source)]
    if problem := failed(command):
        return f"the handler cannot be compiled: {problem}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place)]
    problem = failed([*pip, PACKAGE])
    return problem and f"{PACKAGE} cannot be had: {problem}"


class Hooks:
    """The hooks at work in this process: which ranges they are told of.

    `place` is where `prepare` has put everything. Raises OSError where the hooks do not work.
    """

    def __init__(self, place: Path) -> None:
        handler = ctypes.CDLL(str(place / "handler.so"))
        self._count = ctypes.c_int.in_dll(handler, "count")
        self._seen = (ctypes.c_uint64 * (2 * _MOST)).in_dll(handler, "seen")
        self._extent = Extent(0, 0)
        libraries = place / "libucx" / "lib"
        ctypes.CDLL(str(libraries / "libucs.so"), mode=ctypes.RTLD_GLOBAL)  # libucm needs it loaded
        ucm = ctypes.CDLL(str(libraries / "libucm.so.0"), mode=ctypes.RTLD_GLOBAL)
        if ucm.ucm_set_event_handler(_VM_UNMAPPED, -1, handler.told, None) != 0:
            raise OSError("ucm_set_event_handler has failed")
        if ucm.ucm_test_events(_VM_UNMAPPED) != 0:
            raise OSError("ucm_test_events finds that the hooks do not work here")

    def listen(self, extent: Extent) -> None:
        """Begin anew, with other memory."""
        self._extent = extent
        self._count.value = 0

    def heard(self) -> bool:
        """Tell whether they were told of a range that overlaps."""
        start, end = self._extent.address, self._extent.end
        numbers = range(min(_MOST, self._count.value))
        pairs = [self._seen[2 * n : 2 * n + 2] for n in numbers]
        return any(at < end and at + size > start for at, size in pairs)
