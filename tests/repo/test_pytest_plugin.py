"""The plugin, seen from a project that uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TEST = """
def check():
    error = AssertionError("no_stale_translation is violated")
    error.__mmunotify_report__ = "1  range_start\\n2  range_end"
    raise error

def test_driver():
    check()

def test_other():
    assert 1 == 2
"""


def test_report_in_place_of_traceback(tmp_path: Path) -> None:
    """A failure that carries a report shows it; any other failure looks as ever."""
    (tmp_path / "test_mine.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    shown = run.stdout.split("test_driver ___")[1].split("test_other ___")[0].splitlines()
    assert [line.strip("-_ ") for line in shown[1:-1]] == [
        "test_mine.py:8: check()",
        "test_mine.py:5: raise error",
        "AssertionError: no_stale_translation is violated",
        "mmunotify",
        "1  range_start",
        "2  range_end",
    ]
    assert "assert 1 == 2" in run.stdout
    assert run.returncode == 1


def test_imports_nothing() -> None:
    """Loading the plugin does not load mmunotify."""
    program = "import sys, _mmunotify_pytest; sys.exit('mmunotify' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
