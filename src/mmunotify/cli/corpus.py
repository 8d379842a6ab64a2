"""`mmunotify corpus [ID ...]`: bugs that Linux had, found again, and their fixes checked."""

from __future__ import annotations

import argparse
from textwrap import fill
from typing import TYPE_CHECKING, Any

from mmunotify.cli.screen import put, uses_color, width
from mmunotify.errors import Diagnostic, DiagnosticError, Exit

if TYPE_CHECKING:
    from mmunotify.corpus.bug import Bug
    from mmunotify.corpus.trial import Trial

__all__ = ["add_arguments", "run"]

_TITLE = 44
_WALK = "walk"  # found by random walks, before any state was stored


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="only these, as in C3; one alone is shown in full")
    add("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add("--json", metavar="PATH", help="save the table (- for standard output)")
    add("--html", metavar="PATH", help="write the report page of one bug")
    add("--all-steps", action="store_true", help="never collapse steps")


def run(arguments: argparse.Namespace) -> int:
    """Check both models of every bug, and show what came out."""
    from mmunotify.check.options import Options, cores
    from mmunotify.corpus.registry import bugs, wanted
    from mmunotify.corpus.trial import tried
    from mmunotify.trace.file import require_writable, write_atomically

    workers = cores() if arguments.workers is None else arguments.workers
    Options(workers=workers)  # says what is wrong with the number
    for path in (arguments.json, arguments.html):
        if path and path != "-":
            require_writable(path)
    if arguments.html and len(arguments.ids) != 1:
        what = "--html writes the page of one bug, and one has to be named"
        raise DiagnosticError(Diagnostic("E304", None, what, fix="mmunotify corpus C3 --html PATH"))
    chosen = wanted(arguments.ids) if arguments.ids else bugs()
    trials = []
    quiet = arguments.json == "-"
    alone = len(arguments.ids) == 1 and not quiet
    if not quiet and not alone:
        put(_head())
    for bug, trial in zip(chosen, tried([b.id for b in chosen], workers), strict=True):
        trials.append(trial)
        if alone:
            put(_in_full(bug, trial, arguments))
        elif not quiet:
            put(_row(bug, trial))
    if not quiet and not alone:
        put(_sum(trials))
    if arguments.html:
        from mmunotify.report.html import write_page

        write_page(arguments.html, trials[0].buggy)
    if arguments.json:
        data = _json(chosen, trials)
        put(data) if quiet else write_atomically(arguments.json, data.encode())
    return _exit(trials)


def _exit(trials: list[Trial]) -> Exit:
    if any(t.buggy.verdict == "INCOMPLETE" or t.fixed.verdict == "INCOMPLETE" for t in trials):
        return Exit.INCOMPLETE
    return Exit.HOLDS if all(t.found and t.holds for t in trials) else Exit.VIOLATED


# -- the table ---------------------------------------------------------------------------------


def _head() -> str:
    return (
        f"{'bug':5}{'what':{_TITLE}} {'class':5} {'violates':22} "
        f"{'steps':>5} {'states':>7} {'fixed':>7} {'s':>5}\n"
    )


def _row(bug: Bug, trial: Trial) -> str:
    buggy, fixed = trial.states
    holds = f"{fixed:,}" if trial.holds else trial.fixed.property or trial.fixed.verdict
    return (
        f"{bug.id:5}{bug.title:{_TITLE}} {bug.kind.value:5} {_violates(trial):22} "
        f"{trial.steps:5} {f'{buggy:,}' if buggy else _WALK:>7} {holds:>7} {trial.seconds:5.1f}\n"
    )


def _violates(trial: Trial) -> str:
    if trial.found:
        return trial.buggy.property
    return f"NOT FOUND: {trial.buggy.property or trial.buggy.verdict}"


def _sum(trials: list[Trial]) -> str:
    lines = []
    if any(t.found and not t.states[0] for t in trials):
        lines.append(f"{_WALK}: found by random walks, before the search of all states began")
    missed = [t.id for t in trials if not t.found]
    broken = [t.id for t in trials if not t.holds]
    if missed:
        lines.append(f"not found: {', '.join(missed)}")
    if broken:
        lines.append(f"fixed, and still violated: {', '.join(broken)}")
    if not missed and not broken:
        states = sum(t.states[1] for t in trials)
        seconds = sum(t.seconds for t in trials)
        lines.append(
            f"{len(trials)} bugs, every one found; every fix holds, in {states:,} states together"
            f" ({seconds:.1f} s)"
        )
    return "\n" + "\n".join(lines) + "\n"


# -- one bug -----------------------------------------------------------------------------------


def _in_full(bug: Bug, trial: Trial, arguments: argparse.Namespace) -> str:
    from mmunotify.corpus.page import facts
    from mmunotify.corpus.repair import repair
    from mmunotify.report.text import render_text

    nice = uses_color(arguments)
    show: dict[str, Any] = {"width": width(), "unicode": nice, "color": nice}
    report = render_text(trial.buggy, all_steps=arguments.all_steps, **show)
    label, source = repair(bug)
    parts = [
        f"{bug.id}  {bug.title}\n",
        facts(bug, width()),
        report,
        fill(bug.fix, width(), initial_indent="fix   ", subsequent_indent=" " * 6) + "\n",
        f"      in the model, {label}:\n",
        "\n".join(f"      {line}".rstrip() for line in source.splitlines()) + "\n",
        render_text(trial.fixed, **show),
    ]
    return "\n".join(parts)


# -- the record --------------------------------------------------------------------------------


def _json(bugs: tuple[Bug, ...], trials: list[Trial]) -> str:
    import msgspec

    found = [_record(bug, trial) for bug, trial in zip(bugs, trials, strict=True)]
    return msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"


def _record(bug: Bug, trial: Trial) -> dict[str, object]:
    buggy, fixed = trial.states
    return {
        "id": bug.id,
        "title": bug.title,
        "commits": [
            {"hash": c.hash, "subject": c.subject, "seen": c.seen.value} for c in bug.commits
        ],
        "cve": bug.cve,
        "versions": bug.versions,
        "class": bug.kind.value,
        "property": bug.property,
        "what": bug.what,
        "fix": bug.fix,
        "note": bug.note,
        "found": trial.found,
        "violated": trial.buggy.property,
        "message": trial.buggy.message,
        "steps": trial.steps,
        "shortest": trial.buggy.shortest,
        "states": buggy,
        "replay": trial.buggy.replay,
        "command": trial.buggy.command,
        "fixed_holds": trial.holds,
        "fixed_states": fixed,
        "seconds": trial.seconds,
    }
