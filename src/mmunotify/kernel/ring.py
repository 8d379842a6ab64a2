"""`ring_madvise`: `madvise` by io_uring, which a thread of the kernel's does for the program.

Invariant: when it returns, the request is done, or was refused.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from typing import Final

from mmunotify.kernel.system_call import Syscall, system_call

__all__ = ["ring_madvise"]

# include/uapi/linux/io_uring.h
_MADVISE: Final = 25  # IORING_OP_MADVISE
_ASYNC: Final = 1 << 4  # IOSQE_ASYNC: by a worker in any case
_GETEVENTS: Final = 1
_ENTRIES_AT: Final = 0x10000000  # IORING_OFF_SQES
_ENTRY = struct.Struct("=BBHiQQIIQ24x")  # struct io_uring_sqe, 64 bytes
_PARAMETERS: Final = 120  # struct io_uring_params: sq_off at 40, cq_off at 80


def ring_madvise(address: int, length: int, advice: int) -> None:
    """Advise, and wait until it is done; raise OSError as madvise(2) does."""
    parameters = ctypes.create_string_buffer(_PARAMETERS)
    fd = system_call(Syscall.IO_URING_SETUP, 1, parameters)
    try:
        _, tail, _, _, _, _, array = struct.unpack_from("=7I", parameters, 40)
        *_, cqes = struct.unpack_from("=6I", parameters, 80)
        size = max(array + 4, cqes + 2 * 16)
        with mmap.mmap(fd, size) as rings, mmap.mmap(fd, 64, offset=_ENTRIES_AT) as entries:
            entries[:64] = _ENTRY.pack(_MADVISE, _ASYNC, 0, -1, 0, address, length, advice, 0)
            rings[array : array + 4] = bytes(4)
            rings[tail : tail + 4] = (1).to_bytes(4, "little")
            system_call(Syscall.IO_URING_ENTER, fd, 1, 1, _GETEVENTS, None, 0)
            _, result = struct.unpack_from("=Qi", rings, cqes)
    finally:
        os.close(fd)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
