"""The page table of another process, and faults of its pages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.live.raw import PAGE, PRIVATE, Memory
from tests.live.subject import as_nobody

from mmunotify.live.page_table import PageTable


def child() -> tuple[int, int]:
    """Fork; return the child and the end of a pipe: it goes away when that is closed."""
    waits, goes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(goes)
        os.read(waits, 1)
        os._exit(0)
    os.close(waits)
    return pid, goes


def test_faults_of_another_process() -> None:
    """A read makes a page present; a write makes it the process's own, and writes nothing."""
    memory = Memory(4, PRIVATE)
    memory.write(b"old")
    first = memory.address // PAGE
    pid, goes = child()
    try:
        table = PageTable(pid)
        assert table.lives()
        assert table.present(first, 4, files=False) == [first]
        shared = table.frame(first)
        if table.hides_frames:
            pytest.skip("frame numbers are hidden: needs CAP_SYS_ADMIN")
        assert shared == PageTable(os.getpid()).frame(first)
        assert table.frame_for(first, write=False) == shared
        assert table.frame_for(first, write=True) is None
        table.fault_in(first, write=True)
        own = table.frame_for(first, write=True)
        assert own not in (None, shared)
        with Path(f"/proc/{pid}/mem").open("rb") as file:
            file.seek(memory.address)
            assert file.read(3) == b"old"
        assert table.frame(first + 1) is None
        table.fault_in(first + 1, write=False)
        assert table.frame(first + 1) is not None
        assert list(table.populated(first, first + 4)) == [(first, 2)]
        table.fault_in(1, write=True)  # nothing is there
        assert table.frame(1) is None
    finally:
        os.close(goes)
        os.waitpid(pid, 0)
    assert table.frame(first) is None
    assert not table.lives()
    table.close()
    assert table.frame(first) is None


def test_hidden_frames() -> None:
    """A page that was gone is another one when it is back."""
    outcome = as_nobody(
        """
        from tests.live.subject import become_nobody
        import mmap, os
        from tests.live.raw import PAGE, PRIVATE, Memory, libc
        from mmunotify.live.page_table import PageTable

        become_nobody()
        memory = Memory(1, PRIVATE)
        memory.write(b"old")
        table = PageTable(os.getpid())
        page = memory.address // PAGE
        one = table.frame(page)
        same = table.frame(page)
        libc.madvise(memory.address, PAGE, 4)
        gone = table.frame(page)
        memory.write(b"new")
        print(table.hides_frames, one == same, gone, table.frame(page) != one)
        """
    )
    assert outcome.output.split() == ["True", "True", "None", "True"], outcome
