"""`mmunotify check FILE[:Class]`: every interleaving against the mm operations that can hurt it."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from mmunotify.cli.screen import ProgressLine, put, uses_color, width
from mmunotify.errors import Diagnostic, DiagnosticError, Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmunotify.check.job import Job
    from mmunotify.check.options import Options
    from mmunotify.check.schedule import Schedule
    from mmunotify.check.subject import Subject
    from mmunotify.trace.record import Result

    _Add = Callable[..., argparse.Action]

__all__ = ["add_arguments", "run"]

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_ORDER = (Exit.HOLDS, Exit.INCOMPLETE, Exit.VIOLATED, Exit.INTERRUPTED)  # the worst comes last


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "subject", metavar="FILE[:Class]", help="the driver's file, and which class in it"
    )
    _what(parser.add_argument_group("what is checked").add_argument)
    _how(parser.add_argument_group("how it is searched").add_argument)
    _shown(parser.add_argument_group("how it is shown").add_argument)


def _what(add: _Add) -> None:
    only = "only this one; any operations joined by + run at once (repeat)"
    add("--scenario", action="append", default=[], metavar="NAME", help=only)
    add("--property", action="append", default=[], metavar="NAME", help="only this one (repeat)")
    add("--list", action="store_true", help="list scenarios and properties, and stop")
    add("--pages", type=int, metavar="N", help="virtual pages")
    add("--frames", type=int, metavar="N", help="physical frames")
    add("--devices", type=int, metavar="N", help="device threads")
    add("--protocol", metavar="NAME", help="the notifier protocol (default: srcu, today's Linux)")
    add("--all-pairs", action="store_true", help="every pair of operations, not one of each kind")
    add("--keep-going", action="store_true", help="go on after a violation")


def _how(add: _Add) -> None:
    add("--workers", type=int, metavar="N", help="scenarios at a time (default: one a core)")
    add("--memory", metavar="SIZE", help="bound of the searches' memory, as in 2G")
    add("--time", type=float, metavar="SECONDS", help="bound of each search's time")
    add("--seed", type=int, default=0, metavar="N", help="of the random walks (default: 0)")
    add("--no-reduction", action="store_true", help="search every interleaving of steps")


def _shown(add: _Add) -> None:
    add("--html", metavar="PATH", help="write the report page")
    add("--json", metavar="PATH", help="save the result (- for standard output)")
    add("--all-steps", action="store_true", help="never collapse steps")
    add("--replay", metavar="STRING", help="show the interleaving of a replay string again")
    add("--pdb", action="store_true", help="run the interleaving in Python, under pdb")
    add("--step", action="store_true", help="step through it forward and back, cell by cell")


def run(arguments: argparse.Namespace) -> int:
    """Check every driver that was named; the worst answer is the exit code."""
    from mmunotify.check.subject import load, load_one
    from mmunotify.trace.file import require_writable

    options = _options(arguments)
    for path in (arguments.json, arguments.html):
        if path and path != "-":
            require_writable(path)
    about_one = arguments.html or arguments.json or arguments.replay
    about_one = about_one or arguments.pdb or arguments.step
    subjects = [load_one(arguments.subject)] if about_one else load(arguments.subject)
    codes = []
    for subject in subjects:
        if len(subjects) > 1:
            put(f"{subject.name}\n")
        if arguments.list:
            codes.append(_list(subject, options))
        elif arguments.replay or arguments.pdb or arguments.step:
            codes.append(_replay(subject, options, arguments))
        else:
            codes.append(_check(subject, options, arguments))
        if codes[-1] is Exit.INTERRUPTED:
            break
    return max(codes, key=_ORDER.index)


def _options(arguments: argparse.Namespace) -> Options:
    from mmunotify.check.options import Options, cores

    return Options(
        pages=arguments.pages,
        frames=arguments.frames,
        devices=arguments.devices,
        protocol=arguments.protocol,
        scenarios=tuple(arguments.scenario),
        all_pairs=arguments.all_pairs,
        properties=tuple(arguments.property),
        memory=_size(arguments.memory),
        seconds=arguments.time,
        workers=cores() if arguments.workers is None else arguments.workers,
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
            Diagnostic(
                "E305",
                None,
                f"--memory {text} is no size",
                "a size is a number of bytes, or of K, M or G",
                "--memory 2G",
            )
        )
    return int(float(found[1]) * _UNITS[found[2]])


def _list(subject: Subject, options: Options) -> Exit:
    from mmunotify.check.choice import chosen_scenarios
    from mmunotify.check.predicates import own_properties
    from mmunotify.terms import PROPERTIES

    lines = ["scenarios"]
    lines += [f"  {scenario.name}" for scenario in chosen_scenarios(subject, options)]
    lines.append("  any of these/endless  operations are repeated for ever, for progress")
    lines.append("properties")
    lines += [f"  {name:22} {text}" for name, text in PROPERTIES.items()]
    own = own_properties(subject.driver)
    lines += [f"  {name:22} {subject.name}'s own" for name in own]
    put("\n".join(lines) + "\n")
    return Exit.HOLDS


def _check(subject: Subject, options: Options, arguments: argparse.Namespace) -> Exit:
    result = _checked(subject, options)
    _show(result, arguments)
    return _exit(result)


def _checked(subject: Subject, options: Options) -> Result:
    from mmunotify.check.run import run as check

    line = ProgressLine(subject.name)
    try:
        return check(subject, options, line)
    finally:
        line.clear()


def _exit(result: Result) -> Exit:
    from mmunotify.check.run import interrupted

    if result.verdict == "VIOLATED":
        return Exit.VIOLATED
    if interrupted(result):
        return Exit.INTERRUPTED
    return Exit.HOLDS if result.verdict == "HOLDS" else Exit.INCOMPLETE


def _show(result: Result, arguments: argparse.Namespace) -> None:
    from mmunotify.report.text import render_text
    from mmunotify.trace.file import encode_result, write_result

    if arguments.html:
        from mmunotify.report.html import write_page

        write_page(arguments.html, result)
    if arguments.json == "-":
        put(encode_result(result).decode())
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
    put(text)


# -- one interleaving --------------------------------------------------------------------------


def _replay(subject: Subject, options: Options, arguments: argparse.Namespace) -> Exit:
    from mmunotify.check.run import replayed

    text = arguments.replay
    if not text:
        result = _checked(subject, options)
        text = result.replay
        if not text:
            _show(result, arguments)
            print("nothing is violated, so there is nothing to step through", file=sys.stderr)
            return _exit(result)
    job, schedule, result = replayed(subject, options, text)
    if arguments.pdb:
        _under_pdb(job, schedule)
    elif arguments.step:
        from mmunotify.check.debugger import Debugger

        Debugger(job.program, schedule, [job.source]).cmdloop()
    else:
        _show(result, arguments)
    return _exit(result)


def _under_pdb(job: Job, schedule: Schedule) -> None:
    from mmunotify.check.python_debugger import PythonDebugger

    PythonDebugger(job.build(), job.program, schedule, [job.source]).run_schedule()
