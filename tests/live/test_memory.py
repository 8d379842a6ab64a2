"""From objects to addresses."""

from __future__ import annotations

import array
import mmap

import pytest

from mmunotify.errors import DiagnosticError
from mmunotify.lang.page_range import Event
from mmunotify.live.memory import PAGE_SIZE, Extent, MemoryRange, extent_of, pages_of


def test_objects_with_buffers() -> None:
    """mmap objects, arrays, memoryviews and bytes have an address and a length in bytes."""
    mapped = mmap.mmap(-1, 3 * PAGE_SIZE)
    extent = extent_of(mapped)
    assert extent.length == 3 * PAGE_SIZE
    assert extent.address % PAGE_SIZE == 0
    part = extent_of(memoryview(mapped)[10:20])
    assert part == Extent(extent.address + 10, 10)
    assert extent_of(array.array("d", [1.0, 2.0])).length == 16
    assert extent_of(b"some bytes").length == 10
    assert extent_of((PAGE_SIZE, 5)) == Extent(PAGE_SIZE, 5)


def test_numpy() -> None:
    """NumPy arrays work where they are contiguous."""
    numpy = pytest.importorskip("numpy", reason="NumPy is not installed")
    assert extent_of(numpy.zeros((4, 4))).length == 128
    with pytest.raises(DiagnosticError, match="E411"):
        extent_of(numpy.zeros((4, 4))[:, 1])


@pytest.mark.parametrize(
    "memory", [bytearray(4), b"", "text", object(), memoryview(b"0123")[::2], (0, 4), (4096, 0)]
)
def test_refused(memory: object) -> None:
    """What has no address to rely on."""
    with pytest.raises(DiagnosticError, match="E411"):
        extent_of(memory)


def test_pages() -> None:
    """An extent becomes the pages that it lies in."""
    assert pages_of(Extent(PAGE_SIZE + 1, 1)) == Extent(PAGE_SIZE, PAGE_SIZE)
    assert pages_of(Extent(PAGE_SIZE - 1, 2)) == Extent(0, 2 * PAGE_SIZE)


def test_range() -> None:
    """A range of real memory is a `PageRange`: pages are addresses divided by the page's size."""
    rng = MemoryRange.around(5 * PAGE_SIZE, 7 * PAGE_SIZE + 1, Event.CLEAR, "discard")
    assert list(rng) == [5, 6, 7]
    assert 6 in rng
    assert 8 not in rng
    assert (rng.address, rng.length) == (5 * PAGE_SIZE, 3 * PAGE_SIZE)
    assert (rng.event, rng.blockable, rng.operation) == (Event.CLEAR, True, "discard")
