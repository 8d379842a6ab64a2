"""Drivers of many kinds, written from the documentation alone: right ones hold, wrong ones do not.

The files are in tests/golden/drivers; a wrong variant is one of them with a piece replaced.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import mmunotify
from mmunotify import CheckResult

GOLDEN = Path(__file__).parents[1] / "golden" / "drivers"
SCENARIOS = ("munmap", "exit")
RIGHT = (
    "twolevel",  # a directory and leaf tables, behind walk()
    "pfncache",  # one page at a time, a mutex around the refresh
    "pagelocks",  # a lock and a count for each page
    "fsm",  # a state machine for each page, in dataclasses
    "sharedlock",  # one lock, a global, for all subscribers
    "rcuwalk",  # entries looked up under RCU
    "flushq",  # references given back after a flush, from a queue
    "dirty",  # read-only translations, accessed bits, a dirty bitmap
    "unpin",  # references given back by a work item
)
PUT = "                frame.put()\n                return RETRY"
# file, what is replaced, by what, scenario, property violated
WRONG = (
    ("batch", "", "", "munmap", "no_stale_translation"),  # flushes when the section ends
    ("hmm", "", "", "munmap+punch_hole", "no_stale_translation"),  # bumps at start only
    ("trylock", "", "", "munmap", "no_stale_translation"),  # nothing says a section is open
    ("huge", "", "", "munmap+punch_hole", "bounds"),  # a block that the address space ends in
    ("twolevel", PUT, "                return RETRY", "munmap", "quiescent"),
    ("twolevel", "            self.tlb.flush_range(rng)\n", "", "munmap", "no_stale_translation"),
    ("pfncache", "self.active == 0 and ", "", "munmap", "no_stale_translation"),
    (
        "pfncache",
        "rng):\n        with self.lock.write:",
        "rng):\n        with self.refresh_lock:",
        "munmap",
        "no_deadlock",
    ),
    (
        "pagelocks",
        "            if slot.sections > 0 or slot.seq.read() != seq:",
        "            if slot.sections > 0:",
        "munmap",
        "no_stale_translation",
    ),
    ("fsm", "if self.open or entry.state", "if entry.state", "munmap", "no_stale_translation"),
    (
        "flushq",
        "        self.tlb.flush()\n        while",
        "        while",
        "mprotect",
        "no_write_after_protect",
    ),
    ("dirty", "self.accessed[page] = False\n        ", "", "munmap", ""),  # harmless
    (
        "dirty",
        "self.writable[page] = write",
        "self.writable[page] = True",
        "fork",
        "no_write_after_protect",
    ),
    ("dirty", "                    young = True\n", "", "reclaim", "aging_not_lost"),
    ("unpin", "            self.tlb.flush()\n", "", "mprotect", "no_write_after_protect"),
    (
        "unpin",
        "            self.todo.get().put()",
        "            self.todo.get()",
        "munmap",
        "quiescent",
    ),
)


def checked(path: Path, scenarios: tuple[str, ...]) -> CheckResult:
    """Check the driver of a file."""
    return mmunotify.check(str(path), scenario=list(scenarios), workers=1)


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str) -> None:
    """It holds, and was put to the test."""
    result = checked(GOLDEN / f"{name}.py", SCENARIOS)
    assert result.verdict == "HOLDS"
    assert not result.caveats


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case[0]}-{case[4] or 'holds'}")
def test_wrong(case: tuple[str, str, str, str, str], tmp_path: Path) -> None:
    """It violates what it should, and the report says why."""
    name, old, new, scenario, expected = case
    text = (GOLDEN / f"{name}.py").read_text()
    assert old in text
    path = tmp_path / f"{name}.py"
    path.write_text(text.replace(old, new, 1) if old else text)
    result = checked(path, (scenario,))
    assert result.property == expected
    assert bool(result.why) == (expected not in ("", "bounds"))
