"""What kind of memory is at an address, and what follows from it."""

from __future__ import annotations

import pytest

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import DiagnosticError
from mmunotify.kernel.memory import PAGE
from mmunotify.kernel.segment import Segment
from mmunotify.live import AliasDevice
from mmunotify.live.mapping import mapping_at
from mmunotify.live.operations import Kind
from mmunotify.live.scratch import PRIVATE_FILE, scratch


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_kinds(kind: Kind) -> None:
    """Each kind is found out again."""
    with scratch(kind) as memory:
        found = mapping_at(memory.extent.address)
        assert found is not None
        assert (found.start, found.kind) == (memory.extent.address, kind)


def test_private_file() -> None:
    """A private mapping of a file is a file's."""
    with scratch(Kind.FILE, PRIVATE_FILE) as memory:
        found = mapping_at(memory.extent.address)
        assert found is not None
        assert found.kind is Kind.FILE


def test_a_segment_needs_leave() -> None:
    """Nobody hears of shmdt: after it a registration would lead to the pages of old."""
    segment = Segment(PAGE)
    span = segment.address, PAGE
    with AddressSpace() as mm:
        with RegistrationCache(mm, AliasDevice(), allow_uncovered=["madv_guard_install"]) as cache:
            with pytest.raises(DiagnosticError, match="would not tell it of shmdt"):
                cache.get(span)
        allowed = ["madv_guard_install", "shmdt"]
        with RegistrationCache(mm, AliasDevice(), allow_uncovered=allowed) as cache:
            cache.get(span).release()
    segment.detach(segment.address)
