"""System calls by number."""

from __future__ import annotations

import errno
import threading

import pytest

from mmunotify.kernel.system_call import Syscall, system_call


def test_result() -> None:
    """The result comes back."""
    assert system_call(Syscall.GETTID) == threading.get_native_id()


def test_error() -> None:
    """A failure is an OSError with the kernel's number."""
    with pytest.raises(OSError, match="Invalid") as caught:
        system_call(Syscall.MUNMAP, 1, 1)
    assert caught.value.errno == errno.EINVAL
