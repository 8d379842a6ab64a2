"""`mmunotify conform`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmunotify.cli.main import main


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run it, or skip where the machine cannot."""
    code = main(["conform", *arguments])
    shown = capsys.readouterr()
    if code == 4:
        pytest.skip(shown.err.strip())
    assert code == 0, shown.out + shown.err
    return shown.out


def test_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One operation, as text and as a page."""
    page = tmp_path / "page.md"
    shown = run(["--only", "munmap", "--markdown", str(page)], capsys)
    assert shown.startswith("agree         munmap\n1 operations: 1 agree; Linux")
    assert "| munmap | `munmap(page)` | unmap 4 | unmap 4 | agree |" in page.read_text()


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs, on standard output alone."""
    found = json.loads(run(["--only", "fork", "--json", "-"], capsys))
    assert found["rows"][0]["causes"] == ["fork"]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """The names, without a kernel."""
    assert main(["conform", "--list"]) == 0
    assert "MADV_DONTNEED " in capsys.readouterr().out


def test_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped name gets its neighbour."""
    assert main(["conform", "--only", "munmapp"]) == 2
    assert "did you mean munmap?" in capsys.readouterr().err


def test_interrupt_restores_ksmd() -> None:
    """Ctrl-C while ksmd works for a case: it is off again."""
    run_file = Path("/sys/kernel/mm/ksm/run")
    if not os.access(run_file, os.W_OK) or run_file.read_text().strip() != "0":
        pytest.skip("needs the right to run ksmd, and ksmd to be off")
    command = [sys.executable, "-m", "mmunotify", "conform"]
    command += [word for _ in range(40) for word in ("--only", "KSM merge")]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        while run_file.read_text().strip() != "1" and process.poll() is None:
            time.sleep(0.001)
        if process.poll() == 4:
            pytest.skip("needs KVM and perf events")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert run_file.read_text().strip() == "0"


def test_no_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without KVM one line says so, and the exit code is 4."""

    def refused(*arguments: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr("mmunotify.kernel.kvm.os.open", refused)
    assert main(["conform"]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1
