"""Every block of the pages is what it says: files are files, commands show what is printed."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest
from docs.blocks import Block, blocks, is_excerpt, matches
from docs.console import PAGES, ROOT, Shell, agrees, exchanges, transcript
from docs.generate import CORPUS, ERRORS, errors_page, renewed

LANGUAGES = {"python", "console", "text"}
# The examples of errors.md are parsed by tests/errors/test_codes.py, and here it is compared as a
# whole, as corpus.md is by tests/corpus/test_corpus.py.
GENERATED = {ERRORS, CORPUS}
WRITTEN = [page for page in PAGES if page not in GENERATED]

# Blocks that are not run: the page, how the block begins, and why.
NOT_RUN = {
    ("README.md", "make run "): "builds the environment that the tests run in; .ci/run does both",
    ("CONTRIBUTING.md", "make run "): "the same",
    ("live.md", "$ mmunotify doctor --matrix"): "depends on the machine; tests/cli runs it",
    ("live.md", "$ mmunotify live"): "addresses and times differ; tests/cli runs it",
    ("kernel.md", "$ mmunotify doctor"): "depends on the machine; tests/cli runs it",
    ("kernel.md", "$ mmunotify trace"): "needs KVM and perf events; tests/cli runs it",
    ("kernel.md", "title ="): "a case; tests/litmus reads and runs those that are shipped",
    ("kernel.md", "$ mmunotify litmus"): "needs KVM; tests/litmus runs it",
    ("interval-pass-left-open.md", "if (!hlist_empty"): "C of the kernel",
}

pages = pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)


def reason(block: Block) -> str:
    """Return why a text block is not run, or ""."""
    found = [
        why
        for (page, beginning), why in NOT_RUN.items()
        if page == block.page.name and block.text.lstrip().startswith(beginning)
    ]
    return found[0] if found else ""


@pages
def test_commands_show_what_is_printed(page: Path, tmp_path: Path) -> None:
    """A console block's output is that of its commands, where `...` stands for any lines."""
    wrong = [
        "\n".join([str(exchange), *lines])
        for exchange, lines in transcript(page, tmp_path)
        if not agrees(exchange, lines)
    ]
    assert not wrong, "\n\n".join([*wrong, "make docs writes the output of commands anew"])


@pages
def test_python_is_run(page: Path, tmp_path: Path) -> None:
    """A Python block is part of the file it names, a driver that is checked, or runs by itself."""
    found = blocks(page)
    typed = [one.command for b in found if b.language == "console" for one in exchanges(b)]
    for block in found:
        if block.language != "python":
            continue
        file = ROOT / block.name
        if block.name and file.exists():
            assert is_excerpt(block.body, file.read_text()), f"{block}: {block.name} differs"
        elif block.name:
            ast.parse(block.text)
            assert any(block.name in command for command in typed), f"{block}: never checked"
        else:
            script = tmp_path / f"line{block.line}.py"
            script.write_text(block.text)
            runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_languages(page: Path) -> None:
    """A block is Python, a terminal or text; one of text has a reason not to be run."""
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block}: {block.language!r}"
        if block.language == "text" and page not in GENERATED:
            assert reason(block), f"{block}: not run, and NOT_RUN does not say why"


def test_reasons_are_needed() -> None:
    """No reason is left of a block that is gone."""
    found = [b for page in WRITTEN for b in blocks(page) if b.language == "text"]
    for name, beginning in NOT_RUN:
        assert any(b.page.name == name and b.text.lstrip().startswith(beginning) for b in found), (
            f"{name}: no text block begins with {beginning!r}"
        )


def test_errors_page_is_fresh() -> None:
    """docs/errors.md is what mmunotify.codes says; `make docs` writes it."""
    assert ERRORS.read_text() == errors_page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the project names a file that is there, and a heading in it."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: no file {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: no heading {target}"


def anchors(page: Path) -> set[str]:
    """Return the names that code hosts give to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    """Prose fits into 100 columns, so that pages can be read in a terminal."""
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside and not line.startswith("|"):
            assert len(line) <= 100, f"{page.name}:{number}"


def test_elision() -> None:
    """`...` stands for any lines, also for none; what is around it has to be there."""
    lines = ["a", "b", "c", "b"]
    assert matches(lines, lines)
    assert matches(["a", "...", "b"], lines)
    assert matches(["...", "b", "c", "b", "..."], lines)
    assert matches(["...", "c", "..."], lines)
    assert not matches(["b", "..."], lines)
    assert not matches(["...", "c"], lines)
    assert not matches(["a", "...", "d", "...", "b"], lines)
    assert not matches(["a", "b", "c", "b", "...", "b"], lines)


def test_shortened_output_is_renewed() -> None:
    """`make docs` finds the lines that a page keeps, though numbers in them have changed."""
    printed = ["FAIL  x  a.py:8", "  12 steps", "", "  1  lock", "  9  free", "", "why   step 9"]
    kept = ["FAIL  x ...", "  11 steps", "...", "  8  free", "...", "why   step 8"]
    assert renewed(kept, printed) == [kept[0], printed[1], "...", printed[4], "...", printed[6]]
    assert renewed(["FAIL ...", "...", "  2  another statement"], printed) == []
    assert renewed(["anything"], printed) == printed


def test_wrong_output_is_found(tmp_path: Path) -> None:
    """What a command does not show is no match, whatever is normalised."""
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ mmunotify explain E302\nE302  the file defines a driver\n...\n```\n"
    )
    [exchange] = exchanges(blocks(page)[0])
    folder = tmp_path / "folder"
    folder.mkdir()
    assert not agrees(exchange, Shell(folder).run(exchange))
