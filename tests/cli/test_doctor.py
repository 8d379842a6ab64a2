"""`mmunotify doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mmunotify.cli.main import main
from mmunotify.live import selftest
from mmunotify.live.ways import WAYS

PROGRAM = """
import contextlib, io, os
from mmunotify.cli.main import main
from mmunotify.live import selftest
from mmunotify.live.ways import WAYS
with contextlib.redirect_stdout(io.StringIO()):
    main(["doctor", "--json"])  # loads what the other user may not be able to read
os.setgroups([])
os.setuid(65534)
raise SystemExit(main(["doctor", "--json"]))
"""


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Every feature has a line, every missing one a fix."""
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith(("yes  kernel", "no   kernel")) for line in shown)
    missing = [line for line in shown if line.startswith("no ")]
    assert len([line for line in shown if line.strip().startswith("fix ")]) == len(missing)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs."""
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["features"]
    assert {"name", "permitted", "detail", "purpose", "fix"} == set(found[0])


def test_another_user() -> None:
    """Without privileges it is told what is missing, and what would permit it."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    command = [sys.executable, "-c", PROGRAM]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = {one["name"]: one for one in json.loads(run.stdout)["features"]}
    assert not found["tracepoints"]["permitted"]
    assert found["kernel"]["permitted"]
    assert all(one["fix"] for one in found.values() if not one["permitted"])


def test_matrix(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each way and kinds of memory alike, with what was measured, and an account."""
    few = [way for way in WAYS if way.operation in ("munmap", "madv_dontneed", "write")]
    monkeypatch.setattr(selftest, "WAYS", few)
    assert main(["doctor", "--matrix"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split()[2:5] == ["memory", "explicit", "userfaultfd"]
    rows = [line.split() for line in shown]
    assert shown[1] == "munmap"
    assert ["by", "hand", "a", "(-)", "ordered", "validated", "before"] in [r[:7] for r in rows]
    assert ["by", "hand", "uvsf", "(-)", "ordered", "n/a", "before"] in [r[:7] for r in rows]
    [account] = [row for row in rows if row[:1] == ["seccomp"]]
    fired, promised, kept, broken, *_ = map(int, account[1:])
    assert fired > promised == kept > broken == 0
    [total] = [line for line in shown if " cells: " in line]
    assert total.startswith(f"{len(few)} ways, ")


def test_matrix_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for programs; standard output has nothing else."""
    monkeypatch.setattr(selftest, "WAYS", [WAYS[0]])
    assert main(["doctor", "--matrix", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["audit"]) == {row["monitor"] for row in told["matrix"]}
    assert {row["way"] for row in told["matrix"]} == {WAYS[0].how}
    for row in told["matrix"]:
        assert (row["measured"] is None) == (row["state"] != "measured") == bool(row["note"]) or (
            row["monitor"] == "explicit"
        )
