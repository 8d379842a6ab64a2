"""System calls by number."""

from __future__ import annotations

import errno
import threading

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.features import permits
from mmunotify.kernel.system_call import Syscall, system_call


def test_result() -> None:
    """The result comes back."""
    assert system_call(Syscall.GETTID) == threading.get_native_id()


def test_other_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the numbers mean other calls, so none is made."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("mmunotify.kernel.system_call._MACHINE", "aarch64")
    with pytest.raises(CannotError, match="this is aarch64"):
        system_call(Syscall.GETTID)
    assert not any(one.permitted for one in permits() if one.name in ("kernel", "kvm_guest", "bpf"))


def test_error() -> None:
    """A failure is an OSError with the kernel's number."""
    with pytest.raises(OSError, match="Invalid") as caught:
        system_call(Syscall.MUNMAP, 1, 1)
    assert caught.value.errno == errno.EINVAL
