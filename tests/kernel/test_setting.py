"""A setting that is different for a while."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.setting import changed


def test_restored(tmp_path: Path) -> None:
    """After the block, and after an error in it."""
    file = tmp_path / "setting"
    file.write_text("old\n")
    with changed(str(file), "new"):
        assert file.read_text() == "new\n"  # it writes as to a setting, which has no length
    assert file.read_text() == "old"
    with pytest.raises(KeyboardInterrupt):
        with changed(str(file), "new"):
            raise KeyboardInterrupt
    assert file.read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_restored_after_a_signal(tmp_path: Path, number: int) -> None:
    """Whatever ends the process."""
    file = tmp_path / "setting"
    file.write_text("old")
    program = f"""
import time
from mmunotify.kernel.setting import changed
with changed({str(file)!r}, "new"):
    print("ready", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=-1, stderr=-1, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert file.read_text() == "new"
        process.send_signal(number)
        process.wait()
        deadline = time.monotonic() + 20
        while file.read_text() != "old" and time.monotonic() < deadline:
            time.sleep(0.02)
    assert file.read_text() == "old"


def test_missing() -> None:
    """A setting that is not there cannot be changed."""
    with pytest.raises(CannotError, match="cannot be changed"):
        with changed("/sys/kernel/mm/no_such_setting", "1"):
            pass
