"""What the live side costs: the measurement runs and prints its tables."""

from __future__ import annotations

import errno
import json
import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from bench import live, transfers
from bench.options import Options

from mmunotify import AddressSpace
from mmunotify.errors import Diagnostic, DiagnosticError, Exit
from mmunotify.live.devices import IoUring


def test_quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All tables, with every row that this machine permits; nothing is asserted about time."""
    path = tmp_path / "figures.json"
    code = live.main(["--quick", "--json", str(path)])
    said = capsys.readouterr()
    if code == Exit.CANNOT:
        pytest.skip(said.err.strip())
    assert code == Exit.HOLDS
    tables = {table["name"]: table for table in json.loads(path.read_text())["tables"]}
    assert list(tables) == ["hit", "read", "direct", "invalidate", "hooks"]
    assert all(name + ": " in said.out for name in tables)
    sizes = ["4 KiB", "64 KiB", "1,024 KiB", "4,096 KiB"]
    assert [row[0] for row in tables["read"]["rows"]] == sizes
    direct = tables["direct"]
    assert [row[0] for row in direct["rows"]] == [
        f"{size}{clock}" for size in sizes for clock in ("", ", processor")
    ] or direct["notes"][0].startswith("left out: ")
    settings = [row[0] for row in tables["invalidate"]["rows"]]
    monitors = ("explicit", "userfaultfd")
    expected = [f"{name}, {how}" for name in monitors for how in ("unwatched", "watched")]
    assert settings[:5] == ["none", *expected]
    for table in tables.values():
        for values in table["samples"].values():
            assert len(values) == 1
            assert values[0] >= 0


def test_without_direct_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has none is named, and there are no figures that pretend."""
    monkeypatch.setattr(transfers, "_disk", lambda: (Path("/tmp"), "tmpfs"))
    table = transfers.direct(Options(runs=1, quick=True))
    assert not table.rows
    assert table.notes == ["left out: /tmp is tmpfs, in memory, and so is every other"]

    def refuse(folder: Path, flags: int) -> AbstractContextManager[int]:
        assert flags & os.O_DIRECT
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(transfers, "_disk", lambda: (Path("/tmp"), "zfs"))
    monkeypatch.setattr(transfers, "_file", refuse)
    table = transfers.direct(Options(runs=1, quick=True))
    assert not table.rows
    assert table.notes == ["left out: O_DIRECT on zfs at /tmp: Invalid argument"]


def test_file_systems() -> None:
    """What is mounted where, as /proc says it."""
    assert transfers._file_system(Path("/proc/self")) == "proc"
    assert transfers._file_system(Path("/")) not in ("unknown", "rootfs")


def test_without_io_uring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and the status that says so."""

    def refuse(self: IoUring, buffers: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(IoUring, "__init__", refuse)
    assert live.main([]) == Exit.CANNOT
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("live: io_uring is not to be had here: Operation not permitted")


def test_without_userfaultfd(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line here as well."""

    def refuse(self: AddressSpace) -> None:
        raise DiagnosticError(Diagnostic("E401", None, "userfaultfd is not to be had here: no"))

    if live._missing() is not None:
        pytest.skip("io_uring is asked for first, and is not to be had here")
    monkeypatch.setattr(AddressSpace, "__init__", refuse)
    assert live.main([]) == Exit.CANNOT
    [line] = capsys.readouterr().err.splitlines()
    assert line == "live: userfaultfd is not to be had here: no"


def test_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """There is something to take the median of."""
    with pytest.raises(SystemExit):
        live.main(["--runs", "0"])
    assert "one run at least" in capsys.readouterr().err
