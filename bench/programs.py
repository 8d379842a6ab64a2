"""What takes memory away from a program without a word of munmap in it.

Invariant: the pages of what is prepared are there, and nobody uses them meanwhile.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.c_library import call

from mmunotify.kernel.maps import permitted_areas_of
from mmunotify.kernel.memory import PAGE
from mmunotify.live.memory import Extent
from mmunotify.live.scratch import NotFiredError

__all__ = [
    "Prepared",
    "close_library",
    "close_mapping",
    "delete_bytes",
    "end_thread",
    "free_and_trim",
    "free_large",
]

_LARGE = 64 << 20  # above every threshold of the allocator: a mapping of its own
_SMALL = 96 << 10  # below all of them: a part of the heap
_PATIENCE = 10.0  # seconds
_BYTES_HEADER = bytes.__basicsize__ - 1
# Small, everywhere beside the C library, and used by no program.
_LIBRARIES = ("libBrokenLocale.so.1", "libthread_db.so.1", "libanl.so.1")


@dataclass(frozen=True)
class Prepared:
    """Memory whose pages are there, and what will happen to it."""

    extent: Extent
    fire: Callable[[], object]


def _whole_pages(address: int, length: int) -> Extent:
    start, end = -(-address // PAGE) * PAGE, (address + length) // PAGE * PAGE
    return Extent(start, end - start)


def _allocated(length: int) -> tuple[int, Extent]:
    address = call("malloc", length)
    if not address:
        raise NotFiredError(f"malloc has no {length} bytes")
    ctypes.memset(address, 1, length)
    return address, _whole_pages(address, length)


def free_large() -> Prepared:
    """`free` of what the allocator has mapped for it alone."""
    address, extent = _allocated(_LARGE)
    return Prepared(extent, lambda: call("free", address))


def free_and_trim() -> Prepared:
    """`free` of a part of the heap, and `malloc_trim`."""
    address, extent = _allocated(_SMALL)
    _allocated(_SMALL)  # above it, for ever: the end of the heap cannot be cut off

    def fire() -> None:
        call("free", address)
        call("malloc_trim", 0)

    return Prepared(extent, fire)


def close_mapping() -> Prepared:
    """`close` of an mmap object."""
    memory = mmap.mmap(-1, 16 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b"\1" * len(memory))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return Prepared(Extent(address, 16 * PAGE), memory.close)


def delete_bytes() -> Prepared:
    """The last reference to a large bytes object."""
    kept = [b"\1" * _LARGE]
    return Prepared(_whole_pages(id(kept[0]) + _BYTES_HEADER, _LARGE), kept.clear)


def end_thread() -> Prepared:
    """The end of a thread, with memory in the middle of its stack that it does not reach."""
    go = threading.Event()
    thread = threading.Thread(target=go.wait, daemon=True)
    thread.start()
    assert thread.ident is not None
    attributes = ctypes.create_string_buffer(64)
    start, size = ctypes.c_size_t(), ctypes.c_size_t()
    at = ctypes.addressof(attributes)
    call("pthread_getattr_np", thread.ident, at)
    call("pthread_attr_getstack", at, ctypes.addressof(start), ctypes.addressof(size))
    extent = _whole_pages(start.value + size.value // 2, 16 * PAGE)
    ctypes.memset(extent.address, 1, extent.length)

    def fire() -> None:
        go.set()
        deadline = time.monotonic() + _PATIENCE
        while Path(f"/proc/self/task/{thread.native_id}").exists():  # longer than `join` waits
            if time.monotonic() > deadline:
                raise NotFiredError("the thread does not end")
            time.sleep(0.001)

    return Prepared(extent, fire)


def close_library() -> Prepared:
    """`dlclose` of a shared library, whose data somebody has registered."""
    [folder] = {Path(one).parent for one, _ in _libraries() if Path(one).name == "libc.so.6"}
    paths = [folder / name for name in _LIBRARIES if (folder / name).exists()]
    if not paths:
        raise NotFiredError(f"there is none of {', '.join(_LIBRARIES)}")
    handle = ctypes.CDLL(str(paths[0]))._handle
    real = str(paths[0].resolve())
    [extent, *_] = [extent for name, extent in _libraries(writable=True) if name == real]
    first = (ctypes.c_char * extent.length).from_address(extent.address)
    for at in range(0, extent.length, PAGE):
        first[at] = first[at]
    return Prepared(extent, lambda: call("dlclose", handle))


def _libraries(*, writable: bool = False) -> list[tuple[str, Extent]]:
    """Return the areas of shared libraries: the file, and where it is mapped."""
    return [
        (name, Extent(start, end - start))
        for (start, end, name), permissions in permitted_areas_of("self")
        if ".so" in name and (permissions[1] == "w" or not writable)
    ]
