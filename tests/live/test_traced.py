"""A program whose threads stop before and after each memory operation."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.live.subject import as_nobody, unsanitized

from mmunotify.lang.page_range import Event
from mmunotify.live import HookError, MemoryRange
from mmunotify.live.traced import Attach, Traced

HEAD = """
import ctypes, mmap, os, signal, subprocess, sys, threading, time
SIZE = 16 * mmap.PAGESIZE
def memory(): return mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
"""
REWRITE = """
m = memory()
for _ in range(200):
    m[:3] = b"old"
    m.madvise(mmap.MADV_DONTNEED)
    m[:3] = b"new"
"""
THREADS = """
def work():
    for _ in range(50):
        m = memory()
        m[0] = 1
        m.close()
threads = [threading.Thread(target=work) for _ in range(4)]
for one in threads: one.start()
for one in threads: one.join()
"""


class Space:
    """One address space: what was told of it, and what its memory held meanwhile."""

    def __init__(self, process: int, name: str) -> None:
        self.process, self.name = process, name
        self.told: list[tuple[str, MemoryRange | None, bytes]] = []
        self.errors: list[HookError] = []

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        self.told.append(("start", rng, self.read(rng)))

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        self.told.append(("end", rng, self.read(rng)))

    def release(self) -> None:
        self.told.append(("release", None, Path(f"/proc/{self.process}/maps").read_bytes()[:1]))

    def gives_up(self, found: HookError) -> None:
        self.errors.append(found)

    def read(self, rng: MemoryRange) -> bytes:
        if rng.length != 16 << 12:
            return b""
        try:
            with Path(f"/proc/{self.process}/mem").open("rb", buffering=0) as memory:
                memory.seek(rng.address)
                return memory.read(3)
        except OSError:  # it is unmapped, or everything has gone
            return b""


def traced(source: str, attach: Attach, *, hook_timeout: float = 20.0, **popen: Any) -> Traced:
    """Run a program of Python to its end."""
    command = [sys.executable, "-c", HEAD + source]
    try:
        program = Traced(command, attach, hook_timeout=hook_timeout, **popen)
    except PermissionError as error:
        pytest.skip(f"ptrace is not permitted: {error}")
    program.run()
    return program


def run(source: str, **more: Any) -> tuple[list[Space], Traced]:
    """Run a program of Python; return what was told of each address space."""
    spaces: list[Space] = []

    def attach(process: int, name: str) -> Space:
        spaces.append(Space(process, name))
        return spaces[-1]

    return spaces, traced(source, attach, **more)


def require_sections(space: Space) -> None:
    """Each thread's sections begin and end in turn; the space is released once, at last."""
    open_: dict[int, list[MemoryRange]] = {}
    for what, rng, _ in space.told[:-1]:
        assert rng is not None
        mine = open_.setdefault(rng.thread, [])
        if what == "start":
            assert all(one.operation == rng.operation for one in mine)
            mine.append(rng)
        else:
            assert mine.pop() is rng
    assert not any(open_.values())
    assert space.told[-1][0] == "release"


def test_end_comes_before_the_program_goes_on() -> None:
    """The start hook sees what the operation drops, the end hook what it leaves, 200 times."""
    [space], program = run(REWRITE)
    assert program.status == 0
    seen = Counter(
        (what, data)
        for what, rng, data in space.told
        if rng is not None and rng.operation == "madvise" and data
    )
    assert seen == {("start", b"old"): 200, ("end", bytes(3)): 200}
    require_sections(space)
    assert space.told[-1][2] != b""  # its memory is there yet


@unsanitized
def test_threads() -> None:
    """Operations of several threads overlap; each thread's own do not."""
    [space], program = run(THREADS)
    assert program.status == 0
    require_sections(space)
    ours = [rng.thread for what, rng, _ in space.told if rng and what == "start" and rng.size == 16]
    assert sorted(Counter(ours).values())[-4:] == [50, 50, 50, 50]


def test_one_thread_waits_for_another() -> None:
    """A hook may wait for the end of a section of another thread, and it comes."""

    class Waiting(Space):
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            if rng.size == 16 and rng.operation == "munmap":
                while sum(what == "end" for what, _, _ in self.told) < ends[0]:
                    time.sleep(0.001)
            elif rng.size == 16:
                ends[0] = 1 + sum(what == "end" for what, _, _ in self.told)
                time.sleep(0.2)
            super().invalidate_range_start(rng)

    ends = [0]
    source = """
m, n = memory(), memory()
one = threading.Thread(target=lambda: m.madvise(mmap.MADV_DONTNEED))
one.start()
time.sleep(0.05)
n.close()
one.join()
"""
    spaces: list[Space] = []

    def attach(process: int, name: str) -> Space:
        spaces.append(Waiting(process, name))
        return spaces[-1]

    assert traced(source, attach).status == 0
    assert not spaces[0].errors
    require_sections(spaces[0])


def test_children() -> None:
    """fork makes memory that is told of apart; vfork none until it executes a program."""
    source = """
m = memory()
m[:3] = b"old"
if os.fork() == 0:
    m.madvise(mmap.MADV_DONTNEED)
    os._exit(0)
os.wait()
assert m[:3] == b"old"
subprocess.run(["/bin/true"])
"""
    spaces, program = run(source)
    assert program.status == 0
    parent, child, true = spaces
    assert len({space.process for space in spaces}) == len(program.processes) == 3
    assert true.name == "true"
    for space in spaces:
        require_sections(space)
    ours = [
        [r.operation for _, r, data in space.told if r and data == b"old" and space is not true]
        for space in spaces
    ]
    assert ours == [["munmap"], ["madvise"], []]  # the parent's when Python ends
    assert child.process != parent.process
    assert [rng.event for what, rng, _ in parent.told if rng and rng.operation == "fork"] == [
        Event.PROTECTION_PAGE
    ] * 2


def test_program_after_program() -> None:
    """exec releases the old memory, once, and tells of the new."""
    spaces, program = run("os.execv('/bin/true', ['true'])")
    assert program.status == 0
    assert [space.process for space in spaces] == [program.pid] * 2
    assert [what for what, _, _ in spaces[0].told].count("release") == 1
    require_sections(spaces[1])


def test_exec_by_another_thread() -> None:
    """It takes the place of the first thread, which ends in the middle of its life."""
    source = """
threading.Thread(target=lambda: os.execv('/bin/true', ['true'])).start()
while True:
    memory().close()
"""
    spaces, program = run(source)
    assert program.status == 0
    assert [what for what, _, _ in spaces[0].told].count("release") == 1
    require_sections(spaces[1])


def test_signals(tmp_path: Path) -> None:
    """They arrive; one that stops the program stops it until it is continued."""
    source = f"""
count = 0
def note(number, frame):
    global count
    count += 1
signal.signal(signal.SIGUSR1, note)
for _ in range(20):
    os.kill(os.getpid(), signal.SIGUSR1)
    memory().close()
assert count == 20
me = os.getpid()
if os.fork() == 0:
    state = ""
    while state != "T" and state != "t":
        state = open(f"/proc/{{me}}/stat").read().rpartition(")")[2].split()[0]
    time.sleep(0.05)
    still = open(f"/proc/{{me}}/stat").read().rpartition(")")[2].split()[0]
    open({str(tmp_path / "state")!r}, "w").write(still)
    os.kill(me, signal.SIGCONT)
    os._exit(0)
os.kill(me, signal.SIGSTOP)
os.wait()
memory().close()
os.kill(me, signal.SIGTERM)
"""
    _, program = run(source)
    assert program.status == -signal.SIGTERM
    assert (tmp_path / "state").read_text() in ("T", "t")


def test_killed_in_the_middle() -> None:
    """Its sections end, and it is released."""

    class Killing(Space):
        def invalidate_range_start(self, rng: MemoryRange) -> None:
            super().invalidate_range_start(rng)
            if rng.size == 16:
                os.kill(self.process, signal.SIGKILL)

        def release(self) -> None:
            self.told.append(("release", None, b""))

    spaces: list[Space] = []

    def attach(process: int, name: str) -> Space:
        spaces.append(Killing(process, name))
        return spaces[-1]

    assert traced("memory().close()", attach).status == -signal.SIGKILL
    require_sections(spaces[0])


@pytest.mark.parametrize("hook", ["invalidate_range_start", "invalidate_range_end", "release"])
def test_hook_that_never_returns(hook: str) -> None:
    """All threads go on after the time, and nothing more is told."""

    class Stuck(Space):
        pass

    def stuck(self: Space, *_: MemoryRange) -> None:
        self.told.append(("stuck", None, b""))
        while True:
            time.sleep(60)

    setattr(Stuck, hook, stuck)
    spaces: list[Space] = []

    def attach(process: int, name: str) -> Space:
        spaces.append(Stuck(process, name))
        return spaces[-1]

    assert traced(THREADS, attach, hook_timeout=0.2).status == 0
    [error] = spaces[0].errors
    assert isinstance(error.error, TimeoutError)
    assert error.hook == hook


def test_notifier_that_raises() -> None:
    """The program goes on; its space is given up."""

    class Raising(Space):
        def invalidate_range_end(self, rng: MemoryRange) -> None:
            raise RuntimeError("no")

    spaces: list[Space] = []

    def attach(process: int, name: str) -> Space:
        spaces.append(Raising(process, name))
        return spaces[-1]

    assert traced(THREADS, attach).status == 0
    assert [str(one.error) for one in spaces[0].errors] == ["no"]


def test_program_that_traces() -> None:
    """It is traced already, so it cannot; that is counted, and nothing else goes wrong."""
    source = """
libc = ctypes.CDLL(None)
assert libc.ptrace(0, 0, 0, 0) == -1
"""
    _, program = run(source)
    assert (program.status, program.debuggers) == (0, 1)


def test_without_privilege() -> None:
    """User nobody may do it, too."""
    outcome = as_nobody(
        """
        from tests.live.subject import become_nobody
        import mmap, os, signal
        from mmunotify.kernel.tracee import Event, Tracee
        from mmunotify.live.seccomp import described, install_filter

        become_nobody()
        waits, goes = os.pipe()
        child = os.fork()
        if child == 0:
            memory = mmap.mmap(-1, 1 << 16)
            os.read(waits, 1)
            install_filter(traced=True)
            memory.madvise(4)
            os._exit(7)
        tracee = Tracee.seize(child)
        os.write(goes, b"g")
        status = os.waitpid(child, 0)[1]
        call, ranges = described(*tracee.call(), child)
        print(status >> 16 == Event.SECCOMP, call.name, ranges[0][1] - ranges[0][0])
        tracee.go_on(to_end_of_call=True)
        status = os.waitpid(child, 0)[1]
        print(os.WSTOPSIG(status) == signal.SIGTRAP | 0x80)
        while os.WIFSTOPPED(status):
            tracee.go_on()
            status = os.waitpid(child, 0)[1]
        print(os.waitstatus_to_exitcode(status))
        """
    )
    assert outcome.output.split() == ["True", "madvise", "65536", "True", "7"], outcome
