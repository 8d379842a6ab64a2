"""`mmunotify show FILE`: a saved result or trace, rendered again."""

from __future__ import annotations

import argparse

from mmunotify.cli.screen import put, uses_color, width
from mmunotify.errors import Exit
from mmunotify.report.activity import render_activity
from mmunotify.report.commit import render_commit
from mmunotify.report.html import write_page
from mmunotify.report.ktap import render_ktap
from mmunotify.report.sarif import render_sarif
from mmunotify.report.text import render_text, render_trace
from mmunotify.report.timeline import write_timeline
from mmunotify.trace.file import read_file
from mmunotify.trace.record import Result, Trace

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("file", help="what --json saved, or a trace")
    add("--commit", action="store_true", help="72 columns, for a kernel commit message")
    add("--html", metavar="PATH", help="write the report page")
    add("--sarif", action="store_true", help="as SARIF 2.1.0, for code hosts")
    add("--ktap", action="store_true", help="as KTAP, for kernel test systems")
    add("--width", type=int, metavar="N", help="columns (default: the terminal's, else 80)")
    add("--all-steps", action="store_true", help="never collapse steps")


def run(arguments: argparse.Namespace) -> int:
    """Show it; always succeeds if the file can be read."""
    found = read_file(arguments.file)
    if isinstance(found, Result):
        put(_result(found, arguments))
    else:
        put(_trace(found, arguments))
    return Exit.HOLDS


def _result(result: Result, arguments: argparse.Namespace) -> str:
    if arguments.html:
        write_page(arguments.html, result)
        return f"{arguments.html}\n"
    if arguments.sarif:
        return render_sarif([result])
    if arguments.ktap:
        return render_ktap([result])
    if arguments.commit:
        text = render_commit(result, all_steps=arguments.all_steps)
        return text or "no counterexample: there is nothing to put into a commit message\n"
    nice = uses_color(arguments)
    return render_text(
        result,
        width=arguments.width or width(),
        unicode=nice,
        color=nice,
        all_steps=arguments.all_steps,
    )


def _trace(trace: Trace, arguments: argparse.Namespace) -> str:
    nice = uses_color(arguments)
    if trace.activity:
        if arguments.html:
            write_timeline(arguments.html, trace)
            return f"{arguments.html}\n"
        columns = arguments.width or width()
        return render_activity(trace, width=columns, unicode=nice, color=nice)
    return render_trace(
        trace,
        width=arguments.width or width(),
        unicode=nice,
        color=nice,
        all_steps=arguments.all_steps,
    )
