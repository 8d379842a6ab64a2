"""The form for a commit message."""

from __future__ import annotations

import pytest
from tests.report.samples import SAMPLES, nine_steps, passed

from mmunotify.report import render_commit

FAILURES = [name for name, make in SAMPLES.items() if make().trace]


@pytest.mark.parametrize("name", FAILURES)
def test_git_keeps_every_line(name: str) -> None:
    """No line is too wide, a comment, or the mark that ends a message."""
    for line in render_commit(SAMPLES[name]()).splitlines():
        assert len(line) <= 72
        assert not line.startswith(("#", "---", "diff ", "Index: "))


def test_only_the_slice_is_told_unless_asked() -> None:
    """Steps that do not matter are left out, and keep their numbers."""
    assert "nothing to zap" not in render_commit(nine_steps())
    assert "  3  nothing to zap" in render_commit(nine_steps(), all_steps=True)


def test_there_is_nothing_to_tell_of_a_pass() -> None:
    """Without a counterexample the text is empty."""
    assert render_commit(passed()) == ""
