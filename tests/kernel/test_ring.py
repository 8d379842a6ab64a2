"""madvise by io_uring."""

from __future__ import annotations

import errno
import mmap

import pytest

from mmunotify.kernel.memory import Memory
from mmunotify.kernel.ring import ring_madvise


def test_done(memory: Memory) -> None:
    """When it returns, the pages are empty, and no others."""
    advise(memory.page(1), 2)
    assert [memory.read(page) for page in range(4)] == [1, 0, 0, 1]


def test_refused(memory: Memory) -> None:
    """The kernel's error is raised."""
    with pytest.raises(OSError, match="Invalid argument"):
        advise(memory.start + 1, 1)


def advise(address: int, pages: int) -> None:
    """Discard, or skip where io_uring is not permitted."""
    try:
        ring_madvise(address, pages * mmap.PAGESIZE, mmap.MADV_DONTNEED)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            raise
        pytest.skip(f"io_uring: {error.strerror}")
