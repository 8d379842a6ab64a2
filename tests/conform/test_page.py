"""The table of a conformance run."""

from __future__ import annotations

from pathlib import Path

from mmunotify.conform.cases import CASES
from mmunotify.conform.page import BAR, conformance_page, row_lines, totals
from mmunotify.conform.row import Row, Verdict

ROWS = [
    Row("munmap", "munmap(page)", "unmap 4", "unmap 4", Verdict.AGREE, ""),
    Row("move", "mremap()", "unmap 4", "2 x unmap 4", Verdict.FINER, "told twice"),
    Row("odd", "odd()", "", "", Verdict.SKIPPED, "this kernel refuses the call: Invalid argument"),
]


def test_lines() -> None:
    """What agrees takes one line; what does not shows both lists and why."""
    assert [row_lines(row, 80) for row in ROWS] == [
        ["agree         munmap"],
        [
            "kernel finer  move",
            "              model   unmap 4",
            "              kernel  2 x unmap 4",
            "              told twice",
        ],
        [
            "skipped       odd",
            "              this kernel refuses the call: Invalid argument",
        ],
    ]


def test_page_of_the_docs_has_every_case() -> None:
    """docs/conformance.md was written by the cases as they are now."""
    page = Path(__file__).parents[2].joinpath("docs", "conformance.md").read_text()
    for case in CASES.values():
        assert f"| {case.name} | `{case.call.replace('|', BAR)}` |" in page
    assert "not understood" not in page


def test_page() -> None:
    """The kernel is named; every row is there, with its reason below."""
    page = conformance_page(ROWS, "Linux 6.18.0")
    assert "was Linux 6.18.0." in page
    assert "| move | `mremap()` | unmap 4 | 2 x unmap 4 | kernel finer |" in page
    assert "- **move** (kernel finer): told twice." in page
    assert totals(ROWS) == "3 operations: 1 agree, 1 kernel finer, 1 skipped"
