"""HTML elements as values. Invariant: a plain `str` is always escaped; only `Markup` is not."""

from __future__ import annotations

import html
import re

__all__ = ["Markup", "element", "joined", "linked", "table", "table_row"]


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Markup:
    """Return an element; `class_` becomes `class`, `data_n` becomes `data-n`.

    An attribute with an empty value is left out.
    """
    shown = "".join(
        f' {key.strip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value
    )
    return Markup(f"<{name}{shown}>{joined(children)}</{name}>")


def joined(children: tuple[str, ...] | list[str]) -> Markup:
    """Return children one after another, each escaped unless it is HTML already."""
    return Markup("".join(_safe(child) for child in children))


def table(name: str, heads: list[str], rows: list[Markup]) -> Markup:
    """Return a table with the headings of its columns."""
    return element(
        "table",
        element("thead", element("tr", *(element("th", text, scope="col") for text in heads))),
        "\n",
        element("tbody", *(Markup(f"{row}\n") for row in rows)),
        id=name,
    )


def table_row(first: str, *cells: str, **attributes: str) -> Markup:
    """Return a row; its first cell names it."""
    named = element("th", first, scope="row")
    return element("tr", named, *(element("td", cell) for cell in cells), **attributes)


def linked(text: str) -> Markup:
    """Return a sentence in which each number of a step is a link to it."""
    parts: list[str] = []
    end = 0
    for match in _STEPS.finditer(text):
        parts.append(text[end : match.start()])
        for piece in re.split(r"(\d+)", match.group()):
            parts.append(element("a", piece, href=f"#step={piece}") if piece.isdigit() else piece)
        end = match.end()
    return joined([*parts, text[end:]])


_STEPS = re.compile(r"\b[Ss]teps? \d+(?:(?:-|, | and | to )\d+)*")


def _safe(child: str) -> str:
    if isinstance(child, Markup):
        return child
    return html.escape("".join(one if one.isprintable() or one == "\n" else "?" for one in child))
