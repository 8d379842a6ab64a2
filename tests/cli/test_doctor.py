"""`mmunotify doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mmunotify.cli.main import main

PROGRAM = """
import contextlib, io, os
from mmunotify.cli.main import main
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


def test_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each operation, with what was measured."""
    assert main(["doctor", "--matrix"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split()[:4] == ["operation", "memory", "explicit", "userfaultfd"]
    assert any(line.split()[:4] == ["munmap", "anonymous", "before", "ordered"] for line in shown)
