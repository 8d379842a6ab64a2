"""What the terminal can show: width, colour, and the line that tells how far a search is."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

from mmunotify.errors import Diagnostic, DiagnosticError

if TYPE_CHECKING:
    from mmunotify.check.search import Progress

__all__ = ["ProgressLine", "put", "uses_color", "width"]

_QUIET = 1.0  # seconds before anything is said
_OFTEN = 0.1  # seconds between two versions of the line on a terminal
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


def put(text: str) -> None:
    """Write a report to standard output, now; a reader who has gone away is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must go somewhere, or Python complains when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = f"standard output cannot be written: {error.strerror}"
        raise DiagnosticError(Diagnostic("E505", None, what)) from None


class ProgressLine:
    """One line on a terminal, rewritten; on a pipe a line every ten seconds.

    Nothing is said in the first second. It goes to standard error, whose loss is no error.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.tty = sys.stderr.isatty()
        self.started = self.last = time.monotonic()
        self.shown = False

    def __call__(self, scenario: str, progress: Progress) -> None:
        """Tell how far the search is."""
        now = time.monotonic()
        if now - self.started < _QUIET or now - self.last < (_OFTEN if self.tty else _PIPE):
            return
        self.last = now
        self._write(self._text(scenario, progress, now - self.started))
        self.shown = self.tty

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            self.shown = False
            with contextlib.suppress(OSError, ValueError):
                print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _text(self, scenario: str, progress: Progress, elapsed: float) -> str:
        parts = [f"{self.subject} {scenario}"]
        if progress.states:
            rate = progress.states / max(progress.seconds, 1e-3) / 1e6
            parts += [
                f"{progress.states:,} states",
                f"{rate:.1f} M/s",
                f"depth {progress.depth}",
                f"frontier {progress.frontier:,}",
                f"{progress.bytes / 1e6:,.0f} MB",
            ]
        minutes, seconds = divmod(int(elapsed), 60)
        return "  ".join([*parts, f"{minutes}:{seconds:02}"])

    def _write(self, text: str) -> None:
        if self.tty:
            columns = shutil.get_terminal_size((80, 24)).columns
            text = f"\r\033[K{text[: columns - 1]}"
        with contextlib.suppress(OSError, ValueError):
            print(text, end="" if self.tty else "\n", file=sys.stderr, flush=True)
