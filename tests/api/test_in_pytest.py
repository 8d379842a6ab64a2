"""A user's test with a failing check: pytest prints the report, and nothing of mmunotify's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
from mmunotify import assert_holds, check
from driver import Buggy, Right

def test_buggy():
    assert_holds(check(Buggy, scenario="munmap"))

def test_method():
    check(Buggy, scenario="munmap").assert_ok()

def test_right():
    assert_holds(check(Right, scenario="munmap"))

def test_no_driver():
    check("nowhere.py")
"""


def test_report_of_a_failing_check(tmp_path: Path) -> None:
    """FAIL and its lanes for what is violated; a diagnostic for what cannot be checked."""
    source = (Path(__file__).parents[2] / "examples" / "minimal.py").read_text()
    bug = "class Buggy(Right):\n    def is_stale(self, seq):\n        return False\n"
    source = source.replace("class Minimal", "class Right").replace(
        "if self.in_progress > 0 or self.seq.read() != seq:", "if self.is_stale(seq):"
    )
    method = (
        "\n    def is_stale(self, seq: int) -> bool:\n"
        "        return self.in_progress > 0 or self.seq.read() != seq\n\n\n"
    )
    (tmp_path / "driver.py").write_text(source + method + bug)
    (tmp_path / "test_mine.py").write_text(TESTS)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "-rN"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stderr
    assert "3 failed, 1 passed" in run.stdout
    buggy, method_form, no_driver = run.stdout.split("______ test_")[1:4]
    for shown in (buggy, method_form):
        assert "FAIL  no_stale_translation" in shown
        assert "munmap munmap" in shown  # the lane
        assert "run   mmunotify check driver.py:Buggy --scenario munmap --replay " in shown
    assert "test_mine.py:6: assert_holds(check(Buggy" in buggy
    assert "E301 there is no file nowhere.py" in no_driver
    for inner in ("Traceback", "src/mmunotify", "def assert_holds", "raise Check"):
        assert inner not in buggy + method_form + no_driver.split("= warnings")[0]
    assert "test_right" not in run.stdout
