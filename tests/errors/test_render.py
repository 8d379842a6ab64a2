"""A diagnostic as the terminal shows it, line by line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from mmunotify.errors import (
    Diagnostic,
    DiagnosticError,
    Exit,
    Place,
    cached_source_line,
    render,
)

LOOP = "        while self.pending[page]:\n"
TABS = "\tif seq\t== 1:\n"
WIDE = "    頁 = self.表[頁] + last\n"
LONG = "    return " + "a + " * 40 + "bad" + " + c" * 40 + "\n"


def marked(text: str, part: str, width: int = 80) -> str:
    """Render a diagnostic about `part` of the line `text` and return the excerpt."""
    start = len(text[: text.index(part)].encode())
    place = Place.from_offsets("mine.py", 41, text, start, start + len(part.encode()))
    shown = render(Diagnostic("E107", place, "what"), lambda *_: text, width=width)
    return "\n".join(shown.splitlines()[1:3])


def test_whole() -> None:
    """Place, code and what; the line with carets; why, fix, notes and where to read more."""
    diagnostic = Diagnostic(
        "E107",
        Place("drivers/mine.py", 41, 15, 33),
        "this loop never lets another thread run",
        "Each round of a loop needs a step at which other threads may run; this one only "
        "computes with its own locals.",
        "with self.lock:\n    wait_until(lambda: not self.pending[page])",
        ("pending is a constant: no body assigns it",),
    )
    assert render(diagnostic, lambda *_: LOOP) == (
        "drivers/mine.py:41:15: E107 this loop never lets another thread run\n"
        "   41 |         while self.pending[page]:\n"
        "      |               ^^^^^^^^^^^^^^^^^^\n"
        "   why  Each round of a loop needs a step at which other threads may run; this\n"
        "        one only computes with its own locals.\n"
        "   fix  with self.lock:\n"
        "            wait_until(lambda: not self.pending[page])\n"
        "   note pending is a constant: no body assigns it\n"
        "   more mmunotify explain E107\n"
    )


def test_without_place() -> None:
    """An error of the command line has no excerpt; empty parts are left out."""
    diagnostic = Diagnostic("E301", None, "there is no file kmv.py", fix="did you mean kvm.py?")
    assert render(diagnostic, lambda *_: None) == (
        "E301 there is no file kmv.py\n"
        "   fix  did you mean kvm.py?\n"
        "   more mmunotify explain E301\n"
    )


def test_source_not_at_hand() -> None:
    """The place is named even if its line cannot be shown."""
    diagnostic = Diagnostic("E102", Place("<stdin>", 1, 1, 2), "no source")
    assert render(diagnostic, lambda *_: None).splitlines()[1] == "   more mmunotify explain E102"


def test_tabs_become_spaces() -> None:
    """Tab stops are 8 apart, as in the kernel; carets stand under what they mean."""
    assert marked(TABS, "seq\t== 1") == (
        "   41 |         if seq  == 1:\n"  # the tab after seq ends at column 16
        "      |            ^^^^^^^^^"
    )


def test_wide_characters_take_two_cells() -> None:
    """Carets count cells of the terminal, the place counts characters."""
    assert marked(WIDE, "self.表[頁]") == (
        "   41 |     頁 = self.表[頁] + last\n"
        "      |          ^^^^^^^^^^^"
    )  # fmt: skip
    place = Place.from_offsets("mine.py", 1, WIDE, len("    頁 = ".encode()), None)
    assert (place.column, place.end_column) == (9, len(WIDE))


def test_combining_characters_take_none() -> None:
    """An accent belongs to the letter before it."""
    assert marked("e\N{COMBINING ACUTE ACCENT}t = bad\n", "bad").endswith("|      ^^^")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_long_lines_are_cut_around_the_carets(width: int) -> None:
    """The excerpt is as wide as the terminal and the carets stand under their text."""
    source, carets = marked(LONG, "bad", width=width).splitlines()
    assert len(source) == width
    assert source[carets.index("^") : len(carets)] == "bad"
    assert source[8:11] == source[-3:] == "..."


def test_colour_adds_only_colour() -> None:
    """Without the escape sequences the coloured text is the plain one."""
    diagnostic = Diagnostic("E107", Place("mine.py", 41, 15, 33), "what", "why", "fix")
    coloured = render(diagnostic, lambda *_: LOOP, colour=True)
    for sequence in ("\033[1;31m", "\033[1m", "\033[36m", "\033[31m", "\033[0m"):
        assert sequence in coloured
        coloured = coloured.replace(sequence, "")
    assert coloured == render(diagnostic, lambda *_: LOOP)


def test_error_carries_all_in_reading_order(tmp_path: Path) -> None:
    """What is wrong in a file is reported at once, from its top to its end."""
    file = tmp_path / "mine.py"
    file.write_text("first\nsecond\n")
    late = Diagnostic("E104", Place(str(file), 2, 1, 7), "late")
    early = Diagnostic("E109", Place(str(file), 1, 1, 6), "early")
    error = pickle.loads(pickle.dumps(DiagnosticError([late, early])))
    assert error.diagnostics == [early, late]
    assert str(error) == f"{file}:1:1: E109 early\n{file}:2:1: E104 late"
    assert error.__mmunotify_report__.count("^\n") == 2
    assert cached_source_line(str(file), 2) == "second\n"
    assert cached_source_line(str(file), 3) is None


def test_exit_codes() -> None:
    """The codes scripts rely on."""
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 130]
