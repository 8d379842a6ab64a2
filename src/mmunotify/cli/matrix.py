"""`mmunotify doctor --matrix`: what each live monitor reports of each operation, on this machine.

Invariant: every cell was measured just now, by the self-test; nothing is looked up.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from mmunotify.cli.screen import put, width
from mmunotify.errors import Exit
from mmunotify.live.selftest import Finding, certify

__all__ = ["run"]

_LEGEND = """\
before    the operation waits until the hooks have returned (explicit: through AddressSpace only)
ordered   any lookup after the operation has returned knows
validated found by asking the kernel at every use
observed  told some time later
-         not reported
?         could not be tried here
"""


def run(as_json: bool) -> int:
    """Measure and print; VIOLATED if a monitor keeps less than it promises."""
    found = list(certify())
    put(_json(found) if as_json else _text(found))
    return Exit.VIOLATED if any(one.broken for one in found) else Exit.HOLDS


def _json(found: Sequence[Finding]) -> str:
    rows = [
        {
            "operation": one.operation,
            "memory": str(one.memory),
            "monitor": one.monitor,
            "promised": str(one.promised),
            "measured": None if one.measured is None else str(one.measured),
            "note": one.note,
        }
        for one in found
    ]
    return json.dumps({"matrix": rows}, indent=1) + "\n"


def _text(found: Sequence[Finding]) -> str:
    monitors = list(dict.fromkeys(one.monitor for one in found))
    rows: dict[tuple[str, str], dict[str, Finding]] = {}
    for one in found:
        rows.setdefault((one.operation, str(one.memory)), {})[one.monitor] = one
    lines = [_line("operation", "memory", monitors)]
    for (operation, memory), cells in rows.items():
        lines.append(_line(operation, memory, [_cell(cells[name]) for name in monitors]))
    notes: dict[str, dict[str, None]] = {}
    for one in found:
        if one.note:
            notes.setdefault(one.note, {})[one.operation] = None
    tried = [_note(note, list(operations)) for note, operations in notes.items()]
    broken = [
        f"BROKEN: {one.monitor} promises {one.promised} for {one.operation}"
        for one in found
        if one.broken
    ]
    return "\n".join([*lines, "", *tried, *broken, "", _LEGEND])


def _note(note: str, operations: Sequence[str]) -> str:
    text = f"?  {note}: {', '.join(operations)}"
    return textwrap.fill(text, width(), subsequent_indent="   ")


def _line(operation: str, memory: str, cells: Sequence[str]) -> str:
    return "".join((f"{operation:<20}{memory:<11}", *(f"{cell:<13}" for cell in cells))).rstrip()


def _cell(one: Finding) -> str:
    if one.measured is None:
        return "?"
    word = str(one.measured) if one.measured else "-"
    return f"{word} BROKEN" if one.broken else word
