"""`mmunotify claims`: one in full, some as JSON and as a page, bad numbers."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import is_one_error, mmunotify


def test_one_in_full() -> None:
    """The claim, its verdict, its evidence, and the interleaving of what is violated."""
    run = mmunotify("claims", "16")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("16  holds")
    assert "FAIL  no_stale_translation" in run.stdout
    assert "PASS  end_only.py" in run.stdout


def test_saved(tmp_path: Path) -> None:
    """JSON has the evidence, and the page embeds its interleavings."""
    page = tmp_path / "claims.html"
    run = mmunotify("claims", "2", "18", "16", "--json", "-", "--html", page, "--workers", "1")
    assert run.returncode == 0, run.stderr
    claims = json.loads(run.stdout)["claims"]
    assert [claim["number"] for claim in claims] == [2, 18, 16]
    assert claims[2]["evidence"][0]["replay"]
    text = page.read_text()
    assert text.count("<article") == 3
    assert text.count("<iframe") == 1
    assert "http://" not in text.replace("http://www.w3.org/", "")


def test_bad_input(tmp_path: Path) -> None:
    """An unknown number and a path that cannot be written are refused at once."""
    is_one_error(mmunotify("claims", "21"), "E304")
    is_one_error(mmunotify("claims", "--html", tmp_path / "no" / "page.html"), "E505")
