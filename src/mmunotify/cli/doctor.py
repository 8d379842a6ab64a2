"""`mmunotify doctor`: what this machine permits, and the one command that would permit more."""

from __future__ import annotations

import argparse
import dataclasses
import json
import textwrap
from collections.abc import Sequence

from mmunotify.cli import matrix
from mmunotify.cli.screen import put, width
from mmunotify.errors import Exit
from mmunotify.kernel.feature import Permit
from mmunotify.kernel.features import permits

__all__ = ["add_arguments", "run"]

_NAME = 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    parser.add_argument(
        "--matrix",
        action="store_true",
        help="do every operation to scratch memory, and show what each live monitor reports of it",
    )


def run(arguments: argparse.Namespace) -> int:
    """Try everything and tell; fails only if a monitor keeps less than it promises."""
    if arguments.matrix:
        return matrix.run(arguments.json)
    found = list(permits())
    if arguments.json:
        put(json.dumps({"features": [dataclasses.asdict(one) for one in found]}, indent=1) + "\n")
    else:
        put(_text(found))
    return Exit.HOLDS


def _text(found: Sequence[Permit]) -> str:
    lines = []
    for one in found:
        word = "yes" if one.permitted else "no "
        lines += _entry(f"{word}  {one.name:<{_NAME}}", one.detail)
        if not one.permitted:
            lines += _entry(" " * (_NAME + 5) + "for  ", one.purpose)
            lines += _entry(" " * (_NAME + 5) + "fix  ", one.fix)
    missing = sum(not one.permitted for one in found)
    lines.append(f"{len(found) - missing} of {len(found)} permitted; nothing was changed")
    lines.append("mmunotify check needs none of this")
    return "\n".join(lines) + "\n"


def _entry(head: str, text: str) -> list[str]:
    """One wrapped entry; a command is never broken."""
    if head.strip() == "fix":
        return [head + text]
    return textwrap.wrap(text, width(), initial_indent=head, subsequent_indent=" " * len(head))
