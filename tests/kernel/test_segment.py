"""System V's shared memory."""

from __future__ import annotations

from pathlib import Path

from mmunotify.kernel.memory import PAGE, Memory, read64, write64
from mmunotify.kernel.segment import Segment


def segments() -> int:
    """How many there are in the system."""
    return len(Path("/proc/sysvipc/shm").read_text().splitlines())


def test_one_memory() -> None:
    """What is attached twice is the same memory, and with the last one it is gone."""
    before = segments()
    segment = Segment(4 * PAGE)
    again = segment.attach()
    write64(segment.address, 7)
    assert read64(again) == 7
    segment.detach(again)
    assert segments() == before + 1
    segment.detach(segment.address)
    assert segments() == before


def test_over_others() -> None:
    """It takes the place of what is mapped there."""
    with Memory(4) as memory:
        memory.touch(5)
        segment = Segment(2 * PAGE, at=memory.page(1))
        assert segment.address == memory.page(1)
        assert [memory.read(page) for page in range(4)] == [5, 0, 0, 5]
