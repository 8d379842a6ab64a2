"""`mmunotify VERB ...`: parse, run the verb, turn errors into exit codes.

Verbs are imported when they are used, so `--version` and `--help` are quick.
Invariant: reports go to standard output, everything else to standard error; a reader that goes away
(`| head`) changes neither the exit code nor leaves a traceback.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from mmunotify.cli.screen import put
from mmunotify.errors import (
    CannotError,
    Diagnostic,
    DiagnosticError,
    Exit,
    cached_source_line,
    render,
)
from mmunotify.terms import VERSION

__all__ = ["main"]

_VERBS = {
    "check": "check a driver through every interleaving",
    "corpus": "find bugs again that Linux had",
    "claims": "put the mail of 2 April 2008 to the test, claim by claim",
    "cost": "count what the forms of invalidation cost",
    "show": "show a saved result or trace again",
    "explain": "explain an error code",
    "litmus": "run small programs on the model and on a real guest",
    "conform": "hold the model against the running kernel, operation by operation",
    "trace": "record what the running kernel invalidates",
    "live": "run a driver and a device on the memory of a running program",
    "doctor": "tell what this machine permits",
}
_EXAMPLES = """examples:
  mmunotify check kvm_like.py                  all standard scenarios, all properties
  mmunotify check kvm_like.py:Kvm --scenario munmap --html report.html
  mmunotify check kvm_like.py --json result.json && mmunotify show result.json --commit
  mmunotify explain E107

exit codes: 0 holds, 1 violated, 2 wrong usage or an error in the driver, 3 stopped at a bound,
4 this machine cannot, 130 interrupted
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
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mmunotify {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb, text in _VERBS.items():
        one = verbs.add_parser(
            verb,
            help=text,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
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
    _open_standard_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((w for w in words if not w.startswith("-")), None)
    arguments = _parser(name).parse_args(words)
    try:
        code = _verb(arguments.verb).run(arguments)
        put("")
        return code
    except CannotError as error:
        if arguments.debug:
            traceback.print_exc()
        for diagnostic in error.diagnostics:
            remedy = f" ({diagnostic.fix})" if diagnostic.fix else ""
            print(f"{diagnostic.code} {diagnostic.what}{remedy}", file=sys.stderr)
        return Exit.CANNOT
    except DiagnosticError as error:
        if arguments.debug:
            traceback.print_exc()
        colour = arguments.color == "always" or (
            arguments.color == "auto" and sys.stderr.isatty() and "NO_COLOR" not in os.environ
        )
        for diagnostic in error.diagnostics:
            text = render(_nearby(diagnostic), cached_source_line, colour=colour)
            print(text, file=sys.stderr)
        return Exit.ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return Exit.INTERRUPTED
    except Exception as error:
        if arguments.debug:
            traceback.print_exc()
            print(getattr(error, "text", ""), file=sys.stderr)  # what a worker process says
        kind = type(error).__name__
        print(f"error: this is a bug in mmunotify: {kind}: {error}", file=sys.stderr)
        if not arguments.debug:
            print("       run it again with --debug and report what it shows", file=sys.stderr)
        return Exit.ERROR


def _open_standard_streams() -> None:
    """Let everything be printed: where a stream is closed nowhere, whatever the encoding."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nearby(diagnostic: Diagnostic) -> Diagnostic:
    """Return the diagnostic with a file in the current folder named as a user would name it."""
    place = diagnostic.place
    if place is None or not Path(place.file).is_relative_to(Path.cwd()):
        return diagnostic
    file = str(Path(place.file).relative_to(Path.cwd()))
    return dataclasses.replace(diagnostic, place=dataclasses.replace(place, file=file))
