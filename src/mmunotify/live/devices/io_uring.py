"""`IoUring`: registered buffers of an io_uring, which pins pages and reaches files through them.

Invariant: `READ_FIXED` and `WRITE_FIXED` move bytes between a file and the pages that were behind
the addresses when the buffer was registered, wherever the addresses lead to now; the kernel reports
no error. That is what makes a stale registration silent.
"""

from __future__ import annotations

import errno
import os
from typing import IO

from mmunotify import _monitor
from mmunotify.live.guarantee import Need
from mmunotify.live.memory import Memory, extent_of
from mmunotify.live.registration import Registration

__all__ = ["IoUring"]

_MOST_BUFFERS = 1 << 14  # of one ring, since Linux 5.13


class IoUring:
    """A ring with room for `buffers` registered buffers (1 to 16,384).

    The keys of registrations are numbers of buffers. Raises OSError where the kernel has none or
    forbids it (`mmunotify doctor` says which). Without CAP_IPC_LOCK all buffers together are
    limited by RLIMIT_MEMLOCK.
    """

    name = "io_uring"
    need = Need.PINNED

    def __init__(self, buffers: int = 1024) -> None:
        if not 1 <= buffers <= _MOST_BUFFERS:
            raise ValueError(f"IoUring({buffers}): a ring has 1 to {_MOST_BUFFERS:,} buffers")
        self._ring = _monitor.Uring(buffers)
        self._free = list(range(buffers - 1, -1, -1))
        self._used: set[int] = set()

    # -- what a cache calls ---------------------------------------------------------------------

    def register(self, address: int, length: int) -> int:
        """Pin pages as a buffer; OSError ENOMEM at RLIMIT_MEMLOCK, ENOBUFS without a free one."""
        if not self._free:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        slot = self._free[-1]
        _checked(self._ring.update(slot, address, length))
        return self._free.pop()

    def deregister(self, key: int) -> None:
        """Unpin; transfers that are under way end first."""
        _checked(self._ring.update(key, 0, 0))
        self._used.discard(key)
        self._free.append(key)

    def clear_young(self, key: int) -> bool:
        """Tell whether a transfer went through the buffer since the last time."""
        young = key in self._used
        self._used.discard(key)
        return young

    # -- what users call ------------------------------------------------------------------------

    def read(
        self, file: int | IO[bytes], memory: Memory, offset: int, registration: Registration | None
    ) -> int:
        """Read from `offset` of `file` into `memory`; return the number of bytes.

        With a `registration` of the memory by READ_FIXED, without one by READ.
        """
        return self._transfer(False, file, memory, offset, registration)

    def write(
        self, file: int | IO[bytes], memory: Memory, offset: int, registration: Registration | None
    ) -> int:
        """Write `memory` to `offset` of `file`; return the number of bytes."""
        return self._transfer(True, file, memory, offset, registration)

    def _transfer(
        self,
        write: bool,
        file: int | IO[bytes],
        memory: Memory,
        offset: int,
        registration: Registration | None,
    ) -> int:
        extent = extent_of(memory)
        slot = -1
        if registration is not None:
            slot = registration.key
            self._used.add(slot)
        fd = file if isinstance(file, int) else file.fileno()
        done = self._ring.transfer(write, fd, extent.address, extent.length, offset, slot)
        return _checked(done)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
