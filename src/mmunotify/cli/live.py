"""`mmunotify live FILE[:Class] -- COMMAND`: a driver and a device on a program's real memory.

Invariant: a wrong request is refused before the command is started.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import math
import sys
import traceback
from pathlib import Path

from mmunotify.check.subject import Subject, load_one
from mmunotify.cli.screen import put, uses_color, width
from mmunotify.errors import Diagnostic, DiagnosticError, Exit, Place
from mmunotify.kernel.program import require_program
from mmunotify.kernel.recorder import LIMIT
from mmunotify.lang.driver import Driver
from mmunotify.live.memory import PAGE_SIZE
from mmunotify.live.only import parse_only
from mmunotify.live.open_mm import OpenMm, opened
from mmunotify.live.recording import CALLED
from mmunotify.live.simulated import DeviceThreads
from mmunotify.live.watch_command import Wanted, watch_command
from mmunotify.report.activity import notified_line, render_activity, stale_line
from mmunotify.trace.file import require_writable, write_trace
from mmunotify.trace.record import Lane, Notified, Stale

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.usage = "mmunotify live [options] FILE[:Class] -- COMMAND"
    add = parser.add_argument
    add("subject", metavar="FILE[:Class]", help="the driver's file, and which class in it")
    add("command", nargs="*", metavar="-- COMMAND", help="run this")
    add(
        "--range",
        action="append",
        default=[],
        metavar="START-END|NAME",
        help="only this memory: addresses, or a mapping as in /proc/PID/maps",
    )
    add("--no-follow", action="store_true", help="not the children that COMMAND starts")
    add("--no-device", action="store_true", help="call the hooks alone, never fault")
    add("--no-ptrace", action="store_true", help="leave ptrace to the program; ends come late")
    add("--quiet", action="store_true", help="no line for each event on standard error")
    add("--trace", metavar="PATH", help="save the record (JSON Lines; .gz compresses)")
    add("--limit", type=int, default=LIMIT, metavar="N", help="events to keep (default: 200,000)")
    patience = "what the program waits for a hook at most (default: 10)"
    add("--hook-timeout", type=float, default=10.0, metavar="S", help=patience)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 1 if a hook failed or a translation was stale, 130 if it was interrupted."""
    _require_sense(arguments)
    only = parse_only(arguments.range)
    subject = load_one(arguments.subject)
    require_program(arguments.command)
    if arguments.trace:
        require_writable(arguments.trace)
    _require_usable(subject)

    def line(one: Notified | Stale, lanes: list[Lane]) -> None:
        names = [lane.name for lane in lanes]
        if isinstance(one, Stale):
            text = stale_line(one, names, PAGE_SIZE)
        elif arguments.quiet:
            return
        else:
            text = notified_line(one, names, PAGE_SIZE)
        with contextlib.suppress(OSError, ValueError):  # a reader who has gone is no error
            print(text, file=sys.stderr)

    wanted = Wanted(
        limit=arguments.limit,
        hook_timeout=arguments.hook_timeout,
        only=only,
        follow=not arguments.no_follow,
        ptrace=not arguments.no_ptrace,
        device=not arguments.no_device,
    )
    outcome = watch_command(arguments.command, subject.driver, wanted, line)
    if arguments.trace:
        write_trace(arguments.trace, outcome.trace)
    nice = uses_color(arguments)
    put(render_activity(outcome.trace, width=width(), unicode=nice, color=nice))
    if outcome.interrupted:
        return Exit.INTERRUPTED
    return Exit.VIOLATED if outcome.failures or outcome.stale else Exit.HOLDS


def _require_sense(arguments: argparse.Namespace) -> None:
    what = ""
    if not arguments.command:
        what = "live needs a command to run"
    elif arguments.limit < 0:
        what = f"--limit {arguments.limit} is less than nothing"
    elif not 0 < arguments.hook_timeout < math.inf:
        what = f"--hook-timeout {arguments.hook_timeout:g} is no time that a hook could have"
    if what:
        fix = "mmunotify live driver.py -- python train.py"
        raise DiagnosticError(Diagnostic("E327", None, what, fix=fix))


def _require_usable(subject: Subject) -> None:
    """Raise `DiagnosticError` E328 if no driver of the class can be told of a program."""
    kind = subject.driver
    names = [name for name in CALLED if name != "release"]
    if all(getattr(kind, name) is getattr(Driver, name) for name in names):
        line = inspect.getsourcelines(kind)[1]
        what = f"{kind.__name__} would never be told of anything"
        why = f"live calls {', '.join(names)}, and it has none of them"
        fix = "def invalidate_range_start(self, rng: PageRange) -> None: ..."
        raise DiagnosticError(Diagnostic("E328", Place(subject.file, line, 1, 2), what, why, fix))
    try:
        threads = DeviceThreads()
        with threads.running():
            opened(kind, OpenMm(threads))
    except Exception as error:  # it is the user's constructor
        raise DiagnosticError(_unusable(subject, error)) from error


def _unusable(subject: Subject, error: Exception) -> Diagnostic:
    file = Path(subject.file).resolve()
    frames = traceback.extract_tb(error.__traceback__)
    own = [f.lineno for f in frames if f.lineno and Path(f.filename).resolve() == file]
    line = own[-1] if own else inspect.getsourcelines(subject.driver)[1]
    return Diagnostic(
        "E328",
        Place(subject.file, line, 1, 2),
        f"making {subject.name} raised {type(error).__name__}: {error}",
        "its mm is that of a running program: there are pages, locks and notifiers, and no model",
        "make in __init__ what holds for any number of pages, such as Table(mm.pages)",
    )
