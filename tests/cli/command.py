"""The command line, called in a process of its own, and the drivers that it is given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

__all__ = ["BUGGY", "COMMAND", "RIGHT", "ROOT", "is_one_error", "mmunotify", "written"]

ROOT = Path(__file__).parents[2]
BUGGY = ROOT / "examples" / "kvm_without_retry.py"
RIGHT = ROOT / "examples" / "minimal.py"
COMMAND = [sys.executable, "-m", "mmunotify"]

HEAD = """\
from mmunotify import RETRY, Counter, Driver, SpinLock, Table

"""


def mmunotify(
    *words: str | Path, cwd: Path | None = None, stdin: str = "", timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run `mmunotify` with `words` and return what came out."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "COLUMNS": "80"},
    )


def written(path: Path, body: str) -> Path:
    """Write a driver's file: the imports, then `body`."""
    path.write_text(HEAD + dedent(body))
    return path


def is_one_error(run: subprocess.CompletedProcess[str], code: str) -> str:
    """Require that a run ended with exit code 2 and nothing but errors `code`; return the text."""
    assert run.returncode == 2, (run.returncode, run.stdout, run.stderr)
    assert run.stdout == ""
    assert code in run.stderr
    assert "Traceback" not in run.stderr
    assert "bug in mmunotify" not in run.stderr
    assert len(run.stderr.splitlines()) <= 24, run.stderr
    return run.stderr
