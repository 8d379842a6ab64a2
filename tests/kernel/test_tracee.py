"""System calls put into a stopped process."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmunotify.kernel.tracee import Tracee

GETPID, OPEN, CLOSE = 39, 2, 3


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a line and repeats it."""
    with subprocess.Popen(["cat"], stdin=-1, stdout=-1, text=True) as process:
        yield process
        process.kill()


def attached(pid: int) -> Tracee:
    """Trace a process, or skip."""
    try:
        return Tracee.attach(pid)
    except OSError as error:
        pytest.skip(f"ptrace of a child: {error.strerror}")


def test_calls(sleeper: subprocess.Popen[str]) -> None:
    """Calls happen in the other process, which goes on as if nothing had been."""
    tracee = attached(sleeper.pid)
    with tracee.calls() as call:
        assert call(GETPID) == sleeper.pid
        fd = call(OPEN, call.text(b"/dev/null"), os.O_RDONLY)
        assert str(Path(f"/proc/{sleeper.pid}/fd/{fd}").readlink()) == "/dev/null"
        call(CLOSE, fd)
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            call(CLOSE, 12345)
    assert caught.value.errno == errno.EBADF
    tracee.detach()
    assert sleeper.communicate("still here\n")[0] == "still here\n"
    assert sleeper.returncode == 0


def test_twice(sleeper: subprocess.Popen[str]) -> None:
    """A process can be let go and stopped again, in the middle of its system call."""
    for _ in range(3):
        tracee = attached(sleeper.pid)
        with tracee.calls() as call:
            assert call(GETPID) == sleeper.pid
        tracee.detach()
    assert sleeper.communicate("x")[0] == "x"
