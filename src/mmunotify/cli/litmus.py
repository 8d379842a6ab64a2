"""`mmunotify litmus`: small programs on the model and on a real KVM guest, side by side."""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from mmunotify.cli.screen import put
from mmunotify.errors import Diagnostic, DiagnosticError, Exit
from mmunotify.terms import nearest

if TYPE_CHECKING:
    from mmunotify.litmus import Case, Row

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("cases", nargs="*", metavar="NAME|FILE", help="these cases (default: all that are shipped)")
    add(
        "--seconds",
        type=float,
        default=1.0,
        metavar="S",
        help="on the machine, a case (default: 1)",
    )
    add("--rounds", type=int, default=20_000, metavar="N", help="at the most (default: 20,000)")
    add("--seed", type=int, default=0, metavar="N", help="of the random delays (default: 0)")
    add("--model-only", action="store_true", help="do not run them on the machine")
    add("--outcomes", action="store_true", help="show every outcome, with its count")
    add("--list", action="store_true", help="list the cases, and stop")
    add("--json", metavar="PATH", help="save the table (- for standard output)")


def run(arguments: argparse.Namespace) -> int:
    """Run them; 1 if the machine did what the model forbids, 4 if it could run none."""
    from mmunotify.litmus import Verdict, run_case, shipped
    from mmunotify.trace.file import require_writable, write_atomically

    if arguments.list:
        put("".join(f"{name:<24} {case.title}\n" for name, case in shipped().items()))
        return Exit.HOLDS
    cases = _cases(arguments.cases)
    quiet = arguments.json == "-"
    if arguments.json and not quiet:
        require_writable(arguments.json)
    if not quiet:
        kernel = f"{platform.system()} {platform.release()}"
        put(f"{'test':<24}{'model':<11}{kernel:<29}verdict\n")
    rows = []
    for case in cases:
        row = run_case(
            case,
            rounds=arguments.rounds,
            seconds=arguments.seconds,
            seed=arguments.seed,
            machine=not arguments.model_only,
        )
        rows.append(row)
        if not quiet:
            put("\n".join(_lines(row, outcomes=arguments.outcomes)) + "\n")
    text = json.dumps([_record(row) for row in rows], indent=1) + "\n"
    put(text if quiet else f"{_summary(rows, arguments.seed)}\n")
    if arguments.json and not quiet:
        write_atomically(arguments.json, text.encode())
    if any(row.verdict is Verdict.TOO_STRONG for row in rows):
        return Exit.VIOLATED
    if not arguments.model_only and all(row.observed is None for row in rows):
        return Exit.CANNOT
    return Exit.HOLDS


def _cases(wanted: list[str]) -> list[Case]:
    from mmunotify.litmus import load, shipped

    known = shipped()
    found = []
    for name in wanted:
        if name in known:
            found.append(known[name])
        elif name.endswith(".toml") or Path(name).exists():
            found.append(load(name))
        else:
            close = nearest(name, known)
            fix = f"did you mean {close}?" if close else "mmunotify litmus --list"
            raise DiagnosticError(Diagnostic("E325", None, f"there is no case {name}", fix=fix))
    return found or list(known.values())


def _lines(row: Row, *, outcomes: bool) -> list[str]:
    observed = row.observed
    counts = f"{row.hits:,}/{observed.rounds:,}" if observed else ""
    lines = [f"{row.case.name:<24}{row.model:<11}{row.machine:<11}{counts:<18}{row.verdict}"]
    if row.reason:
        lines.append(f"{'':<24}{row.reason}")
    for outcome in row.forbidden:
        seen = observed.outcomes[outcome] if observed else 0
        lines.append(f"{'':<24}{row.case.shown(outcome)}: {seen:,} times, and the model forbids it")
    if outcomes:
        counted = observed.outcomes if observed else {}
        for outcome in sorted(row.allowed.outcomes | set(counted)):
            mark = "*" if row.case.satisfied(outcome) else " "
            shown = f"{mark} {row.case.shown(outcome)}"
            lines.append(f"{'':<24}{shown:<34}{counted.get(outcome, 0):,}")
    return lines


def _summary(rows: list[Row], seed: int) -> str:
    rounds = sum(row.observed.rounds for row in rows if row.observed)
    seconds = sum(row.observed.seconds for row in rows if row.observed)
    states = sum(row.allowed.states for row in rows)
    rate = f", {rounds / seconds:,.0f} rounds/s" if seconds else ""
    return f"{len(rows)} tests: {states:,} states, {rounds:,} rounds{rate}; seed {seed}"


def _record(row: Row) -> dict[str, object]:
    case, observed = row.case, row.observed
    return {
        "name": case.name,
        "title": case.title,
        "model": row.model,
        "machine": row.machine,
        "verdict": row.verdict,
        "reason": row.reason,
        "registers": case.registers,
        "allowed": sorted(map(list, row.allowed.outcomes)),
        "observed": [[*o, n] for o, n in sorted(observed.outcomes.items())] if observed else [],
        "rounds": observed.rounds if observed else 0,
        "seconds": round(observed.seconds, 3) if observed else 0.0,
    }
