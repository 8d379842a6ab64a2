"""`Code`: what one error code means, with a wrong and a right example.

Invariant: texts are stored without common indentation; paragraphs are parted by an empty line.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc

__all__ = ["Code", "entry"]


@dataclass(frozen=True, slots=True)
class Code:
    """One error code: a short title, an explanation in paragraphs, and two examples."""

    code: str
    title: str
    text: str
    wrong: str
    right: str


def entry(code: str, title: str, *, text: str, wrong: str, right: str) -> Code:
    """Make a `Code` from texts indented as the source around them is."""
    return Code(code, title, cleandoc(text), cleandoc(wrong), cleandoc(right))
