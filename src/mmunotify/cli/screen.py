"""What the terminal can show: width, colour, and the line that tells how far a search is."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmunotify.check.search import Progress

__all__ = ["ProgressLine", "uses_color", "width"]

_QUIET = 1.0  # seconds before anything is said
_PIPE = 10.0  # seconds between lines when nobody watches


def uses_color(arguments: argparse.Namespace) -> bool:
    """Tell whether to use colour and box characters."""
    if arguments.color != "auto":
        return bool(arguments.color == "always")
    encoding = (sys.stdout.encoding or "").lower()
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and "utf" in encoding


def width() -> int:
    """The number of columns: of the terminal, else 80."""
    return min(160, shutil.get_terminal_size((80, 24)).columns) if sys.stdout.isatty() else 80


class ProgressLine:
    """One line on a terminal, rewritten; on a pipe a line every ten seconds."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.started = time.monotonic()
        self.last = 0.0
        self.shown = False

    def __call__(self, scenario: str, progress: Progress) -> None:
        """Tell how far the search is."""
        now = time.monotonic()
        tty = sys.stderr.isatty()
        if now - self.started < _QUIET or (not tty and now - self.last < _PIPE):
            return
        self.last = now
        rate = progress.states / max(progress.seconds, 1e-3) / 1e6
        text = (
            f"{self.subject} {scenario}  {progress.states:,} states  {rate:.1f} M/s  "
            f"depth {progress.depth}  frontier {progress.frontier:,}  "
            f"{progress.bytes / 1e6:,.0f} MB"
        )
        print(f"\r\033[K{text}" if tty else text, end="" if tty else "\n", file=sys.stderr)
        sys.stderr.flush()
        self.shown = tty

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr)
