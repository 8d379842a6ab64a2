"""How lines of text are marked: ASCII or box characters, plain or coloured.

A line is a list of spans, each a text and the name of its style. Invariant: colour never carries
anything that the characters do not say as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmunotify.report.prose import cells

__all__ = ["Ink", "Line", "Span", "width_of"]

Span = tuple[str, str]
Line = list[Span]

_STYLES = {
    "bad": "1;31",
    "good": "1;32",
    "warn": "1;33",
    "bold": "1",
    "dim": "2",
    "label": "36",
    "change": "36",
    "primary": "1;34",
    "secondary": "1;32",
    "device": "1;35",
    "invalidation": "33",
    "stale": "31",
    "cycle": "35",
}
# The marks of a bar: its first row, the rows between, its last row.
_ASCII_BARS = {"invalidation": "+|+", "stale": "###", "cycle": ".:'"}
_BOX_BARS = {"invalidation": "┌│└", "stale": "▓▓▓", "cycle": "╔║╚"}


@dataclass(frozen=True, slots=True)
class Ink:
    """What may be used: box characters, colour."""

    unicode: bool = False
    color: bool = False

    @property
    def rule(self) -> str:
        """The character of a horizontal line."""
        return "─" if self.unicode else "-"

    @property
    def wall(self) -> str:
        """The character of a vertical line."""
        return "│" if self.unicode else "|"

    def bar(self, kind: str) -> str:
        """Return the three marks of a window: first row, rows between, last row."""
        bars = _BOX_BARS if self.unicode else _ASCII_BARS
        return bars.get(kind, bars["invalidation"])

    def paint(self, line: Line) -> str:
        """Return a line as text, without spaces at its end."""
        spans = list(line)
        while spans and not spans[-1][0].strip():
            spans.pop()
        if spans:
            text, style = spans[-1]
            spans[-1] = (text.rstrip(), style)
        return "".join(self.mark(text, style) for text, style in spans)

    def mark(self, text: str, style: str) -> str:
        """Return `text` in the colour of `style`, if there is colour."""
        code = _STYLES.get(style, "") if self.color and text.strip() else ""
        return f"\033[{code}m{text}\033[0m" if code else text


def width_of(line: Line) -> int:
    """Return how many cells a line takes."""
    return sum(cells(text) for text, _ in line)
