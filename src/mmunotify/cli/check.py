"""`mmunotify check FILE[:Class]`: every interleaving against the mm operations that can hurt it."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from mmunotify.cli.screen import ProgressLine, uses_color, width
from mmunotify.errors import Diagnostic, DiagnosticError, Exit

if TYPE_CHECKING:
    from mmunotify.check.options import Options
    from mmunotify.check.subject import Subject
    from mmunotify.trace.record import Result

__all__ = ["add_arguments", "run"]

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_ORDER = (Exit.HOLDS, Exit.INCOMPLETE, Exit.VIOLATED, Exit.INTERRUPTED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("subject", metavar="FILE[:Class]", help="the driver's file, and which class in it")
    add("--scenario", action="append", default=[], metavar="NAME", help="only this one (repeat)")
    add("--property", action="append", default=[], metavar="NAME", help="only this one (repeat)")
    add("--pages", type=int, metavar="N", help="virtual pages")
    add("--frames", type=int, metavar="N", help="physical frames")
    add("--devices", type=int, metavar="N", help="device threads")
    add("--protocol", metavar="NAME", help="the notifier protocol (default: srcu, today's Linux)")
    add("--list", action="store_true", help="list scenarios and properties, and stop")
    add("--keep-going", action="store_true", help="go on after a violation")
    add("--json", metavar="PATH", help="save the result (- for standard output)")
    add("--html", metavar="PATH", help="write the report page")
    add("--replay", metavar="STRING", help="show the interleaving of a replay string again")
    add("--pdb", action="store_true", help="step through the interleaving")
    add("--all-steps", action="store_true", help="never collapse steps")
    add("--memory", metavar="SIZE", help="bound of one search's memory, as in 2G")
    add("--time", type=float, metavar="SECONDS", help="bound of one search's time")
    add("--workers", type=int, default=1, metavar="N", help="threads of the engine (default: 1)")
    add("--seed", type=int, default=0, metavar="N", help="of the random walks (default: 0)")
    add("--no-reduction", action="store_true", help="search every interleaving of steps")


def run(arguments: argparse.Namespace) -> int:
    """Check every driver that was named; the worst answer is the exit code."""
    from mmunotify.check.subject import load
    from mmunotify.trace.file import require_writable

    options = _options(arguments)
    for path in (arguments.json, arguments.html):
        if path and path != "-":
            require_writable(path)
    codes = []
    for subject in load(arguments.subject):
        if arguments.list:
            codes.append(_list(subject, options))
        elif arguments.replay or arguments.pdb:
            codes.append(_replay(subject, options, arguments))
        else:
            codes.append(_check(subject, options, arguments))
    return max(codes, key=_ORDER.index)


def _options(arguments: argparse.Namespace) -> Options:
    from mmunotify.check.options import Options

    return Options(
        pages=arguments.pages,
        frames=arguments.frames,
        devices=arguments.devices,
        protocol=arguments.protocol,
        scenarios=tuple(arguments.scenario),
        properties=tuple(arguments.property),
        memory=_size(arguments.memory),
        seconds=arguments.time,
        workers=arguments.workers,
        seed=arguments.seed,
        reduced=not arguments.no_reduction,
        keep_going=arguments.keep_going,
    )


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)(?:i?b)?", text.lower())
    if found is None:
        raise DiagnosticError(
            Diagnostic("E305", None, f"--memory {text} is no size", fix="--memory 2G")
        )
    return int(float(found[1]) * _UNITS[found[2]])


def _list(subject: Subject, options: Options) -> Exit:
    from mmunotify.check.run import chosen_scenarios
    from mmunotify.terms import PROPERTIES

    print("scenarios")
    for scenario in chosen_scenarios(subject.driver, options):
        print(f"  {scenario.name}")
    print("properties")
    for name, text in PROPERTIES.items():
        print(f"  {name:22} {text}")
    return Exit.HOLDS


def _check(subject: Subject, options: Options, arguments: argparse.Namespace) -> Exit:
    from mmunotify.check.run import run as check

    line = ProgressLine(subject.name)
    try:
        result = check(subject, options, line)
    finally:
        line.clear()
    _show(result, arguments)
    return _exit(result)


def _exit(result: Result) -> Exit:
    if any(s.reason == "interrupted" for s in result.scenarios):
        return Exit.INTERRUPTED
    verdicts = {"HOLDS": Exit.HOLDS, "VIOLATED": Exit.VIOLATED}
    return verdicts.get(result.verdict, Exit.INCOMPLETE)


def _show(result: Result, arguments: argparse.Namespace) -> None:
    from mmunotify.report.text import render_text
    from mmunotify.trace.file import encode_result, write_result

    if arguments.html:
        from mmunotify.report.html import write_page

        write_page(arguments.html, result)
    if arguments.json == "-":
        sys.stdout.write(encode_result(result).decode())
        return
    if arguments.json:
        write_result(arguments.json, result)
    nice = uses_color(arguments)
    text = render_text(
        result,
        width=width(),
        unicode=nice,
        color=nice,
        all_steps=arguments.all_steps,
        page=arguments.html or "",
    )
    sys.stdout.write(text)


def _replay(subject: Subject, options: Options, arguments: argparse.Namespace) -> Exit:
    from mmunotify.check.run import replayed
    from mmunotify.check.run import run as check

    text = arguments.replay
    if not text:
        text = check(subject, options).replay
        if not text:
            print(f"{subject.name}: nothing is violated, so there is nothing to step through")
            return Exit.HOLDS
    job, schedule, result = replayed(subject, options, text)
    if arguments.pdb:
        from mmunotify.check.debugger import Debugger

        Debugger(job.program, schedule, [job.source]).cmdloop()
        return Exit.VIOLATED if result.property else Exit.HOLDS
    _show(result, arguments)
    return _exit(result)
