"""Swap space for a while."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.swap import swap_area, swap_areas

PROGRAM = """
import time
from mmunotify.kernel.swap import swap_area, swap_areas
with swap_area():
    print(*swap_areas(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def areas() -> Iterator[list[str]]:
    """What there is before, and must be after."""
    if os.geteuid() != 0:
        pytest.skip("swapon needs CAP_SYS_ADMIN; run the tests as root for this one")
    before = swap_areas()
    if before:
        pytest.skip(f"this machine has swap space already: {before}")
    yield before
    assert swap_areas() == before


def test_taken_back(areas: list[str]) -> None:
    """After the block, and after an error in it; the file is gone as well."""
    with swap_area():
        [first] = swap_areas()
        assert Path(first).stat().st_size == 64 << 20
    assert swap_areas() == areas
    assert not Path(first).exists()
    second: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupt(second)
    assert swap_areas() == areas
    assert second
    assert not Path(second[0]).exists()


def interrupt(used: list[str]) -> None:
    """Be interrupted while there is swap space, `used`."""
    with swap_area():
        used += swap_areas()
        raise KeyboardInterrupt


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_taken_back_after_a_signal(areas: list[str], number: int) -> None:
    """Whatever ends the process."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout is not None
        path = process.stdout.readline().strip()
        assert path in swap_areas()
        process.send_signal(number)
        process.wait()
    deadline = time.monotonic() + 20
    while (swap_areas() != areas or Path(path).exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(path).exists()


def test_refused(areas: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be made swap space, it says so and leaves no file."""
    monkeypatch.setattr("mmunotify.kernel.swap._PLACES", ("/proc", "/dev/shm"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/dev/shm")
    with pytest.raises(CannotError, match="no file can be made one"):
        with swap_area():
            pass
    assert list(Path("/dev/shm").glob("mmunotify-swap-*")) == []
    assert areas == []
