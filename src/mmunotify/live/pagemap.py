"""`pagemap_scan`: the ioctl PAGEMAP_SCAN (Linux 6.7, include/uapi/linux/fs.h), one call of it.

Invariant: pages are reported as runs of one kind, in the order of their addresses.
"""

from __future__ import annotations

import ctypes
import fcntl
import struct
from dataclasses import dataclass

from mmunotify.live.memory import Extent

__all__ = [
    "CHECK_WPASYNC",
    "PRESENT",
    "SWAPPED",
    "WPALLOWED",
    "WP_MATCHING",
    "WRITTEN",
    "Wanted",
    "pagemap_scan",
]

WPALLOWED, WRITTEN, PRESENT, SWAPPED = 1 << 0, 1 << 1, 1 << 3, 1 << 4
"""Categories of pages: a userfaultfd may write-protect it; it was written since; it is there; it is
in swap."""

WP_MATCHING, CHECK_WPASYNC = 1, 2
"""Flags: write-protect what is reported, in the same step; EPERM where that cannot be."""

_ARGUMENT = struct.Struct("=12Q")  # struct pm_scan_arg
_SCAN = (3 << 30) | (_ARGUMENT.size << 16) | (ord("f") << 8) | 16


@dataclass(frozen=True)
class Wanted:
    """Which pages are reported.

    Those that have every category of `all_of` and, if it is not 0, one of `any_of`, where those in
    `inverted` count as had by pages that do not have them. `returned` tells runs apart.
    """

    inverted: int = 0
    all_of: int = 0
    any_of: int = 0
    returned: int = 0


def pagemap_scan(
    pagemap: int, extent: Extent, wanted: Wanted, most: int, flags: int = 0
) -> tuple[list[Extent], int]:
    """Return up to `most` runs of pages in `extent`, and the address up to which it looked.

    `pagemap` is /proc/self/pagemap, open, or another process's. Raises OSError: EPERM as the flags
    say, ENOTTY before Linux 6.7.
    """
    regions = (ctypes.c_uint64 * (3 * most))()
    argument = bytearray(
        _ARGUMENT.pack(
            *(_ARGUMENT.size, flags, extent.address, extent.end, 0),
            *(ctypes.addressof(regions), most, 0),
            *(wanted.inverted, wanted.all_of, wanted.any_of, wanted.returned),
        )
    )
    count = fcntl.ioctl(pagemap, _SCAN, argument)
    rows = regions[: 3 * count]
    spans = zip(rows[0::3], rows[1::3], strict=True)
    return [Extent(first, last - first) for first, last in spans], _ARGUMENT.unpack(argument)[4]
