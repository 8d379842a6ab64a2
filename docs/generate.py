"""Write what in docs/ is generated: errors.md, and what the commands of the other pages show.

`make docs` runs it. The output of a command is written anew only where the page shows all of it;
where it is shortened with `...` and no longer right, the place is named, and a person decides.
Invariant: the same sources give the same bytes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from mmunotify.codes import CODES, Code

__all__ = ["ERRORS", "errors_page", "main"]

ROOT = Path(__file__).parents[1]
ERRORS = ROOT / "docs" / "errors.md"
_WIDTH = 100

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
        # Not `console`: what these commands show is said in the text.
        language = "text" if example.startswith("$") else "python"
        yield f"{label}:\n\n```{language}\n{example}\n```\n"


def main() -> int:
    """Write the pages; tell which outputs a person has to look at."""
    sys.path.insert(0, str(ROOT))  # run as a script, only docs/ is on the path
    from docs.console import PAGES

    ERRORS.write_text(errors_page())
    stale = [where for page in PAGES for where in _refresh(page)]
    for where in stale:
        print(f"{where}: the command shows something else now; its output here is shortened")
    return 1 if stale else 0


def _refresh(page: Path) -> Iterator[str]:
    """Write the outputs of a page anew; yield the places where that cannot be done."""
    from docs.console import agrees, is_shortened, transcript

    lines = page.read_text().splitlines()
    with tempfile.TemporaryDirectory() as folder:
        found = [pair for pair in transcript(page, Path(folder)) if not agrees(*pair)]
    for exchange, shown in reversed(found):
        if is_shortened(exchange):
            yield str(exchange)
        else:
            lines[exchange.line : exchange.line + len(exchange.shown)] = _output(shown)
    page.write_text("".join(f"{line}\n" for line in lines))


def _output(shown: list[str]) -> list[str]:
    """Return what a page shows of a command: blank lines within, none at the end."""
    while shown and not shown[-1].strip():
        shown = shown[:-1]
    return [line.rstrip() for line in shown]


if __name__ == "__main__":
    sys.exit(main())
