"""2.6.27: registration never falls inside a section; leaving came too early."""

from __future__ import annotations

import pytest
from tests.protocols.under import HOLDS, told, under


def test_order() -> None:
    assert told("take_all_locks", "munmap") == [
        "first start",
        "second start",
        "first end",
        "second end",
    ]
    off = ["first release, off the list", "second release, off the list"]
    assert told("take_all_locks", "exit") == off
    assert told("take_all_locks_repaired", "exit") == [e.replace("off", "on") for e in off]


@pytest.mark.parametrize("name", ["munmap/register", "punch_hole/register", "cow/register"])
def test_no_end_without_its_start(name: str) -> None:
    """T4: what the replay of #v10 cannot prevent, all the locks of the mm do."""
    assert under("take_all_locks", name) == HOLDS


@pytest.mark.parametrize("name", ["munmap/unregister", "punch_hole+exit"])
def test_release_comes_too_late(name: str) -> None:
    """The page is freed between the unlinking and the release."""
    assert under("take_all_locks", name).startswith("no_stale_translation")
    assert under("take_all_locks_repaired", name) == HOLDS


@pytest.mark.parametrize("name", ["munmap", "reclaim/2 drivers", "exit/unregister"])
def test_repaired(name: str) -> None:
    assert under("take_all_locks_repaired", name) == HOLDS
