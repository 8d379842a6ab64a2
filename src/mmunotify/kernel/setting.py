"""`changed`: a setting of the kernel with another value for a while; `undone`: what undoes it.

A second process waits on a pipe and undoes the change when the first one is gone, so it is undone
however this process ends, even when it is killed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mmunotify.errors import CannotError, Diagnostic

__all__ = ["changed", "undone", "write_setting"]

_GUARD = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
sys.stdin.read()
"""
_WRITE = """
with open(sys.argv[1], "w") as file:
    file.write(sys.argv[2])
"""


@contextlib.contextmanager
def changed(path: str, value: str) -> Iterator[None]:
    """Have `value` in the file `path` while the block lasts; raise `CannotError` if it may not."""
    with contextlib.ExitStack() as stack:
        try:
            before = Path(path).read_text().strip()
            stack.enter_context(undone(_WRITE, path, before))
            write_setting(path, value)
        except OSError as error:
            what = f"{path} cannot be changed for a while: {error.strerror}"
            raise CannotError(Diagnostic("E401", None, what, fix="run it as root")) from None
        yield


def write_setting(path: str, value: str) -> None:
    """Write a setting; raise OSError. The file is not truncated, which others may be told of."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


@contextlib.contextmanager
def undone(source: str, *words: str) -> Iterator[None]:
    """Run `source`, with `words` as sys.argv[1:], after the block or when this process is gone.

    It runs in an interpreter of its own, which has imported sys and no packages. Raises OSError if
    that cannot be started.
    """
    guard = subprocess.Popen(
        [sys.executable, "-S", "-c", _GUARD + source, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert guard.stdin is not None
    assert guard.stdout is not None
    try:
        guard.stdout.read(1)  # it is ready, and no signal ends it any more
        yield
    finally:
        guard.stdin.close()
        guard.wait()
        guard.stdout.close()
