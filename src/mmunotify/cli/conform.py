"""`mmunotify conform`: each operation of the mm on the running kernel, beside the model's."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from collections.abc import Sequence

from mmunotify.cli.screen import put, width
from mmunotify.errors import Diagnostic, DiagnosticError, Exit
from mmunotify.terms import nearest

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="NAME", help="only this one (repeat)")
    add("--list", action="store_true", help="list the operations, and stop")
    add("--json", metavar="PATH", help="save the table (- for standard output)")
    add("--markdown", metavar="PATH", help="write the table as docs/conformance.md has it")


def run(arguments: argparse.Namespace) -> int:
    """Perform them; 1 if a list is not what it was found to be before."""
    from mmunotify.conform import conform
    from mmunotify.conform.cases import CASES
    from mmunotify.conform.page import conformance_page, row_lines, totals
    from mmunotify.trace.file import require_writable, write_atomically

    if arguments.list:
        put("".join(f"{name:<40} {case.call}\n" for name, case in CASES.items()))
        return Exit.HOLDS
    _require_known(arguments.only, list(CASES))
    for path in (arguments.json, arguments.markdown):
        if path and path != "-":
            require_writable(path)
    kernel = f"{platform.system()} {platform.release()}"
    rows = []
    quiet = arguments.json == "-"
    for row in conform(arguments.only):
        rows.append(row)
        if not quiet:
            put("\n".join(row_lines(row, width())) + "\n")
    table = {"kernel": kernel, "rows": [dataclasses.asdict(row) for row in rows]}
    text = json.dumps(table, indent=1) + "\n"
    if quiet:
        put(text)
    else:
        put(f"{totals(rows)}; {kernel}\n")
    if arguments.json and not quiet:
        write_atomically(arguments.json, text.encode())
    if arguments.markdown:
        write_atomically(arguments.markdown, conformance_page(rows, kernel).encode())
    return Exit.VIOLATED if any(row.surprising for row in rows) else Exit.HOLDS


def _require_known(wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            close = nearest(name, known)
            fix = f"did you mean {close}?" if close else "mmunotify conform --list"
            what = f"there is no operation {name} in conform"
            raise DiagnosticError(Diagnostic("E325", None, what, fix=fix))
