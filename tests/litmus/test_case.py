"""Litmus cases as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmunotify.errors import DiagnosticError
from mmunotify.litmus.case import REFUSED, Statement, load, shipped

GOOD = """
init = "x = 1"
host = ["madvise_dontneed x; f = 1", "x = 3"]
guest = ["r0 = f; r1 = write x 2"]
exists = "r0 = 1 and r1 != refused"
"""


def written(tmp_path: Path, text: str) -> Path:
    """A file with this text."""
    (tmp_path / "case.toml").write_text(text)
    return tmp_path / "case.toml"


def test_good(tmp_path: Path) -> None:
    """Every part of a case is understood."""
    case = load(written(tmp_path, GOOD))
    assert case.name == "case"
    assert case.init == {"x": 1}
    assert case.host[0] == (
        Statement("operation", "x", name="madvise_dontneed"),
        Statement("write", "f", 1),
    )
    assert case.guest == (
        (Statement("read", "f", register="r0"), Statement("write", "x", 2, register="r1")),
    )
    assert (case.registers, case.flags) == (["r0", "r1"], ["f"])
    assert case.satisfied((1, 2))
    assert not case.satisfied((1, REFUSED))
    assert case.shown((1, REFUSED)) == "r0=1 r1=refused"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("init", "initial", "no key initial"),
        ('"x = 1"', '"z = 1"', "z = 1 is not of the form"),
        ("madvise_dontneed x", "madvise_dontned x", "no operation madvise_dontned"),
        ("r0 = f", "munmap x", "no statement of a guest thread"),
        ("r0 = f", "r1 = f", "written twice"),
        ("r0 = 1", "r7 = 1", "reads r7, which no thread writes"),
        ("r0 = 1", "r0 < 1", "is not of the form"),
        ("init =", "backing = 'disk'\ninit =", "backing is one of"),
        ('exists = "', "exists = ", "it is not TOML"),
        ('["r0', '[1, "r0', "lists of threads"),
    ],
)
def test_wrong(tmp_path: Path, old: str, new: str, what: str) -> None:
    """Each mistake is named."""
    with pytest.raises(DiagnosticError, match=what):
        load(written(tmp_path, GOOD.replace(old, new, 1)))


def test_missing(tmp_path: Path) -> None:
    """A file that is not there, and one without a condition."""
    with pytest.raises(DiagnosticError, match="cannot be read"):
        load(tmp_path / "none.toml")
    with pytest.raises(DiagnosticError, match="has no exists"):
        load(written(tmp_path, GOOD.replace("exists", "# exists")))


def test_shipped() -> None:
    """At least fifteen, each with a title and what the model says; two are detuned."""
    cases = shipped()
    assert len(cases) >= 15
    assert all(case.title and case.model for case in cases.values())
    assert [n for n, case in cases.items() if case.model == "Sometimes"] == [
        "dontneed-read-detuned",
        "mprotect-write-detuned",
    ]
