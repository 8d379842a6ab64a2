"""Errors a user can repair: what is wrong, where, why, and what to write instead.

Every part of the program reports them as `Diagnostic` and one function, `render`, prints them.
Invariant: this module imports nothing of mmunotify, so everything may import it.
"""

from __future__ import annotations

import linecache
import textwrap
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "CannotError",
    "Diagnostic",
    "DiagnosticError",
    "Exit",
    "Place",
    "SourceLine",
    "cached_source_line",
    "render",
]

SourceLine = Callable[[str, int], str | None]
"""Gives the text of a line (file, number from 1), or None if there is none."""


class Exit(IntEnum):
    """What the process returns to its caller."""

    HOLDS = 0
    VIOLATED = 1
    ERROR = 2  # wrong usage, or an error in the driver
    INCOMPLETE = 3  # stopped at a bound before everything was searched
    CANNOT = 4  # this machine lacks what the command needs; kselftest's skip
    INTERRUPTED = 130  # 128 + SIGINT


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A stretch of one source line.

    Lines and columns count from 1; columns count characters. `end_column` is the column after the
    last character, as in `[column, end_column)`.
    """

    file: str
    line: int
    column: int
    end_column: int

    @classmethod
    def from_offsets(cls, file: str, line: int, text: str, start: int, end: int | None) -> Place:
        """Make a place from the offsets in bytes that `ast` gives, on the line `text`.

        `end` None means up to the end of the line: for a node that goes on in later lines.
        """
        data = text.rstrip("\r\n").encode()
        column = len(data[:start].decode(errors="replace")) + 1
        end_column = len(data[:end].decode(errors="replace")) + 1
        return cls(file, line, column, max(end_column, column + 1))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error: its code, the user's place (None: the command line), and three sentences.

    `what` names the user's own objects; `why` gives the reason for the rule; `fix` shows what to
    write instead. Lines of a `fix` with a line break are kept as they are.
    """

    code: str
    place: Place | None
    what: str
    why: str = ""
    fix: str = ""
    notes: tuple[str, ...] = ()


class DiagnosticError(Exception):
    """The user's input cannot be used; carries everything that is wrong with it, not the first."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        found = [diagnostics] if isinstance(diagnostics, Diagnostic) else list(diagnostics)
        super().__init__(found)
        self.diagnostics = sorted(found, key=_reading_order)

    def __str__(self) -> str:
        return "\n".join(_heading(diagnostic) for diagnostic in self.diagnostics)

    @property
    def __mmunotify_report__(self) -> str:
        """The text that the pytest plugin shows in place of a traceback."""
        return "\n".join(render(item, cached_source_line) for item in self.diagnostics)


class CannotError(DiagnosticError):
    """This machine lacks what the command needs; nothing is wrong with the user's input."""


def cached_source_line(file: str, line: int) -> str | None:
    """Return the text of a line of a file, or None if there is none."""
    return linecache.getline(file, line) or None


def render(
    diagnostic: Diagnostic,
    source_line: SourceLine,
    *,
    width: int = 80,
    colour: bool = False,
) -> str:
    """Return the lines that tell a user about `diagnostic`, with a final line break."""
    paint = _ANSI if colour else _PLAIN
    place = diagnostic.place
    where = f"{paint['place']}{place}{paint['off']}: " if place else ""
    code = f"{paint['code']}{diagnostic.code}{paint['off']}"
    lines = [f"{where}{code} {paint['what']}{diagnostic.what}{paint['off']}"]
    if place:
        text = source_line(place.file, place.line)
        if text is not None and text.strip():
            lines += _excerpt(place, text, width, paint)
    facts = [("why", diagnostic.why), ("fix", diagnostic.fix)]
    facts += [("note", note) for note in diagnostic.notes]
    facts.append(("more", f"mmunotify explain {diagnostic.code}"))
    for label, text in facts:
        lines += _labelled(label, text, width, paint)
    return "\n".join(lines) + "\n"


_PLAIN = dict.fromkeys(("place", "code", "what", "label", "caret", "off"), "")
_ANSI = {
    "place": "\033[1m",
    "code": "\033[1;31m",
    "what": "\033[1m",
    "label": "\033[36m",
    "caret": "\033[31m",
    "off": "\033[0m",
}
_GUTTER = 5  # digits of a line number
_TAB = 8  # as the kernel has it
_CUT = "..."


def _reading_order(diagnostic: Diagnostic) -> tuple[bool, Place, str]:
    place = diagnostic.place
    return place is not None, place or Place("", 0, 0, 0), diagnostic.code


def _heading(diagnostic: Diagnostic) -> str:
    where = f"{diagnostic.place}: " if diagnostic.place else ""
    return f"{where}{diagnostic.code} {diagnostic.what}"


def _labelled(label: str, text: str, width: int, paint: dict[str, str]) -> list[str]:
    """Return `text` behind its label, the following lines under the first."""
    if not text:
        return []
    head, margin = f"   {label:<5}", " " * 8
    if "\n" in text:
        body = text.strip("\n").splitlines()
    else:
        room = max(width - len(margin), 20)
        body = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    first = f"{paint['label']}{head}{paint['off']}{body[0]}"
    return [first, *((margin + line).rstrip() for line in body[1:])]


def _excerpt(place: Place, text: str, width: int, paint: dict[str, str]) -> list[str]:
    """Return the source line and a line of carets under it, as many cells wide as terminals do."""
    cells, edges = _cells(text.rstrip())
    last = len(edges) - 1
    start = edges[min(place.column - 1, last)]
    end = max(edges[min(place.end_column - 1, last)], start + 1)
    cells, start, end = _window(cells, start, end, max(width - _GUTTER - 3, 20))
    shown = "".join(cells).rstrip()
    carets = f"{paint['caret']}{'^' * (end - start)}{paint['off']}"
    return [
        f"{place.line:>{_GUTTER}} | {shown}",
        f"{'':>{_GUTTER}} | {' ' * start}{carets}",
    ]


def _cells(text: str) -> tuple[list[str], list[int]]:
    """Return what each terminal cell shows, and for each column the cell where it begins.

    A tab fills cells up to the next stop. A wide character takes two cells, the second of them
    empty; a combining one joins the cell before it.
    """
    cells: list[str] = []
    edges = [0]
    for character in text:
        if character == "\t":
            cells += " " * (_TAB - len(cells) % _TAB)
        elif unicodedata.combining(character):
            if cells:
                cells[-1] += character
        elif unicodedata.east_asian_width(character) in "WF":
            cells += [character, ""]
        else:
            cells.append(character if character.isprintable() else "?")
        edges.append(len(cells))
    return cells, edges


def _window(cells: list[str], start: int, end: int, room: int) -> tuple[list[str], int, int]:
    """Cut a line that is too wide down to the part around the carets."""
    if len(cells) <= room:
        return cells, start, end
    first = max(0, min(start - room // 3, len(cells) - room))
    kept = cells[first : first + room]
    start, end = start - first, min(end - first, room)
    if first:
        kept[: len(_CUT)] = _CUT
    if first + room < len(cells):
        kept[-len(_CUT) :] = _CUT
        end = max(min(end, room - len(_CUT)), start + 1)
    return kept, start, end
