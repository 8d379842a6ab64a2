"""`mmunotify explain CODE`: what an error code means, with a wrong and a right example."""

from __future__ import annotations

import argparse
import sys

from mmunotify.cli.screen import put
from mmunotify.codes import CODES, explain, similar
from mmunotify.errors import Exit

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("code", nargs="?", help="such as E107; without one, all are listed")


def run(arguments: argparse.Namespace) -> int:
    """Explain it."""
    if arguments.code is None:
        put("".join(f"{code}  {entry.title}\n" for code, entry in CODES.items()))
        return Exit.HOLDS
    try:
        put(explain(arguments.code))
    except KeyError:
        close = similar(arguments.code)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        print(f"there is no code {arguments.code}{hint}", file=sys.stderr)
        return Exit.ERROR
    return Exit.HOLDS
