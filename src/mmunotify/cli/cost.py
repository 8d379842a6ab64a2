"""`mmunotify cost`: what the forms of invalidation cost, counted over N pages."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmunotify.cli.screen import put
from mmunotify.errors import Diagnostic, DiagnosticError, Exit

if TYPE_CHECKING:
    from mmunotify.cost import Cost, Form
    from mmunotify.report.plot import Plot

    Rows = list[tuple[Form, int, Cost]]

__all__ = ["add_arguments", "counted", "plot", "run"]

_MOST = 65_536


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--most", type=int, default=_MOST, metavar="N", help=f"pages at the most ({_MOST:,})")
    add("--json", metavar="PATH", help="save the counts (- for standard output)")
    add("--svg", metavar="PATH", help="write the plot of the flushes")


def run(arguments: argparse.Namespace) -> int:
    """Count, and show the table."""
    from mmunotify.trace.file import require_writable, write_atomically

    if not 1 <= arguments.most <= _MOST:
        raise DiagnosticError(
            Diagnostic(
                "E305", None, f"--most {arguments.most}: 1 to {_MOST:,} pages can be counted"
            )
        )
    for path in (arguments.json, arguments.svg):
        if path and path != "-":
            require_writable(path)
    rows = counted(arguments.most)
    if arguments.svg:
        write_atomically(arguments.svg, plot(rows).svg().encode())
    if arguments.json == "-":
        put(_json(rows))
        return Exit.HOLDS
    if arguments.json:
        write_atomically(arguments.json, _json(rows).encode())
    put(_table(rows))
    return Exit.HOLDS


def counted(most: int) -> Rows:
    """Return what each form costs for up to `most` pages."""
    from mmunotify.cost import FORMS

    return [(form, pages, form.measure(pages)) for form in FORMS for pages in _sizes(most)]


def _sizes(most: int) -> list[int]:
    """1, 4, 16, ... and the largest itself."""
    return [*(4**k for k in range(8) if 4**k < most), most]


def plot(rows: Rows) -> Plot:
    """Return the plot of flushes over pages."""
    from mmunotify.report.plot import Plot, Series

    by_form: dict[str, list[tuple[float, float]]] = {}
    for form, pages, cost in rows:
        by_form.setdefault(form.name, []).append((pages, cost.flushes))
    series = [Series(name, points) for name, points in by_form.items()]
    return Plot("Flushes of the secondary TLBs", "pages invalidated", "flushes", series)


def _table(rows: Rows) -> str:
    lines = []
    head = f"{'pages':>9} {'flushes':>9} {'locks':>9} {'callbacks':>9} {'refills':>9}"
    shown = ""
    for form, pages, cost in rows:
        if form.name != shown:
            shown = form.name
            lines += ["", f"{form.name}: {form.text}", head]
        counts = (pages, cost.flushes, cost.locks, cost.callbacks, cost.refills)
        lines.append(" ".join(f"{count:9,}" for count in counts))
    return "\n".join(lines[1:]) + "\n"


def _json(rows: Rows) -> str:
    import msgspec

    found = [
        {"form": form.name, "text": form.text, "pages": pages, **msgspec.to_builtins(cost)}
        for form, pages, cost in rows
    ]
    return msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"
