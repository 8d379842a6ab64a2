"""The answer of a check as one HTML file that needs nothing else: no network, no other file.

Invariant: the same result gives the same bytes, and a page stays below `LIMIT` bytes.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from string import Template

from mmunotify.report.markup import Markup, element, joined
from mmunotify.report.payload import as_script, smaller
from mmunotify.report.sections import cards, heading, steps_table
from mmunotify.report.summary import verdict_word
from mmunotify.trace.file import write_atomically
from mmunotify.trace.record import Result

__all__ = ["LIMIT", "page_name", "render_page", "write_page"]

LIMIT = 200_000
_SCRIPTS = ("diagram.js", "panels.js", "page.js")


def render_page(result: Result) -> str:
    """Return the page of a result."""
    page = ""
    for form, notice in smaller(result):
        page = _page(form, notice)
        if len(page.encode()) <= LIMIT:
            break
    return page


def write_page(path: str | Path, result: Result) -> None:
    """Write the page of a result, or raise `DiagnosticError` if it cannot be written."""
    write_atomically(path, render_page(result).encode())


def page_name(result: Result) -> str:
    """Return the name that a page of this result has by default."""
    driver = result.file.rpartition("/")[2].removesuffix(".py") or result.driver
    name = "-".join(part for part in (driver, result.property) if part)
    return "".join(one if one.isalnum() or one in "-_" else "_" for one in name) + ".html"


def _page(result: Result, notice: str) -> str:
    word = verdict_word(result)
    return Template(_read("page.html")).substitute(
        title=joined([f"{word} {result.property or result.file or result.driver}"]),
        verdict=word.lower(),
        style=_read("page.css"),
        script="".join(_read(name) for name in _SCRIPTS),
        heading=heading(result),
        notice=element("p", notice, class_="notice") if notice else "",
        interleaving=_interleaving(result),
        cards=cards(result),
        steps=_steps(result),
        name=joined([page_name(result).removesuffix(".html")]),
        data=as_script(result),
    )


def _interleaving(result: Result) -> Markup:
    """Return the place of the diagram and of what belongs to the step that is shown."""
    return Markup(_read("interleaving.html")) if result.trace else Markup("")


def _steps(result: Result) -> Markup:
    if not result.trace:
        return Markup("")
    tables = [
        element("div", element("h2", "All steps"), steps_table(result, result.trace)),
        # The script fills this one: it follows from the other.
        element("div", element("h2", "State after each step"), _EMPTY, id="states-part"),
    ]
    return element("section", *tables, class_="wide steps")


_EMPTY = element("table", id="states")


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
