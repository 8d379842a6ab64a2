"""`PageScan`: which pages of this process were written since they were last asked about.

It is `pagemap_scan` on memory that a userfaultfd with WP_ASYNC watches; asking and forgetting are
one step of the kernel's.
Invariant: a page that is not reported holds what it held when it was reported last, unless somebody
replaced the mapping, which only the monitor tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from mmunotify.live.memory import Extent
from mmunotify.live.pagemap import (
    CHECK_WPASYNC,
    PRESENT,
    WP_MATCHING,
    WRITTEN,
    Wanted,
    pagemap_scan,
)

__all__ = ["PageScan"]

# Written, or not there: what is not there has no bit that could be trusted.
_CHANGED = Wanted(inverted=PRESENT, any_of=WRITTEN | PRESENT, returned=WRITTEN | PRESENT)
_REGIONS = 256  # that one call can report


class PageScan:
    """Reads and forgets what was written, and reads memory without the risk of a signal.

    Raises OSError where /proc is not mounted or the kernel is older than 6.7.
    """

    def __init__(self) -> None:
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
        flags = WP_MATCHING | CHECK_WPASYNC
        return pagemap_scan(self._pagemap, Extent(start, end - start), _CHANGED, _REGIONS, flags)
