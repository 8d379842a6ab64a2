"""`mmunotify doctor --matrix`: what each live monitor reports of each operation, on this machine.

Invariant: every cell was measured just now, by the self-test; nothing is looked up.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mmunotify.cli.screen import put, width
from mmunotify.errors import Exit
from mmunotify.live.operations import Kind
from mmunotify.live.selftest import Finding, State, certify
from mmunotify.live.ways import WAYS, Way, announced_settings

__all__ = ["run"]

_LEGEND = """\
memory    a private and anonymous; shared: u without a file, v System V's, s memfd, f a file
before    the operation waits until the hooks have returned
ordered   any lookup after the operation has returned knows
validated found by asking the kernel at every use
observed  told some time later
-         not reported, and not promised
(-)       not reported: promised, but not of who does it here
BROKEN    promised and not reported
prevented the kernel does not do it to memory that this monitor watches
n/a       the monitor does not take such memory
?         could not be tried here
cells     fired: tried and measured; promised: of these; beyond: reported and not promised
"""
_LETTERS = dict(zip(Kind, "auvsf", strict=True))
_HARMLESS = "nothing has to be told of"
_MARKS = {State.REFUSED: "n/a", State.PREVENTED: "prevented", State.UNTRIED: "?"}
_WIDTHS = (36, 8)
_CELL = 2  # columns between cells


def run(as_json: bool) -> int:
    """Measure and print; VIOLATED if a monitor keeps less than it promises.

    As root, settings of the machine are changed for moments; that is said before, on standard
    error.
    """
    for change in announced_settings():
        print(f"for this measurement {change}", file=sys.stderr, flush=True)
    found = list(certify(may_change_settings=True))
    put(_json(found) if as_json else _text(found))
    return Exit.VIOLATED if any(one.broken for one in found) else Exit.HOLDS


@dataclass(frozen=True)
class _Account:
    """What became of the cells of one monitor."""

    fired: int
    promised: int
    kept: int
    broken: int
    beyond: int
    prevented: int
    refused: int
    untried: int


def _account(found: Sequence[Finding]) -> _Account:
    fired = [one for one in found if one.state is State.MEASURED]
    promised = [one for one in fired if one.promised]
    broken = sum(one.broken for one in promised)
    beyond = sum(bool(one.measured) for one in fired if not one.promised)
    states = [one.state for one in found]
    others = (states.count(state) for state in (State.PREVENTED, State.REFUSED, State.UNTRIED))
    return _Account(len(fired), len(promised), len(promised) - broken, broken, beyond, *others)


def _json(found: Sequence[Finding]) -> str:
    rows = [
        {
            "operation": one.operation,
            "way": one.way.how,
            "by": str(one.way.agent),
            "memory": str(one.memory),
            "monitor": one.monitor,
            "promised": str(one.promised),
            "measured": None if one.measured is None else str(one.measured),
            "state": str(one.state),
            "broken": one.broken,
            "note": one.note,
        }
        for one in found
    ]
    accounts = {name: vars(_account(mine)) for name, mine in _by_monitor(found).items()}
    return json.dumps({"matrix": rows, "audit": accounts}, indent=1) + "\n"


def _text(found: Sequence[Finding]) -> str:
    monitors = list(_by_monitor(found))
    lines = [_line("operation, way", "memory", monitors, monitors)]
    operation = None
    for way, kinds, cells in _rows(found):
        if way.operation != operation:
            operation = way.operation
            lines.append(operation or _HARMLESS)
        lines.append(_line(f"  {way.how}", kinds, [cells[name] for name in monitors], monitors))
    return "\n".join([*lines, "", *_notes(found), "", *_audit(found), "", _LEGEND])


def _rows(found: Iterable[Finding]) -> Iterator[tuple[Way, str, dict[str, str]]]:
    """Yield a row for each way, or several where the kinds of memory differ."""
    ways: dict[int, dict[Kind, dict[str, str]]] = {}
    for one in found:
        kinds = ways.setdefault(WAYS.index(one.way), {})
        kinds.setdefault(one.memory, {})[one.monitor] = _cell(one)
    for number, kinds in sorted(ways.items()):
        while kinds:
            cells = next(iter(kinds.values()))
            alike = [kind for kind in Kind if kinds.get(kind) == cells]
            for kind in alike:
                del kinds[kind]
            yield WAYS[number], "".join(_LETTERS[kind] for kind in alike), cells


def _cell(one: Finding) -> str:
    if one.state in _MARKS:
        return _MARKS[one.state]
    if one.broken:
        return "BROKEN"
    return str(one.measured) if one.measured else "(-)" if one.note else "-"


def _line(label: str, memory: str, cells: Sequence[str], monitors: Sequence[str]) -> str:
    columns = [max(len(name), len("validated")) + _CELL for name in monitors]
    row = [f"{label:<{_WIDTHS[0]}}{memory:<{_WIDTHS[1]}}"]
    row += [f"{cell:<{column}}" for cell, column in zip(cells, columns, strict=True)]
    return "".join(row).rstrip()


def _notes(found: Iterable[Finding]) -> Iterator[str]:
    """Yield what is broken, and the reason of every mark that has one."""
    places: dict[tuple[str, str, str], dict[str, None]] = {}
    for one in found:
        if one.broken:
            yield _wrapped(
                f"BROKEN  {one.monitor} promises {one.promised} for {one.operation}: "
                f"{one.way.how}, {one.memory} memory: {one.measured}"
            )
        elif one.note:
            where = places.setdefault((_cell(one), one.monitor, one.note), {})
            where[f"{one.operation or one.way.how}"] = None
    for (mark, monitor, note), operations in places.items():
        if mark in ("(-)", *_MARKS.values()):
            many = len(operations) > 8
            told = f"{len(operations)} operations" if many else ", ".join(operations)
            yield _wrapped(f"{mark}  {monitor}: {note}: {told}")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, width(), subsequent_indent="     ")


def _audit(found: Sequence[Finding]) -> Iterator[str]:
    """Yield the account of each monitor, and one sentence on all."""
    names = list(_Account.__dataclass_fields__)
    yield f"{'cells':<13}" + "".join(f"{name:>10}" for name in names)
    for monitor, mine in _by_monitor(found).items():
        yield f"{monitor:<13}" + "".join(f"{n:>10}" for n in vars(_account(mine)).values())
    total = _account(found)
    ways = len({one.way.how + one.operation for one in found})
    yield (
        f"{ways} ways, {len(found)} cells: {total.fired} fired, {total.promised} promised, "
        f"{total.kept} kept, {total.broken} broken, {total.untried} untried"
    )


def _by_monitor(found: Iterable[Finding]) -> dict[str, list[Finding]]:
    monitors: dict[str, list[Finding]] = {}
    for one in found:
        monitors.setdefault(one.monitor, []).append(one)
    return monitors
