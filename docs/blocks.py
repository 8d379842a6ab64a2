"""The fenced blocks of a page, and what each of them is for.

Three languages: `python` is a file or an excerpt of one, `console` is a terminal with its output,
`text` is neither. Invariant: a block keeps the line of its page where its first line stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ELISION", "Block", "blocks", "is_excerpt", "matches"]

ELISION = "..."
"""A line that stands for any lines, also for none; at the end of a line, for the rest of it."""

_FENCE = re.compile(r"( *)(```+)(\w*)[^`]*")
_NAME = re.compile(r"# ([\w./-]+\.py)")


@dataclass(frozen=True)
class Block:
    """One fenced block: `line` is that of its first line in `page`, counted from 1."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """The file that a Python block says it is, in a comment on its first line, or ""."""
        first = self.text.partition("\n")[0]
        found = _NAME.fullmatch(first.strip())
        return found[1] if self.language == "python" and found else ""

    @property
    def body(self) -> str:
        """The text without the line that names the file."""
        return self.text.partition("\n")[2].lstrip("\n") if self.name else self.text

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    inside: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = _FENCE.fullmatch(line)
        if opened is None:
            opened, inside = fence, []
        elif fence and fence[2].startswith(opened[2]) and not fence[3]:
            text = "".join(f"{one.removeprefix(opened[1])}\n" for one in inside)
            found.append(Block(page, number - len(inside), opened[3], text))
            opened = None
        else:
            inside.append(line)
    if opened is not None:
        raise ValueError(f"{page}: a block is not closed")
    return found


def matches(wanted: list[str], lines: list[str]) -> bool:
    """Tell whether `lines` are the wanted ones, where `ELISION` stands for what is left out."""
    parts: list[list[str]] = [[]]
    for line in wanted:
        if line.strip() == ELISION:
            parts.append([])
        else:
            parts[-1].append(line)
    first, *rest = parts
    if not rest:
        return _alike(first, lines)
    last = rest.pop()
    at = len(first)
    end = len(lines) - len(last)
    if end < at or not _alike(first, lines[:at]) or not _alike(last, lines[end:]):
        return False
    for part in rest:
        starts = range(at, end - len(part) + 1)
        found = next((n for n in starts if _alike(part, lines[n : n + len(part)])), None)
        if found is None:
            return False
        at = found + len(part)
    return True


def _alike(wanted: list[str], lines: list[str]) -> bool:
    return len(wanted) == len(lines) and all(map(_same, wanted, lines))


def _same(wanted: str, line: str) -> bool:
    if wanted.endswith(f" {ELISION}"):
        return line.startswith(wanted.removesuffix(ELISION))
    return wanted == line


def is_excerpt(text: str, file: str) -> bool:
    """Tell whether `text` is part of a file: lines of it in order, with `ELISION` between."""
    wanted = [ELISION, *_code(text), ELISION]
    return matches(wanted, _code(file))


def _code(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
