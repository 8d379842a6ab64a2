"""Claims that were put to the test as one HTML file: all of them, each interleaving embedded.

Invariant: nothing is loaded from anywhere; an interleaving is the same page that a check writes.
"""

from __future__ import annotations

import html
from importlib import resources

from mmunotify.report.claims import verdict_counts
from mmunotify.report.html import render_page
from mmunotify.report.markup import Markup, element, joined
from mmunotify.trace.claims import ClaimResult, ClaimsResult, EvidenceResult

__all__ = ["render_claims_page"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_STYLE = """
body { max-width: 1200px; margin: 0 auto; padding: 0 20px 60px }
h1 { margin: 24px 0 4px }
article { border-top: 1px solid var(--line); padding: 14px 0 }
article h3 { margin: 0 0 6px; font-size: 16px; font-weight: 600 }
.word { display: inline-block; min-width: 84px; font-weight: 700 }
.holds .word { color: var(--good) } .refuted .word, .unexpected .word { color: var(--bad) }
.depends .word { color: var(--warn) }
ul { list-style: none; padding-left: 84px } li { margin: 3px 0 }
b { color: var(--dim); font-weight: 600; display: inline-block; min-width: 62px }
iframe { width: 100%; height: 46em; border: 1px solid var(--line); margin-top: 6px }
summary { cursor: pointer; color: var(--link) }
"""


def render_claims_page(result: ClaimsResult) -> str:
    """Return the page."""
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    title = "The mail of 2 April 2008, claim by claim"
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Markup(style + _STYLE)),
    )
    body = element(
        "body",
        element("h1", title),
        element("p", verdict_counts(result)),
        *(_article(claim) for claim in result.claims),
    )
    return f'<!doctype html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


def _article(claim: ClaimResult) -> Markup:
    word = element("span", claim.verdict, class_="word")
    rows = [element("li", element("b", "on"), claim.on)] if claim.on else []
    rows += [_evidence(one) for one in claim.evidence]
    rows.append(element("li", element("b", "Linux"), claim.outcome))
    return element(
        "article",
        element("h3", word, f"{claim.number}. {claim.claim}"),
        element("ul", *rows),
        class_=claim.verdict,
        id=f"claim{claim.number}",
    )


def _evidence(one: EvidenceResult) -> Markup:
    mark = element("b", "for" if one.supports else "against")
    odd = "" if one.as_expected else " (unexpected)"
    parts = [mark, f"{one.text}: {one.found}{odd}"]
    if one.result is not None and one.result.trace is not None:
        page = html.escape(render_page(one.result), quote=True)
        frame = Markup(f'<iframe loading="lazy" srcdoc="{page}"></iframe>')
        parts.append(element("details", element("summary", "the interleaving"), frame))
    return element("li", joined(parts))
