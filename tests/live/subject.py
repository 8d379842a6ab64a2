"""Run a piece of Python in a process of its own, with a time limit: what hangs or dies is seen."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Outcome", "as_nobody", "become_nobody", "run", "unsanitized"]

ROOT = Path(__file__).parents[2]
NOBODY = 65534
unsanitized = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="a sanitizer maps and unmaps memory of its own, keeps what was freed, and in the "
    "child of a fork waits for threads that are not there",
)


@dataclass(frozen=True)
class Outcome:
    """How a subject ended: `code` None means that it had to be killed."""

    code: int | None
    output: str
    errors: str


def run(source: str, *, seconds: float = 30) -> Outcome:
    """Run `source`; it may import from `tests.live`."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as expired:
        return Outcome(None, _text(expired.stdout), _text(expired.stderr))
    return Outcome(done.returncode, done.stdout, done.stderr)


def as_nobody(source: str, *, seconds: float = 30) -> Outcome:
    """Run `source`, which calls `become_nobody` after its imports; skip without the rights."""
    if os.getuid() != 0:
        pytest.skip("changing to user nobody needs CAP_SETUID; run the tests as root for this one")
    return run(source, seconds=seconds)


def become_nobody() -> None:
    """Give every privilege away, for good. After imports: nobody may not read them everywhere."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # A process that has changed its user may not look at itself in /proc until it says so.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE
    assert "CapEff:\t0000000000000000" in Path("/proc/self/status").read_text()


def _text(data: bytes | str | None) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else data or ""
