"""`Device`: what a registration cache needs of a device, and `AliasDevice`, one to test with.

Invariant: what `register` returned leads to the pages that were behind the addresses then, until it
is given to `deregister`.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any, Protocol

from mmunotify.live.guarantee import Need

__all__ = ["AliasDevice", "Device"]


class Device(Protocol):
    """A device that reaches this process's memory by translations of its own.

    An attribute `covers`, if there is one, names the operations that the device finds out about by
    itself, such as writes to mirrored memory, so that no monitor has to report them. `whole`, if it
    is there and true, says that a registration is no good any more once a part of its memory is
    gone, because the device reaches memory by its addresses or as one object; the cache then gives
    all of it back. Without it, the rest stays registered.
    """

    name: str
    need: Need

    def register(self, address: int, length: int) -> Any:
        """Make a translation of whole pages and return its key.

        Raises OSError: ENOMEM, ENOBUFS or EAGAIN where a limit is reached (the cache gives others
        back and tries again), anything else for good.
        """

    def deregister(self, key: Any) -> None:
        """Give a translation back. Nobody uses it any more."""

    def clear_young(self, key: Any) -> bool:
        """Tell whether the device used a translation since the last time, and clear that.

        A device that cannot tell says False: then only lookups count as use.
        """


class AliasDevice:
    """A device in plain Python, for tests and examples: it maps the same pages a second time.

    That is a second translation in earnest: when the first mapping goes, the device reads and
    writes the old pages, as pinned hardware would. Shared memory only (`mmap.mmap(-1, length)`):
    the kernel maps private pages nowhere else. `limit`: bytes that may be registered at a time.
    """

    name = "alias"
    need = Need.PINNED

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.used: set[int] = set()
        self.lengths: dict[int, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.mremap.restype = ctypes.c_void_p
        place, size = ctypes.c_void_p, ctypes.c_size_t
        self._libc.mremap.argtypes = [place, size, size, ctypes.c_int]
        self._libc.munmap.argtypes = [place, size]

    def register(self, address: int, length: int) -> int:
        """Map the pages again; the key is the address of the second mapping."""
        if self.limit is not None and sum(self.lengths.values()) + length > self.limit:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        # An old length of 0 duplicates a shared mapping; only MREMAP_MAYMOVE (1) makes sense.
        key = self._libc.mremap(address, 0, length, 1)
        if key in (None, ctypes.c_void_p(-1).value):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self.lengths[key] = length
        return int(key)

    def deregister(self, key: int) -> None:
        """Unmap the second mapping."""
        self._libc.munmap(key, self.lengths.pop(key))
        self.used.discard(key)

    def clear_young(self, key: int) -> bool:
        """Tell whether the device accessed the mapping since the last time."""
        young = key in self.used
        self.used.discard(key)
        return young

    def read(self, key: int, offset: int, length: int) -> bytes:
        """Read as the device does, through its own translation."""
        self.used.add(key)
        return ctypes.string_at(key + offset, length)

    def write(self, key: int, offset: int, data: bytes) -> None:
        """Write as the device does, through its own translation."""
        self.used.add(key)
        ctypes.memmove(key + offset, data, len(data))
