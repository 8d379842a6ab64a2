"""Reads a report back: the steps that a person finds in its lanes."""

from __future__ import annotations

import re

__all__ = ["read_lanes"]


def read_lanes(text: str) -> list[tuple[str, str, str]]:
    """Return number, name of the lane and words (without spaces) of each step.

    The lanes are found by the line of dashes under their names; what stands between them, the
    bars, belongs to no step.
    """
    lines = text.splitlines()
    rule = next(index for index, line in enumerate(lines) if re.fullmatch(r"[ -]*---[ -]*", line))
    spans = [match.span() for match in re.finditer("-+", lines[rule])]
    heads = [_head(lines, rule, span) for span in spans]
    steps: list[tuple[str, str, str]] = []
    for line in lines[rule + 1 :]:
        if not line:
            break
        number = re.match(r" *(\d+|end) ", line[: spans[0][0]].replace("|", " ") + " ")
        for head, (left, right) in zip(heads, spans, strict=True):
            words = "".join(line[left:right].split())
            if number and words:
                steps.append((number[1], head, words))
            elif words:
                steps[-1] = (*steps[-1][:2], steps[-1][2] + words)
    return steps


def _head(lines: list[str], rule: int, span: tuple[int, int]) -> str:
    """Return the first word of a heading, which may stand on several lines."""
    words: list[str] = []
    for line in reversed(lines[:rule]):
        part = line[span[0] : span[1]].split()
        if not line or not part:
            break
        words = part + words
    return words[0]
