"""`swap_area`: space to which private memory can be reclaimed, for a while.

Invariant: a swap file that was made is taken back and removed however this process ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.memory import PAGE
from mmunotify.kernel.setting import undone

__all__ = ["swap_area", "swap_areas"]

_SIZE: Final = 64 << 20
_VERSION, _MAGIC = 1, b"SWAPSPACE2"  # union swap_header (include/linux/swap.h)
_PLACES: Final = ("/var/tmp", "/", "/var", "/home")  # and the place of temporary files before them
_UNDO = """
import contextlib, ctypes, os
ctypes.CDLL(None).swapoff(sys.argv[1].encode())
with contextlib.suppress(FileNotFoundError):
    os.unlink(sys.argv[1])
"""


def swap_areas() -> list[str]:
    """Return the paths of the swap areas that are in use."""
    return [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()[1:]]


@contextlib.contextmanager
def swap_area() -> Iterator[None]:
    """Have swap space while the block lasts: what the machine has, or else a file of 64 MiB.

    The file is on the first file system where swap files can be. Raises `CannotError` if there is
    none, or the user may not.
    """
    if swap_areas():
        yield
        return
    problem = ""
    with contextlib.ExitStack() as stack:
        for place in (tempfile.gettempdir(), *_PLACES):
            path = str(Path(place) / f"mmunotify-swap-{os.getpid()}")
            with contextlib.ExitStack() as attempt:
                try:
                    attempt.enter_context(undone(_UNDO, path))
                    _begin(path)
                except OSError as error:
                    problem = f"{place}: {error.strerror}"
                    continue
                stack.push(attempt.pop_all())
                break
        else:
            what = f"there is no swap space, and no file can be made one: {problem}"
            raise CannotError(Diagnostic("E401", None, what, fix="run it as root"))
        yield


def _begin(path: str) -> None:
    """Make a swap file, without holes, and use it."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, _SIZE)
        last = _SIZE // PAGE - 1
        os.pwrite(fd, _VERSION.to_bytes(4, "little") + last.to_bytes(4, "little"), 1024)
        os.pwrite(fd, _MAGIC, PAGE - len(_MAGIC))
        os.fsync(fd)
    finally:
        os.close(fd)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.swapon(path.encode(), 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
