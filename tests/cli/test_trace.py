"""`mmunotify trace`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmunotify.cli.main import main
from mmunotify.trace.file import read_trace

WAIT = "import time; print('ready', flush=True); time.sleep(30)"


def require_kernel(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Skip where the machine cannot."""
    if code == 4:
        pytest.skip(capsys.readouterr().err.strip())


def test_summary_record_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A command is traced; the record renders to the same text again."""
    record, page = tmp_path / "run.jsonl.gz", tmp_path / "run.html"
    code = main(["trace", "--trace", str(record), "--html", str(page), "--", "cat", "/dev/null"])
    require_kernel(code, capsys)
    assert code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("TRACE  cat /dev/null: ")
    assert "nothing was lost" in shown
    assert page.read_text().startswith("<!doctype html>")
    assert read_trace(record).header.source == "kernel"
    assert main(["show", str(record)]) == 0
    assert capsys.readouterr().out == shown.replace(f"page   {page}\n", "")
    assert main(["show", str(record), "--html", str(tmp_path / "again.html")]) == 0
    assert (tmp_path / "again.html").read_text() == page.read_text()


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """One line an event while it goes on."""
    code = main(["trace", "--lines", "--", "cat", "/dev/null"])
    require_kernel(code, capsys)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(" unmap " in line or "age " in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], "E324"),
        (["--pid", "1", "--", "true"], "E324"),
        (["--", "no-such-program"], "E321"),
        (["--pid", "99999999"], "E322"),
        (["--pid", str(os.getpid())], "E323"),
        (["--html", "no/such/folder/x.html", "--", "true"], "E505"),
    ],
)
def test_wrong_usage(arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake has its code."""
    status = main(["trace", *arguments])
    require_kernel(status, capsys)
    assert status == 2
    assert code in capsys.readouterr().err


def test_no_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the privilege one line says so, and the exit code is 4."""

    def refused(*arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mmunotify.kernel.perf.system_call", refused)
    assert main(["trace", "--", "true"]) == 4
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert error.startswith("E401 ")


def test_interrupt(tmp_path: Path) -> None:
    """After Ctrl-C the record is whole, the command is gone, and nothing is left."""
    record = tmp_path / "run.jsonl"
    command = [sys.executable, "-m", "mmunotify", "trace", "--trace", str(record)]
    command += ["--", sys.executable, "-S", "-c", WAIT]
    before = Path("/proc/self/mounts").read_text()
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            assert process.wait() == 4
            pytest.skip("needs KVM and perf events")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "TRACE" in shown
    assert read_trace(record).notified
    assert Path("/proc/self/mounts").read_text() == before
    deadline = time.monotonic() + 10
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{children[0]}").exists()
