"""What the pages list is what the code has: nothing missing, nothing that is not there."""

from __future__ import annotations

import argparse
import inspect
import re
from importlib import resources

import pytest
from docs.console import ROOT

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.options import Options
from mmunotify.check.subject import load
from mmunotify.cli import check as check_verb
from mmunotify.errors import Exit
from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import Event
from mmunotify.primary import OPERATIONS
from mmunotify.protocols import PROTOCOLS
from mmunotify.terms import PROPERTIES


def page(name: str) -> str:
    """Return the text of a page of docs/."""
    return (ROOT / "docs" / name).read_text()


def rows(text: str, heading: str) -> list[str]:
    """Return what stands first in the rows of the table below a heading, without marks."""
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| *`([^`]+)`", part, flags=re.MULTILINE)
    return [cell.partition("(")[0] for cell in cells]


def test_hooks() -> None:
    """drivers.md describes every method of `Driver`."""
    hooks = [n for n, f in vars(Driver).items() if inspect.isfunction(f) and not n.startswith("_")]
    assert rows(page("drivers.md"), "Hooks") == hooks


def test_properties() -> None:
    """drivers.md describes every property, in the order of reports."""
    assert rows(page("drivers.md"), "Properties") == list(PROPERTIES)


def test_what_nothing_raises() -> None:
    """drivers.md says of a property that nothing raises it exactly where that is so."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "native").rglob("*.cpp")]
    code = "".join(path.read_text() for path in files if path.name != "terms.py")
    for row in page("drivers.md").splitlines():
        name = re.match(r"\| `(\w+)` \|", row)
        if name and name[1] in PROPERTIES:
            silent = f'"{name[1]}"' not in code
            assert silent == ("nothing raises it yet" in row), row


def test_operations() -> None:
    """pass.md describes every operation with its kernel function."""
    text = page("pass.md")
    assert rows(text, "Operations") == list(OPERATIONS)
    for operation in OPERATIONS.values():
        assert f"`{operation.function}`" in text


def test_protocols() -> None:
    """pass.md names every protocol."""
    for name in PROTOCOLS:
        assert f"`{name}`" in page("pass.md")


def test_events() -> None:
    """drivers.md names every event of a range."""
    for event in Event:
        assert f"`{event.name}`" in page("drivers.md")


def test_exit_codes() -> None:
    """reports.md has every exit code and its meaning."""
    found = rows(page("reports.md"), "Exit codes")
    assert found == [str(int(code)) for code in Exit]


def test_options() -> None:
    """reports.md describes every option of check, and no other."""
    parser = argparse.ArgumentParser(add_help=False)
    check_verb.add_arguments(parser)
    # Each row names the option and its value: `--pages N`.
    found = [row.partition(" ")[0] for row in rows(page("reports.md"), "Options")]
    assert found == [a.option_strings[0] for a in parser._actions if a.option_strings]


def test_keys() -> None:
    """reports.md names every key of the HTML page."""
    script = (resources.files("mmunotify.report") / "page.js").read_text()
    handler = script.split("onKey(event) {")[1].split("[event.key]")[0]
    for key in re.findall(r"(\w+): (?:at|0|last)", handler):
        assert f"`{key}`" in page("reports.md"), key


@pytest.mark.long
def test_the_last_stage_holds() -> None:
    """tutorial.md ends with a driver that passes every standard scenario."""
    from mmunotify.check.run import run

    [subject] = load(str(ROOT / "examples/tutorial/stage6_release.py"))
    result = run(subject)
    assert result.verdict == "HOLDS"
    assert len(result.scenarios) == len(chosen_scenarios(subject, Options()))
