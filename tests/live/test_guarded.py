"""What is reported of a hook that fails."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from mmunotify.live.guarded import HookError, print_hook_error


def failed() -> HookError:
    """Return the error of a hook that divided by 0."""
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError as error:
        return HookError(SimpleNamespace(), "release", None, error)


def test_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who, what and the traceback; with Python's own hook, which tests replace, too."""
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    print_hook_error(failed())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mmunotify: SimpleNamespace.release failed; the operation goes on"
    assert lines[-1] == "ZeroDivisionError: by zero"


def test_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised where nothing can be printed."""
    monkeypatch.setattr(sys, "stderr", None)
    print_hook_error(failed())
