"""Write what in docs/ is generated: errors.md, corpus.md, and what the commands of pages show.

`make docs` runs it. Where a page shortens an output with `...`, the lines it keeps are looked for
in the new one; where they are not found, the place is named, and a person decides.
Invariant: the same sources give the same bytes.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from textwrap import fill

from mmunotify.codes import CODES, Code

__all__ = ["CORPUS", "ERRORS", "FIGURE", "cost_figure", "errors_page", "main", "renewed"]

ROOT = Path(__file__).parents[1]
ERRORS = ROOT / "docs" / "errors.md"
CORPUS = ROOT / "docs" / "corpus.md"
FIGURE = ROOT / "docs" / "cost.svg"
ELISION = "..."  # as in docs/blocks.py, which a script in this folder cannot import by its name
_WIDTH = 100
_MOST_PAGES = 4096  # in the figure; the lines go on as they do
_ALIKE = 0.75
_SPEED = "speed "
_DIGITS = re.compile(r"\d+")

_HEAD = """\
# Error codes

Every error names its code; `mmunotify explain CODE` prints the text below. All errors of a file are
reported at once, each at its line, and the exit code is 2 ([reports.md](reports.md#exit-codes)).
This page is written by `make docs` from `mmunotify.codes`.
"""

_GROUPS = {
    "E1": "E1xx: the subset",
    "E2": "E2xx: types, and the world that set-up built",
    "E3": "E3xx: what was asked for",
    "E4": "E4xx: what this machine lacks",
    "E5": "E5xx: files that are read again",
    "W2": "W2xx: a pass that proves less than it seems to",
}


def errors_page() -> str:
    """Return docs/errors.md."""
    parts = [_HEAD]
    for prefix, title in _GROUPS.items():
        codes = [code for code in CODES.values() if code.code.startswith(prefix)]
        parts.append(f"## {title}\n")
        parts.append("".join(f"- [{c.code}](#{c.code.lower()}) {c.title}\n" for c in codes))
        parts += [part for code in codes for part in _entry(code)]
    return "\n".join(parts)


def _entry(code: Code) -> Iterator[str]:
    yield f"### {code.code}\n"
    yield fill(f"**{code.title[0].upper()}{code.title[1:]}.**", _WIDTH) + "\n"
    for paragraph in code.text.split("\n\n"):
        yield fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False) + "\n"
    for label, example in (("Wrong", code.wrong), ("Right", code.right)):
        # Not `python`: these are excerpts, some wrong on purpose, that no tool may format.
        yield f"{label}:\n\n```text\n{example}\n```\n"


def cost_figure() -> str:
    """Return docs/cost.svg: what `mmunotify cost --svg` writes."""
    from mmunotify.cli.cost import counted, plot

    return plot(counted(_MOST_PAGES)).svg() + "\n"


def main() -> int:
    """Write the pages; tell which outputs a person has to look at."""
    sys.path.insert(0, str(ROOT))  # run as a script, only docs/ is on the path
    from docs.console import PAGES

    from mmunotify.corpus.page import corpus_page
    from mmunotify.corpus.registry import bugs
    from mmunotify.corpus.trial import try_bug

    ERRORS.write_text(errors_page())
    CORPUS.write_text(corpus_page([try_bug(bug) for bug in bugs()]))
    FIGURE.write_text(cost_figure())
    stale = [where for page in PAGES for where in _refresh(page)]
    for where in stale:
        print(f"{where}: what is shown here is not what the command prints now")
    return 1 if stale else 0


def _refresh(page: Path) -> Iterator[str]:
    """Write the outputs of a page anew; yield the places where that cannot be done."""
    from docs.console import agrees, transcript

    lines = page.read_text().splitlines()
    with tempfile.TemporaryDirectory() as folder:
        found = list(transcript(page, Path(folder)))
    for exchange, shown in reversed(found):
        old = list(exchange.shown)
        output = renewed(old, [line.rstrip() for line in shown])
        if agrees(replace(exchange, shown=tuple(output)), shown):
            lines[exchange.line : exchange.line + len(old)] = _timeless(old, output)
        elif not agrees(exchange, shown):
            yield str(exchange)
    page.write_text("".join(f"{line}\n" for line in lines))


def _timeless(old: list[str], output: list[str]) -> list[str]:
    """Return `output` with what was measured before, so that a second run changes nothing."""
    speeds = [line for line in old if line.lstrip().startswith(_SPEED)]
    places = [n for n, line in enumerate(output) if line.lstrip().startswith(_SPEED)]
    for place, speed in zip(places, speeds, strict=False):
        output[place] = speed
    return output


def renewed(page: list[str], shown: list[str]) -> list[str]:
    """Return `shown`, shortened where the page is; [] if the lines it keeps cannot be found."""
    runs: list[list[str]] = [[]]
    for line in page:
        if line == ELISION:  # with an indent it is what the command prints
            runs.append([])
        else:
            runs[-1].append(line)
    while shown and not shown[-1]:
        shown = shown[:-1]
    if len(runs) == 1:
        return shown + [""] * (len(page) - len("\n".join(page).rstrip("\n").split("\n")))
    found: list[str] = []
    at = 0
    for number, run in enumerate(runs):
        starts: Iterable[int] = range(at, len(shown) - len(run) + 1)
        if not number or (run and number == len(runs) - 1):
            starts = [0] if not number else [max(at, len(shown) - len(run))]
        best = max(starts, key=lambda start: _likeness(run, shown[start:]), default=-1)
        if best < 0 or _likeness(run, shown[best:]) < _ALIKE:
            return []
        kept = shown[best : best + len(run)]
        found += [ELISION] if number else []
        found += [
            old if old.endswith(f" {ELISION}") else new for old, new in zip(run, kept, strict=True)
        ]
        at = best + len(run)
    return found


def _likeness(run: list[str], lines: list[str]) -> float:
    """Return how much `lines` begin like `run`, from 0 to 1; neither numbers nor blanks count."""
    if not run:
        return 1.0
    if len(lines) < len(run):
        return 0.0
    pairs = [_cut(*pair) for pair in zip(run, lines[: len(run)], strict=True)]
    one, two = (
        _DIGITS.sub("0", " ".join(" ".join(some).split())) for some in zip(*pairs, strict=True)
    )
    return SequenceMatcher(None, one, two, autojunk=False).ratio()


def _cut(wanted: str, line: str) -> tuple[str, str]:
    """Return both without what a page leaves out at the end of a line."""
    if wanted.endswith(f" {ELISION}"):
        wanted = wanted.removesuffix(ELISION).rstrip()
        line = line[: len(wanted)]
    return wanted, line


if __name__ == "__main__":
    sys.exit(main())
