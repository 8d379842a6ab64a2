"""What a process has, and had, at which address."""

from __future__ import annotations

import os

import pytest

from mmunotify.kernel import maps
from mmunotify.kernel.maps import Area, Maps
from mmunotify.kernel.memory import Memory


def test_this_process() -> None:
    """A mapping is found as long as it is there, and afterwards."""
    found = Maps(os.getpid())
    with Memory(4) as memory:
        found.look()
        area = found.find(memory.page(3))
        assert area is not None
        assert area[0] <= memory.start < memory.end <= area[1]
    found.look()
    assert found.find(memory.page(3)) is not None
    assert found.find(1) is None


def test_new_area_takes_the_place_of_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where areas overlap the later one counts; the rest of the old one stays."""
    looks: list[list[Area]] = [[(0, 100, "old")], [(20, 30, "new"), (50, 120, "other")]]
    monkeypatch.setattr(maps, "areas_of", lambda pid: looks.pop(0))
    found = Maps(1)
    found.look()
    found.look()
    assert list(found) == [
        (0, 20, "old"),
        (20, 30, "new"),
        (30, 50, "old"),
        (50, 120, "other"),
    ]


def test_process_that_has_gone() -> None:
    """Nothing happens."""
    found = Maps(2**22 + 1)
    found.look()
    assert list(found) == []
