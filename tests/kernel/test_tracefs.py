"""Descriptions of tracepoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmunotify.errors import CannotError
from mmunotify.kernel.tracefs import Tracefs


@pytest.fixture
def tracefs() -> Tracefs:
    """The file system."""
    try:
        return Tracefs()
    except CannotError as error:
        pytest.skip(str(error))


def test_tracepoint(tracefs: Tracefs) -> None:
    """The fields of a tracepoint have places."""
    with tracefs:
        found = tracefs.tracepoint("sched", "sched_process_exit")
    assert found.number > 0
    assert found.fields["common_type"] == (0, 2)
    assert "pid" in found.fields


def test_unknown(tracefs: Tracefs) -> None:
    """One that does not exist is named."""
    with tracefs, pytest.raises(CannotError, match="no tracepoint kvm:no_such"):
        tracefs.tracepoint("kvm", "no_such")


def test_nothing_stays_mounted(tracefs: Tracefs) -> None:
    """Opening it adds no mount."""
    before = Path("/proc/self/mounts").read_text()
    Tracefs().close()
    tracefs.close()
    assert Path("/proc/self/mounts").read_text() == before
