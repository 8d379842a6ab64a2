"""Claims that were put to the test, as text: a table of all, or one in full.

Invariant: what speaks for a claim and what speaks against it can be told apart without colour.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmunotify.report.ink import Ink, Line
from mmunotify.report.prose import clean, wrap
from mmunotify.report.text import render_text
from mmunotify.trace.claims import ClaimResult, ClaimsResult, EvidenceResult
from mmunotify.trace.record import Bounds

__all__ = ["render_claim", "render_claims", "verdict_counts"]

_MARGIN = 4
_WORD = 11  # columns of the verdict
_STYLES = {"holds": "good", "refuted": "bad", "depends": "warn", "unexpected": "bad"}


def render_claims(
    result: ClaimsResult, *, width: int = 80, unicode: bool = False, color: bool = False
) -> str:
    """Return the table: each claim with its verdict, its evidence and what Linux did."""
    ink = Ink(unicode, color)
    lines: list[Line] = []
    for claim in result.claims:
        lines += [*_claim(claim, width, ink), []]
    lines.append([(verdict_counts(result), "bold"), (f" ({result.seconds:.1f} s)", "dim")])
    return "".join(ink.paint(line) + "\n" for line in lines)


def render_claim(
    claim: ClaimResult, *, width: int = 80, unicode: bool = False, color: bool = False
) -> str:
    """Return one claim in full: its evidence with every interleaving."""
    ink = Ink(unicode, color)
    text = "".join(ink.paint(line) + "\n" for line in _claim(claim, width, ink))
    for number, one in enumerate(claim.evidence, 1):
        if one.result is not None:
            title = f"evidence {number}: {clean(one.text, unicode=unicode)}"
            text += f"\n{title}\n{ink.rule * min(width, len(title))}\n"
            text += render_text(one.result, width=width, unicode=unicode, color=color)
    return text


def verdict_counts(result: ClaimsResult) -> str:
    """Return how many claims there are of each verdict, as in `7 hold, 3 are refuted`."""
    words = {
        "holds": ("holds", "hold"),
        "refuted": ("is refuted", "are refuted"),
        "depends": ("depends", "depend"),
        "unexpected": ("came out otherwise than it should", "came out otherwise than they should"),
    }
    found = [claim.verdict for claim in result.claims]
    return ", ".join(
        f"{found.count(verdict)} {one if found.count(verdict) == 1 else many}"
        for verdict, (one, many) in words.items()
        if verdict in found
    )


def _claim(claim: ClaimResult, width: int, ink: Ink) -> Iterator[Line]:
    words = wrap(clean(claim.claim, unicode=ink.unicode), width - _MARGIN - _WORD)
    head: Line = [(f"{claim.number:>2}  ", "bold"), (f"{claim.verdict:<{_WORD}}", _style(claim))]
    yield [*head, (words[0], "bold")]
    yield from ([(" " * (_MARGIN + _WORD), ""), (one, "bold")] for one in words[1:])
    if claim.on:
        yield from _labelled("on", claim.on, width, ink)
    for one in claim.evidence:
        yield from _evidence(one, width, ink)
    yield from _labelled("Linux", claim.outcome, width, ink)


def _style(claim: ClaimResult) -> str:
    return _STYLES.get(claim.verdict, "")


def _labelled(label: str, text: str, width: int, ink: Ink) -> Iterator[Line]:
    room = width - _MARGIN - _WORD
    for number, part in enumerate(wrap(clean(text, unicode=ink.unicode), room)):
        shown = "" if number else label
        yield [(" " * _MARGIN, ""), (f"{shown:<{_WORD}}", "label"), (part, "")]


def _evidence(one: EvidenceResult, width: int, ink: Ink) -> Iterator[Line]:
    mark = "for" if one.supports else "against"
    text = f"{one.text}: {one.found}"
    if not one.as_expected:
        text += " (UNEXPECTED)"
    if one.bounds is not None:
        text += f" ({_bounds(one.bounds)})"
    yield from _labelled(mark, text, width, ink)
    if one.replay:
        yield [(" " * (_MARGIN + _WORD), ""), (f"replay {one.replay}", "dim")]


def _bounds(bounds: Bounds) -> str:
    sizes = f"{bounds.pages} pages, {bounds.frames} frames, {bounds.devices} devices"
    return f"{'+'.join(bounds.operations)} under {bounds.protocol}, {sizes}"
