"""The native monitor, with real operations by other means than mmunotify's own."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory, libc, raw
from tests.live.subject import as_nobody, run

from mmunotify import _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.live.memory import Extent
from mmunotify.live.monitors import Userfaultfd

MAYMOVE, DONTUNMAP = 1, 4
DONTNEED, FREE, REMOVE = 4, 8, 9


class Watched:
    """A table over memory that a userfaultfd watches."""

    def __init__(self) -> None:
        self.space = _monitor.Space()
        self.monitor = Userfaultfd()
        self.monitor.start(self.space)
        self.table = _monitor.Table(self.space, 64)

    def keep(self, memory: Memory) -> int:
        """Watch memory and put it into the table."""
        self.monitor.watch(Extent(*memory.span))
        while True:
            slot = self.table.reserve(memory.address, memory.end)
            if self.table.commit(slot) == "done":
                self.table.leave(slot)
                return slot
            # The report of an unmap of the same addresses, by another thread, came in between.
            self.table.forget(slot)

    def hit(self, memory: Memory, page: int = 0) -> bool:
        """Look one page up; wait while the gate is shut."""
        start = memory.address + page * PAGE
        while (slot := self.table.hit_range(start, start + PAGE)) == _monitor.BUSY:
            self.space.settle()
        if slot >= 0:
            self.table.leave(slot)
        return slot >= 0


@pytest.fixture
def watched() -> Iterator[Watched]:
    """A monitor that is stopped in the end."""
    found = Watched()
    yield found
    found.monitor.stop()


def shrink(memory: Memory) -> None:
    raw(libc.mremap(memory.address, memory.length, 4 * PAGE, 0, 0))


def move(memory: Memory) -> None:
    target = Memory(memory.pages)
    raw(libc.mremap(memory.address, memory.length, memory.length, 3, target.address))


def move_onto(memory: Memory) -> None:
    source = Memory(memory.pages)
    raw(libc.mremap(source.address, source.length, source.length, 3, memory.address))


def leave_mapped(memory: Memory) -> None:
    raw(libc.mremap(memory.address, memory.length, memory.length, MAYMOVE | DONTUNMAP, 0))


def map_over(memory: Memory) -> None:
    Memory(memory.pages, memory.flags, memory.address)


ANY: dict[str, Callable[[Memory], None]] = {
    "munmap": Memory.unmap,
    "munmap of a part": lambda memory: memory.unmap(4, 4),
    "mmap over it": map_over,
    "mremap away": move,
    "mremap onto it": move_onto,
    "mremap, leaving it mapped": leave_mapped,
    "MADV_DONTNEED": lambda memory: memory.advise(DONTNEED, 4, 4),
}


@pytest.mark.parametrize("flags", [SHARED, PRIVATE], ids=["shared", "private"])
@pytest.mark.parametrize("operation", ANY)
def test_lookup_after_the_operation_misses(watched: Watched, operation: str, flags: int) -> None:
    """Whatever was done, once it has returned no lookup of the pages finds anything."""
    memory = Memory(16, flags)
    memory.fill()
    watched.keep(memory)
    assert watched.hit(memory, 5)
    ANY[operation](memory)
    assert not watched.hit(memory, 5)


def test_shrinking(watched: Watched) -> None:
    """Only the tail is gone."""
    memory = Memory(16)
    watched.keep(memory)
    shrink(memory)
    assert not watched.hit(memory, 5)
    assert watched.hit(memory, 3)


def test_free_and_remove(watched: Watched) -> None:
    """MADV_FREE of private memory, MADV_REMOVE of shared memory."""
    for flags, advice in ((PRIVATE, FREE), (SHARED, REMOVE)):
        memory = Memory(16, flags)
        memory.fill()
        watched.keep(memory)
        memory.advise(advice, 4, 4)
        assert not watched.hit(memory, 5)
        assert watched.hit(memory, 3)


def test_files(watched: Watched, tmp_path: object) -> None:
    """Mappings of files are watched as well, shared ones and private ones."""
    path = f"{tmp_path}/file"
    with open(path, "w+b") as file:  # noqa: PTH123  a descriptor is what is needed
        file.truncate(16 * PAGE)
        for flags in (SHARED, PRIVATE):
            memory = Memory(16, flags, fd=file.fileno())
            watched.keep(memory)
            memory.unmap(2, 1)
            assert not watched.hit(memory, 2)
            assert watched.hit(memory, 3)


def test_process_madvise(watched: Watched) -> None:
    """`process_madvise(MADV_DONTNEED)`, which no library wraps, is heard."""
    memory = Memory(16, PRIVATE)
    memory.fill()
    watched.keep(memory)
    vector = ctypes.create_string_buffer(struct.pack("QQ", memory.address, PAGE))
    pidfd = os.pidfd_open(os.getpid())
    done = libc.syscall(440, pidfd, vector, ctypes.c_long(1), DONTNEED, 0)
    os.close(pidfd)
    if done != PAGE:
        pytest.skip("this kernel has no MADV_DONTNEED in process_madvise (since Linux 6.13)")
    assert not watched.hit(memory, 0)
    assert watched.hit(memory, 1)


def test_address_reused_before_the_event_is_read() -> None:
    """A mapping that another thread makes in the place of one half unmapped is no hit.

    The kernel has taken the old pages out and nobody may have read the event yet: the table then
    has the old registration still, and only the question to the kernel tells.
    """
    outcome = run(
        """
        import threading, time
        from tests.live.raw import Memory, PRIVATE, libc
        from mmunotify import _monitor
        from mmunotify.live.monitors import Userfaultfd
        from mmunotify.live.memory import Extent

        space = _monitor.Space(); monitor = Userfaultfd(); monitor.start(space)
        table = _monitor.Table(space, 8)
        memory = Memory(16, PRIVATE); memory.fill()
        monitor.watch(Extent(*memory.span))
        slot = table.reserve(*(memory.address, memory.end)); table.commit(slot); table.leave(slot)
        seen = []
        stop = threading.Event()
        def look():
            # Maps the address again as soon as it is free, and asks at once.
            while not stop.is_set():
                got = libc.mmap(memory.address, memory.length, 3, PRIVATE | 0x20 | 0x100000, -1, 0)
                if got == memory.address:
                    seen.append(table.hit_range(memory.address, memory.end))
                    return
        thread = threading.Thread(target=look); thread.start()
        time.sleep(0.01)
        memory.unmap()
        thread.join(10); stop.set()
        print(seen[0] < 0)
        """
    )
    assert outcome.output.strip() == "True", outcome


def test_without_privilege() -> None:
    """User nobody has the same reports but that of forks."""
    outcome = as_nobody(
        """
        import os
        from tests.live.raw import Memory, PRIVATE
        from tests.live.test_userfaultfd import ANY, Watched

        from tests.live.subject import become_nobody

        become_nobody()
        watched = Watched()
        assert watched.monitor.alive and not watched.monitor.hears_forks
        for operation in ANY.values():
            memory = Memory(16, PRIVATE)
            memory.fill()
            watched.keep(memory)
            assert watched.hit(memory, 5)
            operation(memory)
            assert not watched.hit(memory, 5)
        watched.monitor.stop()
        print("done")
        """
    )
    assert outcome.output == "done\n", outcome


def test_another_userfaultfd_has_it(watched: Watched) -> None:
    """EBUSY becomes a diagnostic that says who it may be."""
    memory = Memory()
    watched.keep(memory)
    other = Watched()
    with pytest.raises(DiagnosticError, match="E412 another userfaultfd watches"):
        other.keep(memory)
    other.monitor.stop()


def test_nothing_mapped(watched: Watched) -> None:
    """What is not mapped cannot be watched."""
    memory = Memory()
    memory.unmap()
    with pytest.raises(DiagnosticError, match=r"E412 .* cannot be watched"):
        watched.keep(memory)


def test_stopped_monitor_serves_no_hits(watched: Watched) -> None:
    """After stop nothing is believed, operations do not block, and nothing is left watched."""
    memory = Memory()
    watched.keep(memory)
    watched.monitor.stop()
    assert watched.table.hit_range(memory.address, memory.end) == _monitor.BLIND
    memory.unmap()
    other = Watched()  # not EBUSY
    again = Memory()
    other.keep(again)
    other.monitor.stop()


def test_descriptor_closed_behind_its_back() -> None:
    """`os.closerange`, as daemons do: no hit any more, and nothing blocks for long."""
    outcome = run(
        """
        import os, time
        from tests.live.raw import Memory
        from tests.live.test_userfaultfd import Watched

        watched = Watched()
        memory = Memory()
        watched.keep(memory)
        os.closerange(3, 100)
        print(watched.table.hit_range(memory.address, memory.end))
        memory.unmap()
        again = Memory()
        print(watched.table.hit_range(memory.address, memory.end))
        deadline = time.monotonic() + 10
        while watched.monitor.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        print(watched.space.dead)
        """
    )
    assert outcome.output.split() == [str(_monitor.BLIND), str(_monitor.BLIND), "True"], outcome


def test_discard_leaves_a_tombstone(watched: Watched) -> None:
    """A discard by hand runs on after its report: what is registered right after is not kept."""
    memory = Memory(16, PRIVATE)
    memory.fill()

    def commit() -> str:
        slot = watched.table.reserve(memory.address, memory.end)
        outcome = watched.table.commit(slot)
        if outcome == "done":
            watched.table.leave(slot)
        else:
            watched.table.forget(slot)
        return outcome

    deadline = time.monotonic() + 20
    soon = ""
    while soon != "closed" and time.monotonic() < deadline:  # it may have to wait for a CPU
        watched.keep(memory)
        memory.advise(DONTNEED)
        soon = commit()
    assert soon == "closed"
    while commit() == "closed" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert watched.hit(memory)


def test_every_event_counts_when_the_ring_is_full(watched: Watched) -> None:
    """The tables are brought up to date although nobody drains the events; that some are lost is
    told."""
    memory = Memory(1, PRIVATE)
    watched.monitor.watch(Extent(*memory.span))
    for _ in range(1100):
        memory.advise(DONTNEED)
    rows, lost = watched.space.drain()
    assert lost
    assert len(rows) == 256
    while rows:
        rows, lost = watched.space.drain()
        assert not lost


def test_threads_unmap_at_once(watched: Watched) -> None:
    """Four threads, each with its memory, each looks up what it has just unmapped."""
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(300):
            memory = Memory(4, PRIVATE)
            slot = watched.keep(memory)
            before = watched.table.generation(slot)
            memory.unmap()
            found = watched.table.hit_range(memory.address, memory.end)
            # Another thread may have got the address meanwhile, and registered it anew.
            if found == slot and watched.table.generation(slot) == before:
                wrong.append(number)
            if found >= 0:
                watched.table.leave(found)
            for slot in watched.table.reap():
                watched.table.forget(slot)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_child_by_exec_is_not_blocked(watched: Watched) -> None:
    """A program started while memory is watched starts and ends."""
    memory = Memory(16, PRIVATE)
    memory.fill()
    watched.keep(memory)
    assert subprocess.run(["/bin/true"], check=False, timeout=20).returncode == 0
    assert (
        subprocess.run(["/bin/true"], check=False, timeout=20, preexec_fn=os.getpid).returncode == 0
    )
    assert watched.hit(memory)
