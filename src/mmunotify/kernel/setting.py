"""`changed`: a setting of the kernel with another value for a while.

A second process waits on a pipe and writes the old value back when the first one is gone, so the
setting is restored however this process ends, even when it is killed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mmunotify.errors import CannotError, Diagnostic

__all__ = ["changed"]

_GUARD = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
sys.stdin.read()
with open(sys.argv[1], "w") as file:
    file.write(sys.argv[2])
"""


@contextlib.contextmanager
def changed(path: str, value: str) -> Iterator[None]:
    """Have `value` in the file `path` while the block lasts; raise `CannotError` if it may not."""
    try:
        before = Path(path).read_text().strip()
        guard = subprocess.Popen(
            [sys.executable, "-S", "-c", _GUARD, path, before],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert guard.stdin is not None
        assert guard.stdout is not None
        guard.stdout.read(1)  # it is ready, and no signal ends it any more
    except OSError as error:
        raise _cannot(path, error) from None
    try:
        Path(path).write_text(value)
        yield
    except PermissionError as error:
        raise _cannot(path, error) from None
    finally:
        guard.stdin.close()
        guard.wait()
        guard.stdout.close()


def _cannot(path: str, error: OSError) -> CannotError:
    what = f"{path} cannot be changed for a while: {error.strerror}"
    return CannotError(Diagnostic("E401", None, what, fix="run it as root"))
