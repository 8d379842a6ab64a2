"""`Userfaultfd`: a userfaultfd with its features, as far as probes and conformance runs need one.

Invariant: closing it wakes whoever waits and unregisters every range.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterable
from typing import Final

from mmunotify.kernel.closing import Closing
from mmunotify.kernel.feature import Refusal
from mmunotify.kernel.system_call import Syscall, system_call

__all__ = ["FEATURES", "Userfaultfd"]

# include/uapi/linux/userfaultfd.h, in the order of the bits
FEATURES: Final = (
    "pagefault_flag_wp",
    "event_fork",
    "event_remap",
    "event_remove",
    "missing_hugetlbfs",
    "missing_shmem",
    "event_unmap",
    "sigbus",
    "thread_id",
    "minor_hugetlbfs",
    "minor_shmem",
    "exact_address",
    "wp_hugetlbfs_shmem",
    "wp_unpopulated",
    "poison",
    "wp_async",
    "move",
)
_API: Final = 0xC018AA3F
_REGISTER: Final = 0xC020AA00
_WRITEPROTECT: Final = 0xC018AA06
_MOVE: Final = 0xC028AA05
_USER_MODE_ONLY: Final = 1
_MISSING, _WP = 1, 2


class Userfaultfd(Closing):
    """A descriptor with `features` granted; `self.features` are those the kernel offers.

    Raises `OSError` where it is not permitted, `Refusal` where a feature is not offered.
    """

    def __init__(self, *, user_mode_only: bool, features: Iterable[str] = ()) -> None:
        flags = os.O_CLOEXEC | os.O_NONBLOCK | (_USER_MODE_ONLY if user_mode_only else 0)
        # The first handshake on a descriptor decides: ask one what there is, then take another.
        self.features = _offered(system_call(Syscall.USERFAULTFD, flags))
        missing = sorted(set(features) - self.features)
        if missing:
            raise Refusal(f"not offered by this kernel: {', '.join(missing)}")
        self.fd = system_call(Syscall.USERFAULTFD, flags)
        bits = sum(1 << FEATURES.index(name) for name in features)
        try:
            fcntl.ioctl(self.fd, _API, bytearray(struct.pack("=QQQ", 0xAA, bits, 0)))
        except OSError:
            os.close(self.fd)
            raise

    def register(self, start: int, size: int, *, missing: bool = False) -> None:
        """Register a range for write protection, or for missing pages."""
        mode = _MISSING if missing else _WP
        fcntl.ioctl(self.fd, _REGISTER, bytearray(struct.pack("=QQQQ", start, size, mode, 0)))

    def write_protect(self, start: int, size: int) -> None:
        """Write-protect a registered range."""
        fcntl.ioctl(self.fd, _WRITEPROTECT, bytearray(struct.pack("=QQQ", start, size, 1)))

    def move(self, destination: int, source: int, size: int) -> None:
        """Move pages to a registered range where nothing is (UFFDIO_MOVE)."""
        argument = bytearray(struct.pack("=QQQQq", destination, source, size, 0, 0))
        while True:
            try:
                fcntl.ioctl(self.fd, _MOVE, argument)
                return
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise

    def close(self) -> None:
        """Give it back."""
        os.close(self.fd)


def _offered(fd: int) -> frozenset[str]:
    argument = bytearray(struct.pack("=QQQ", 0xAA, 0, 0))
    try:
        fcntl.ioctl(fd, _API, argument)
    finally:
        os.close(fd)
    bits = struct.unpack_from("=Q", argument, 8)[0]
    return frozenset(name for number, name in enumerate(FEATURES) if bits >> number & 1)
