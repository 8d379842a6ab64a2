"""Sentences and numbers for a page of fixed width: cleaned, measured, wrapped, never cut."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["cells", "clean", "count", "listed", "megabytes", "seconds", "wrap"]

_JOINTS = re.compile(r"(?<=[_./,:;=\[\](){}|-])")  # where a long word may be broken


def clean(text: str, *, unicode: bool = True) -> str:
    """Return `text` on one line, without characters that would command a terminal.

    A trace holds names that others chose, so it is not trusted. Without `unicode` every other
    character than ASCII becomes an escape.
    """
    text = " ".join(text.split())
    text = "".join(one if one.isprintable() else "?" for one in text)
    return text if unicode else text.encode("ascii", "backslashreplace").decode()


def cells(text: str) -> int:
    """Return how many cells of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(one) for one in text)


def wrap(text: str, width: int, *, hanging: int = 0) -> list[str]:
    """Return `text` on lines of at most `width`; lines after the first are indented by `hanging`.

    Words stay whole where they can. A word that is longer than a line is broken after a sign,
    or anywhere if it has none.
    """
    width = max(width, hanging + 4)
    lines: list[str] = []
    line = ""
    for word, whole in _words(text, width - hanging):
        joined = f"{line} {word}" if line.strip() else line + word
        if whole and cells(joined) <= width:
            line = joined
        else:
            lines.append(line)
            line = " " * hanging + word
    return [*lines, line] if line.strip() or not lines else lines


def count(number: int, noun: str) -> str:
    """Return `1 step`, `9 steps` or `1,204 states`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(items: list[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def seconds(value: float) -> str:
    """Return a duration with two digits that mean something."""
    if value < 0.0995:
        return f"{max(round(value * 1000), 1) if value else 0} ms"
    if value < 99.5:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02} s"


def megabytes(value: int) -> str:
    """Return an amount of memory."""
    return f"{value / 1e9:.1f} GB" if value >= 999_500_000 else f"{max(value / 1e6, 1):.0f} MB"


def _cells_of(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def _words(text: str, room: int) -> Iterator[tuple[str, bool]]:
    """Yield the words of `text` and True; a word longer than `room` in pieces, each on a new line.

    The last piece of a word may be followed on its line, but may not follow the piece before.
    """
    for word in text.split():
        if cells(word) <= room:
            yield word, True
        else:
            yield from ((piece, index == 0) for index, piece in enumerate(_pieces(word, room)))


def _pieces(word: str, room: int) -> list[str]:
    pieces: list[str] = []
    piece = ""
    for part in _JOINTS.split(word):
        if piece and cells(piece + part) > room:
            pieces.append(piece)
            piece = ""
        piece += part
        while cells(piece) > room:
            end = _fitting(piece, room)
            pieces.append(piece[:end])
            piece = piece[end:]
    return [*pieces, piece] if piece else pieces


def _fitting(piece: str, room: int) -> int:
    """Return how many characters of `piece` fit, at least one."""
    end = 1
    while end < len(piece) and cells(piece[: end + 1]) <= room:
        end += 1
    return end
