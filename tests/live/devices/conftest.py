"""An address space, and the two sides of an attachment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.attaching import Child

from mmunotify import AddressSpace
from mmunotify.live.devices import Exporter
from mmunotify.live.devices.exporter import Stuck


@pytest.fixture
def mm() -> Iterator[AddressSpace]:
    """An address space with the default monitors."""
    with AddressSpace() as found:
        yield found


@pytest.fixture
def stuck() -> list[Stuck]:
    """What was reported."""
    return []


@pytest.fixture
def exporter(mm: AddressSpace, tmp_path: Path, stuck: list[Stuck]) -> Iterator[Exporter]:
    """The owner's side. The time for attachers is short for those that never let go."""
    with Exporter(mm, tmp_path / "socket", timeout=5.0, on_stuck=stuck.append) as found:
        yield found


@pytest.fixture
def child(exporter: Exporter) -> Iterator[Child]:
    """An attacher in another process."""
    found = Child(exporter.path)
    yield found
    found.close()
