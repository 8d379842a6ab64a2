"""Memory at known addresses."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from mmunotify.kernel.memory import PAGE, Memory, map_pages, read64, write64
from mmunotify.kernel.system_call import Syscall, system_call

HUGE = 1 << 21


def test_alignment_and_ends() -> None:
    """The memory begins where it was asked to and has the size that was asked for."""
    with Memory(3, align=HUGE) as memory:
        assert memory.start % HUGE == 0
        assert (memory.page(2), memory.end) == (memory.start + 2 * PAGE, memory.start + 3 * PAGE)


def test_words() -> None:
    """What is written is read."""
    with Memory(2) as memory:
        write64(memory.page(1) + 8, 2**64 - 2)
        assert (read64(memory.page(1) + 8), read64(memory.page(1))) == (2**64 - 2, 0)


def test_writing_reads_nothing() -> None:
    """A store maps a frame of its own at once, not the zero page first."""
    with Memory(1) as memory:
        write64(memory.start, 1)
        entry = Path("/proc/self/pagemap").open("rb")
        with entry:
            entry.seek(memory.start // PAGE * 8)
            assert int.from_bytes(entry.read(8), "little") >> 63  # present


def test_replacing_a_part_and_closing() -> None:
    """What is mapped over a part goes away with the rest."""
    memory = Memory(2)
    map_pages(PAGE, at=memory.page(1))
    memory.close()
    with pytest.raises(OSError, match="Cannot allocate memory"):
        system_call(Syscall.MADVISE, memory.start, 2 * PAGE, mmap.MADV_DONTNEED)
    memory.close()
