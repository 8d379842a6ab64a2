"""Every code can be explained, with examples that are what they claim to be."""

from __future__ import annotations

import ast
import re

import pytest

from mmunotify.codes import CODES, Code, explain, similar

ALL = [pytest.param(code, id=code.code) for code in CODES.values()]


@pytest.mark.parametrize("code", ALL)
def test_complete(code: Code) -> None:
    """A title, an explanation and two different examples."""
    assert re.fullmatch(r"[EW][1-5]\d\d", code.code)
    assert code.title[0].islower()
    assert code.title[-1] not in ".!"
    assert len(code.title) <= 70
    assert len(code.text.split()) >= 20
    assert code.wrong != code.right
    for text in (code.title, code.text, code.wrong, code.right):
        assert text
        assert text == text.strip()


@pytest.mark.parametrize("code", ALL)
def test_examples_are_python(code: Code) -> None:
    """An example that is no command line parses, but for the wrong one of E101."""
    for example in (code.wrong, code.right):
        if example.startswith("$"):
            continue
        if code.code == "E101" and example == code.wrong:
            with pytest.raises(SyntaxError):
                ast.parse(example)
        else:
            ast.parse(_in_function(example))


@pytest.mark.parametrize("code", ALL)
def test_fits_on_a_screen(code: Code) -> None:
    """No line is wider than 100 columns, and the whole is one page."""
    lines = explain(code.code).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 45


def test_codes_are_in_order() -> None:
    """The table is sorted and its keys are the codes."""
    assert list(CODES) == sorted(CODES)
    assert all(key == code.code for key, code in CODES.items())


def test_explain() -> None:
    """The whole text of one code; small letters are accepted."""
    assert explain("e301") == EXPLAINED
    with pytest.raises(KeyError):
        explain("E999")


def test_similar() -> None:
    """A mistyped code finds its neighbours."""
    assert "E107" in similar("e1077")


def _in_function(example: str) -> str:
    """Put an example into a function, so that it may return."""
    lines = example.splitlines()
    return "\n".join(["def example():", *(f"    {line}" for line in lines)])


EXPLAINED = """\
E301  there is no such Python file

The argument of `mmunotify check` is the path of a file with Python source, or
FILE:Class for one class of it. The path does not exist, is a directory, cannot
be read, or the file is not text in Python's encoding.

wrong
    $ mmunotify check kvm

right
    $ mmunotify check src/mmunotify/drivers/kvm.py
"""
