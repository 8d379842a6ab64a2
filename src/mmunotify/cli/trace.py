"""`mmunotify trace -- COMMAND`: every invalidation the kernel sends, by cause, place and time."""

from __future__ import annotations

import argparse
import sys

from mmunotify.cli.screen import put, uses_color, width
from mmunotify.errors import Diagnostic, DiagnosticError, Exit
from mmunotify.kernel.memory import PAGE
from mmunotify.kernel.recorder import LIMIT, Recorder
from mmunotify.kernel.session import Told, trace_command, trace_process
from mmunotify.report.activity import notified_line, render_activity
from mmunotify.report.timeline import write_timeline
from mmunotify.trace.file import require_writable, write_trace
from mmunotify.trace.record import Notified, Trace

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("command", nargs="*", metavar="-- COMMAND", help="run this and record its memory's life")
    add("--pid", type=int, metavar="N", help="record a process that runs, and runs a VM")
    add("--inject", action="store_true", help="with --pid: put an empty VM into it for the time")
    add("--no-follow", action="store_true", help="not the children that COMMAND starts")
    add("--seconds", type=float, metavar="S", help="stop after this time")
    add("--limit", type=int, default=LIMIT, metavar="N", help="events to keep (default: 200,000)")
    add("--lines", action="store_true", help="write a line for each event while it goes on")
    add("--trace", metavar="PATH", help="save the record (JSON Lines; .gz compresses)")
    add("--html", metavar="PATH", help="write the timeline page")


def run(arguments: argparse.Namespace) -> int:
    """Trace; 130 if it was interrupted."""
    if bool(arguments.command) == bool(arguments.pid):
        what = "trace needs either a command or --pid"
        raise DiagnosticError(
            Diagnostic("E324", None, what, fix="mmunotify trace -- python train.py")
        )
    for path in (arguments.trace, arguments.html):
        if path:
            require_writable(path)
    trace, interrupted = _traced(arguments)
    if arguments.trace:
        write_trace(arguments.trace, trace)
    if arguments.html:
        write_timeline(arguments.html, trace)
    nice = uses_color(arguments)
    put(render_activity(trace, width=width(), unicode=nice, color=nice))
    if arguments.html:
        put(f"page   {arguments.html}\n")
    return Exit.INTERRUPTED if interrupted else Exit.HOLDS


def _traced(arguments: argparse.Namespace) -> tuple[Trace, bool]:
    told: Told | None = _line if arguments.lines else None
    if arguments.pid:
        return trace_process(
            arguments.pid,
            limit=arguments.limit,
            inject=arguments.inject,
            seconds=arguments.seconds,
            told=told,
        )
    return trace_command(
        arguments.command,
        limit=arguments.limit,
        follow=not arguments.no_follow,
        seconds=arguments.seconds,
        told=told,
    )


def _line(one: Notified, recorder: Recorder) -> None:
    """Write one event; to standard error, as the command's output is on the other."""
    names = [lane.name for lane in recorder.lanes]
    print(notified_line(one, names, PAGE), file=sys.stderr)
