"""The pytest plugin: a failed check is shown as its report, not as a traceback.

It stands beside the package and imports nothing of it, so that pytest starts as fast in projects
that do not use mmunotify. An exception takes part by carrying `__mmunotify_report__`, a text.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

__all__ = ["pytest_runtest_makereport"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the section "mmunotify" to the report of such a failure, and shorten its traceback."""
    report = yield
    if call.excinfo is None or not report.failed:
        return report
    text = getattr(call.excinfo.value, "__mmunotify_report__", None)
    if isinstance(text, str):
        report.sections.append(("mmunotify", text))
        report.longrepr = _in_the_test(item, call.excinfo)
    return report


def _in_the_test(item: pytest.Item, failure: pytest.ExceptionInfo[BaseException]) -> str:
    """Return the lines of the test's own file that led to the failure, and its name."""
    own = [entry for entry in failure.traceback if Path(entry.path) == item.path]
    lines = [
        f"{item.path.name}:{entry.lineno + 1}: {str(entry.statement).strip()}" for entry in own
    ]
    return "\n".join([*lines, failure.exconly()])
