"""Options and settings of all tests."""

from __future__ import annotations

import pytest
from hypothesis import settings

# A busy machine is no failure: time is measured in bench/, not in tests.
settings.register_profile("short", deadline=None)
settings.register_profile("long", deadline=None, max_examples=2000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--long`."""
    parser.addoption("--long", action="store_true", help="run the tests marked long, too")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known and choose how many examples hypothesis tries."""
    config.addinivalue_line("markers", "long: takes minutes; runs only with --long")
    settings.load_profile("long" if config.getoption("--long") else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked long unless asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="needs --long"))
