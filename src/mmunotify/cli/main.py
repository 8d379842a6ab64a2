"""`mmunotify VERB ...`: parse, run the verb, turn errors into exit codes.

Verbs are imported when they are used, so `--version` and `--help` are quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from mmunotify.errors import DiagnosticError, Exit, cached_source_line, render
from mmunotify.terms import VERSION

__all__ = ["main"]

_VERBS = {
    "check": "check a driver through every interleaving",
    "show": "show a saved result or trace again",
    "explain": "explain an error code",
}
_EXAMPLES = """examples:
  mmunotify check kvm_like.py                  all standard scenarios, all properties
  mmunotify check kvm_like.py:Kvm --scenario munmap --html report.html
  mmunotify check kvm_like.py --json result.json && mmunotify show result.json --commit
  mmunotify explain E107
"""


class Verb(Protocol):
    """A module of `mmunotify.cli` that is a verb."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; return the exit code."""


def _verb(name: str) -> Verb:
    return cast(Verb, importlib.import_module(f"mmunotify.cli.{name}"))


def _parser(name: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmunotify",
        description="MMU notifiers: drivers checked through every interleaving.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mmunotify {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, text in _VERBS.items():
        one = verbs.add_parser(
            verb, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        one.add_argument("--debug", action="store_true", help="show tracebacks")
        one.add_argument(
            "--color",
            choices=("auto", "always", "never"),
            default="auto",
            help="colour and box characters (auto: on a terminal, unless NO_COLOR is set)",
        )
        if verb == name:
            _verb(verb).add_arguments(one)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((w for w in words if not w.startswith("-")), None)
    arguments = _parser(name).parse_args(words)
    try:
        return _verb(arguments.verb).run(arguments)
    except DiagnosticError as error:
        if arguments.debug:
            raise
        for diagnostic in error.diagnostics:
            print(render(diagnostic, cached_source_line), file=sys.stderr)
        return Exit.ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.ERROR
    except Exception as error:
        if arguments.debug:
            raise
        kind = type(error).__name__
        print(f"error: this is a bug in mmunotify: {kind}: {error}", file=sys.stderr)
        print("       run it again with --debug and report what it shows", file=sys.stderr)
        return Exit.ERROR
