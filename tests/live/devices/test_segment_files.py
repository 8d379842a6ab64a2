"""Files of exported memory: found where they are mapped, and given back when they are not."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.live.attaching import segment_of
from tests.live.raw import PAGE, SHARED, Memory, libc, raw

from mmunotify.live.devices import Exporter
from mmunotify.live.devices.segment_files import SegmentFiles

MAYMOVE_FIXED = 3


@pytest.fixture
def files() -> Iterator[SegmentFiles]:
    """Files, closed after the test."""
    found = SegmentFiles()
    yield found
    found.close()


def mapped(files: SegmentFiles, pages: int, address: int = 0) -> tuple[int, Memory]:
    """Map a new file, where we like."""
    file = files.open(pages * PAGE)
    memory = Memory(pages, SHARED, address, file)
    files.add(file, memory.address)
    return file, memory


def test_found_by_address(files: SegmentFiles) -> None:
    """A part of a file is where it is in it; what reaches beyond is no part."""
    file, memory = mapped(files, 4)
    assert files.at(memory.address, 4 * PAGE) == (file, 0)
    assert files.at(memory.address + PAGE, 2 * PAGE) == (file, PAGE)
    for address in (memory.address - PAGE, memory.end - PAGE):
        with pytest.raises(OSError, match="not memory that"):
            files.at(address, 2 * PAGE)
    memory.unmap()


def test_two_files_that_began_at_one_address(files: SegmentFiles) -> None:
    """The one that is left in part does not lose to the one that came to its first pages."""
    old, memory = mapped(files, 4)
    new, _ = mapped(files, 1, memory.address)
    assert files.at(memory.address, PAGE) == (new, 0)
    assert files.at(memory.address + PAGE, 3 * PAGE) == (old, PAGE)
    memory.unmap()
    files.sweep()
    for file in (old, new):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(file)


def test_moved(files: SegmentFiles) -> None:
    """Elsewhere it is not to be had, back again it is."""
    file, memory = mapped(files, 2)
    place = Memory(1, SHARED)
    raw(libc.mremap(memory.address, PAGE, PAGE, MAYMOVE_FIXED, place.address))
    for address in (memory.address, place.address):
        with pytest.raises(OSError, match="not memory that"):
            files.at(address, PAGE)
    raw(libc.mremap(place.address, PAGE, PAGE, MAYMOVE_FIXED, memory.address))
    assert files.at(memory.address, 2 * PAGE) == (file, 0)
    memory.unmap()


def test_what_cannot_be_exported(exporter: Exporter) -> None:
    """Only memory of a file of ours, and only where it is."""
    memory = exporter.allocate(4 * PAGE)
    whole = segment_of(exporter, memory)
    exporter.deregister(whole)
    half = exporter.register(whole.address + PAGE, PAGE)
    assert half.offset == PAGE
    exporter.deregister(half)
    other = Memory(1, SHARED)
    Memory(1, SHARED, whole.address)  # over the first page
    for address, length in (other.span, (whole.address, PAGE), (whole.address, whole.length)):
        with pytest.raises(OSError, match="not memory that"):
            exporter.register(address, length)
    exporter.deregister(exporter.register(whole.address + PAGE, 3 * PAGE))
