"""`mmunotify claims [N ...]`: what the mail of 2 April 2008 says, put to the test."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmunotify.cli.screen import put, uses_color, width
from mmunotify.errors import Diagnostic, DiagnosticError, Exit

if TYPE_CHECKING:
    from mmunotify.trace.claims import ClaimsResult

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("numbers", nargs="*", type=int, metavar="N", help="only these, in full")
    add("--json", metavar="PATH", help="save the answers (- for standard output)")
    add("--html", metavar="PATH", help="write one page with all of it")
    add("--workers", type=int, metavar="N", help="claims at a time (default: one a core)")


def run(arguments: argparse.Namespace) -> int:
    """Decide the claims and show them; 1 if evidence came out otherwise than it should."""
    from mmunotify.check.options import cores
    from mmunotify.claims import CLAIMS, decide_all
    from mmunotify.report.claims import render_claim, render_claims
    from mmunotify.trace.file import require_writable

    unknown = [n for n in arguments.numbers if n not in CLAIMS]
    if unknown:
        what = f"there is no claim {unknown[0]}"
        raise DiagnosticError(Diagnostic("E304", None, what, f"claims are 1 to {len(CLAIMS)}"))
    for path in (arguments.json, arguments.html):
        if path and path != "-":
            require_writable(path)
    workers = cores() if arguments.workers is None else arguments.workers
    result = decide_all(arguments.numbers or list(CLAIMS), workers)
    _save(result, arguments)
    if arguments.json != "-":
        nice = uses_color(arguments)
        if arguments.numbers:
            for claim in result.claims:
                put(render_claim(claim, width=width(), unicode=nice, color=nice))
        else:
            put(render_claims(result, width=width(), unicode=nice, color=nice))
    wrong = any(claim.verdict == "unexpected" for claim in result.claims)
    return Exit.VIOLATED if wrong else Exit.HOLDS


def _save(result: ClaimsResult, arguments: argparse.Namespace) -> None:
    import msgspec

    from mmunotify.trace.file import write_atomically

    if arguments.html:
        from mmunotify.report.claims_page import render_claims_page

        write_atomically(arguments.html, render_claims_page(result).encode())
    if not arguments.json:
        return
    data = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
    if arguments.json == "-":
        put(data.decode())
    else:
        write_atomically(arguments.json, data)
