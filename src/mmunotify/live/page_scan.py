"""`PageScan`: which pages of this process were written since they were last asked about.

It is the ioctl PAGEMAP_SCAN (Linux 6.7, include/uapi/linux/fs.h) on memory that a userfaultfd with
WP_ASYNC watches; asking and forgetting are one step of the kernel's.
Invariant: a page that is not reported holds what it held when it was reported last, unless somebody
replaced the mapping, which only the monitor tells.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator

from mmunotify.live.memory import Extent

__all__ = ["PageScan"]

_ARGUMENT = struct.Struct("<12Q")  # struct pm_scan_arg
_SCAN = (3 << 30) | (_ARGUMENT.size << 16) | (ord("f") << 8) | 16
_WP_MATCHING, _CHECK_WPASYNC = 1, 2
_WRITTEN, _PRESENT = 1 << 1, 1 << 3
_REGIONS = 256  # that one call can report


class PageScan:
    """Reads and forgets what was written, and reads memory without the risk of a signal.

    Raises OSError where /proc is not mounted or the kernel is older than 6.7.
    """

    def __init__(self) -> None:
        self._regions = (ctypes.c_uint64 * (3 * _REGIONS))()
        self._pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._pagemap)
            raise

    def written(self, extent: Extent) -> Iterator[Extent]:
        """Yield the pages of `extent` that were written, or are not there, since the last time.

        Each is write-protected again before it is reported, so that a write from then on is
        reported the next time. Run it to its end: what is left over is forgotten. Raises OSError
        EPERM if some of the memory is not watched.
        """
        at = extent.address
        while at < extent.end:
            found, at = self._scan(at, extent.end)
            yield from found

    def read(self, address: int, into: memoryview) -> None:
        """Copy memory; raise OSError (EIO or EFAULT) where nothing can be read."""
        done = 0
        while done < len(into):
            # Through the kernel: a load would die of a guard page or a truncated file.
            done += os.preadv(self._memory, [into[done:]], address + done)

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in (self._pagemap, self._memory):
            if fd >= 0:
                os.close(fd)
        self._pagemap = self._memory = -1

    def _scan(self, start: int, end: int) -> tuple[list[Extent], int]:
        """Ask once; return what was found and where to go on."""
        # Matches if written, or not present: what is not present has no bit that could be trusted.
        inverted, all_of, any_of = _PRESENT, 0, _WRITTEN | _PRESENT
        argument = bytearray(
            _ARGUMENT.pack(
                *(_ARGUMENT.size, _WP_MATCHING | _CHECK_WPASYNC, start, end, 0),
                *(ctypes.addressof(self._regions), _REGIONS, 0),
                *(inverted, all_of, any_of, _WRITTEN | _PRESENT),
            )
        )
        count = fcntl.ioctl(self._pagemap, _SCAN, argument)
        walked = _ARGUMENT.unpack(argument)[4]
        rows = self._regions[: 3 * count]
        spans = zip(rows[0::3], rows[1::3], strict=True)
        return [Extent(first, last - first) for first, last in spans], walked
