"""Commands that a measurement needs, and why they fail."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["failed"]

_SECONDS = 240


def failed(command: Sequence[str | Path]) -> str:
    """Run a command; return its last line if it fails, "" if it does not."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done in {_SECONDS} s"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
