"""Attachments of real processes: an unmap is complete when they have let go."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.raw import PAGE, SHARED, Memory
from tests.live.side_by_side import side_by_side

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.lang.page_range import Event
from mmunotify.live.devices import Exporter
from mmunotify.live.devices.attachment import Attacher, DetachedError, Segment, Stuck
from mmunotify.live.memory import Extent

DONTNEED = 4
STEPS = pytest.mark.parametrize(
    "steps", [10_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["short", "long"]
)
NAME = "mmunotify-segment"
DESCRIPTORS = Path("/proc/self/fd")

CHILD = """
import contextlib, json, mmap, os, sys
from mmunotify.live.devices.attachment import Attacher, DetachedError

def do(verb, token, text):
    if verb == "hold":
        held.enter_context(attacher.attach(token).use())
    elif verb == "release":
        held.close()
    elif verb == "detach":
        attacher.attach(token).detach()
    elif verb == "raw":  # past the protocol: only the file
        fd = os.open(text, os.O_RDWR)
        raw.append(mmap.mmap(fd, mmap.PAGESIZE))
        os.close(fd)
    elif verb == "read raw":
        return raw[-1][:8].decode()
    elif verb == "fork":
        if os.fork() == 0:
            names = open("/proc/self/maps").read()
            os._exit("mmunotify-segment" in names)
        return os.waitstatus_to_exitcode(os.wait()[1])
    else:
        with attacher.attach(token).use() as view:
            if verb == "write":
                view[:8] = text.encode()
            return bytes(view[:8]).decode()
    return ""

raw = []
with Attacher(sys.argv[1]) as attacher, contextlib.ExitStack() as held:
    for line in sys.stdin:
        try:
            answer = do(*json.loads(line))
        except DetachedError:
            answer = None
        print(json.dumps(answer), flush=True)
"""


class Child:
    """A process with an `Attacher`, told what to do."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, verb: str, token: int = 0, text: str = "") -> Any:
        """Have it do something; None if the segment is not to be had."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([verb, token, text]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def mapped(self) -> int:
        """How many segments the kernel says it has mapped."""
        return Path(f"/proc/{self.process.pid}/maps").read_text().count(NAME)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


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


def segment_of(exporter: Exporter, memory: mmap.mmap) -> Segment:
    """Export all of some memory."""
    return exporter.register(ctypes.addressof(ctypes.c_char.from_buffer(memory)), len(memory))


def test_both_sides_see_the_same(exporter: Exporter, child: Child) -> None:
    """The pages are one."""
    memory = exporter.allocate(PAGE)
    segment = segment_of(exporter, memory)
    memory[:8] = b"of owner"
    assert child.ask("read", segment.token) == "of owner"
    assert child.mapped() == 1
    assert child.ask("write", segment.token, "of child") == "of child"
    assert memory[:8] == b"of child"
    assert child.ask("detach", segment.token) == ""
    assert child.mapped() == 0
    assert child.ask("read", segment.token) == "of child", "it can be attached again"
    assert child.ask("read", segment.token + 1) is None


def test_stale_without_the_notifier(exporter: Exporter, child: Child) -> None:
    """The bug: other memory is at the address, and the attacher has the old one."""
    memory = Memory(1, SHARED, 0, fd := os.memfd_create("raw"))
    os.truncate(fd, PAGE)
    memory.write(b"old page")
    child.ask("raw", 0, f"/proc/{os.getpid()}/fd/{fd}")
    memory.unmap()
    os.truncate(fd, PAGE)
    again = Memory(1, SHARED, memory.address)
    again.write(b"new page")
    assert child.ask("read raw") == "old page"
    again.unmap()
    os.close(fd)


def test_right_with_the_cache(mm: AddressSpace, exporter: Exporter, child: Child) -> None:
    """The same with a cache: the old token is refused, and a lookup gives the new one."""
    with RegistrationCache(mm, exporter) as cache:
        tokens = []
        for text in ("old page", "new page"):
            memory = exporter.allocate(PAGE)
            memory[:8] = text.encode()
            with cache.get(memory) as registration:
                tokens.append(registration.key.token)
                assert child.ask("read", tokens[-1]) == text
            mm.unmap(memory)
            assert child.mapped() == 0
            assert child.ask("read", tokens[-1]) is None
        assert tokens[0] != tokens[1]


def test_right_after_a_part_has_gone(mm: AddressSpace, exporter: Exporter, child: Child) -> None:
    """The rest has a token of its own: the old one is refused."""
    with RegistrationCache(mm, exporter) as cache:
        memory = exporter.allocate(2 * PAGE)
        memory[:8] = b"is there"
        with cache.get(memory) as registration:
            address, old = registration.extent.address, registration.key.token
            assert child.ask("read", old) == "is there"
        mm.unmap((address + PAGE, PAGE))
        assert child.ask("read", old) is None
        with cache.get((address, PAGE)) as registration:
            assert child.ask("read", registration.key.token) == "is there"


def test_unmap_waits(
    mm: AddressSpace, exporter: Exporter, child: Child, stuck: list[Stuck]
) -> None:
    """While an attacher uses the memory the unmap is not over; then it is, at once."""
    memory = exporter.allocate(PAGE)
    segment = segment_of(exporter, memory)
    address = segment.address
    assert child.ask("hold", segment.token) == ""
    done = threading.Event()

    def unmap() -> None:
        mm.unmap(memory)
        done.set()

    thread = threading.Thread(target=unmap)
    thread.start()
    while child.ask("read", segment.token) is not None:  # until it has been told
        pass
    assert not done.wait(0.2)
    assert child.mapped() == 1
    assert f"{address:x}-" in Path("/proc/self/maps").read_text(), "not even begun"
    assert child.ask("release") == ""
    thread.join(60)
    assert done.is_set()
    assert child.mapped() == 0
    assert not stuck


def test_stopped_attacher(mm: AddressSpace, tmp_path: Path) -> None:
    """One that does not answer is waited for, for so long; then it is reported, with all it has."""
    stuck: list[Stuck] = []
    with Exporter(mm, tmp_path / "short", timeout=0.3, on_stuck=stuck.append) as exporter:
        memories = [exporter.allocate(PAGE) for _ in range(2)]
        segments = [segment_of(exporter, memory) for memory in memories]
        with contextlib.closing(Child(exporter.path)) as child:
            memories[0][:8] = b"old page"
            for segment in segments:
                assert child.ask("read", segment.token) is not None
            child.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, child.process.pid, os.WSTOPPED)  # every thread of it
            mm.unmap(memories[0])
            pid = child.process.pid
            expected = {Stuck(pid, segment.token, 0.3) for segment in segments}
            assert set(stuck) == expected
            assert str(pid) in str(stuck[0])
            assert child.mapped() == 2, "the pages stay as long as somebody has them"
            mm.unmap(memories[1])
            assert len(stuck) == 2, "it was reported already"
            child.process.send_signal(signal.SIGCONT)
            while child.ask("read", segments[0].token) is not None:  # until it has noticed
                pass
            assert child.mapped() == 0, "cut off, it lets go as soon as it runs"


def test_attacher_that_holds_on(mm: AddressSpace, tmp_path: Path) -> None:
    """One that runs but does not let go is reported as well."""
    stuck: list[Stuck] = []
    with Exporter(mm, tmp_path / "short", timeout=0.3, on_stuck=stuck.append) as exporter:
        memory = exporter.allocate(PAGE)
        segment = segment_of(exporter, memory)
        with contextlib.closing(Child(exporter.path)) as child:
            child.ask("hold", segment.token)
            mm.unmap(memory)
            assert stuck == [Stuck(child.process.pid, segment.token, 0.3)]


def test_dead_attacher(
    mm: AddressSpace, exporter: Exporter, child: Child, stuck: list[Stuck]
) -> None:
    """One that dies has let go: nobody waits for it."""
    memory = exporter.allocate(PAGE)
    segment = segment_of(exporter, memory)
    assert child.ask("hold", segment.token) == ""
    thread = threading.Thread(target=mm.unmap, args=[memory])
    thread.start()
    while child.ask("read", segment.token) is not None:
        pass
    child.process.kill()
    thread.join(60)
    assert not thread.is_alive()
    assert not stuck


def test_child_of_an_attacher(exporter: Exporter, child: Child) -> None:
    """A child of it, of which nobody knows, has nothing mapped."""
    memory = exporter.allocate(PAGE)
    segment = segment_of(exporter, memory)
    assert child.ask("hold", segment.token) == ""
    assert child.ask("fork") == 0


def test_unmap_by_others(mm: AddressSpace, exporter: Exporter, child: Child) -> None:
    """An unmap that does not go through the address space: attachers let go after it."""
    memory = exporter.allocate(2 * PAGE)
    segment = segment_of(exporter, memory)
    assert child.ask("read", segment.token) is not None
    memory.resize(2 * PAGE)  # no export of the buffer is left
    memory.close()
    mm.poll()
    assert child.mapped() == 0
    assert child.ask("read", segment.token) is None


def test_unmap_that_is_none(mm: AddressSpace, exporter: Exporter, child: Child) -> None:
    """A report of what is over lets attachers go; then the memory can be attached again."""
    memory = exporter.allocate(PAGE)
    segment = segment_of(exporter, memory)
    memory[:8] = b"of owner"
    assert child.ask("read", segment.token) == "of owner"
    with mm._section(Extent(segment.address, PAGE), Event.UNMAP, "munmap"):
        assert child.mapped() == 0
        assert child.ask("read", segment.token) is None
    assert child.ask("read", segment.token) == "of owner"


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


def test_one_process(mm: AddressSpace, exporter: Exporter) -> None:
    """Both sides can be in one process; the block is over before the memory goes."""
    memory = exporter.allocate(PAGE)
    segment = segment_of(exporter, memory)
    with Attacher(exporter.path) as attacher:
        attachment = attacher.attach(segment.token)
        assert attacher.attach(segment.token) is attachment
        with attachment.use() as view:
            view[:3] = b"new"
        assert memory[:3] == b"new"
        mm.unmap(memory)
        assert not attachment.attached
        with pytest.raises(DetachedError, match="taken back"), attachment.use():
            pass
        attachment.detach()


class Memories:
    """Memories of the owner, written and replaced at random, and read by attachers."""

    def __init__(
        self, cache: RegistrationCache, exporter: Exporter, children: list[Child], seed: int
    ) -> None:
        self.cache, self.exporter, self.children = cache, exporter, children
        self.dice = random.Random(seed)
        self.memories = [exporter.allocate(PAGE) for _ in range(4)]
        self.stale = self.reads = self.unmaps = 0

    def step(self) -> None:
        """Do one thing."""
        at, chance = self.dice.randrange(4), self.dice.random()
        child = self.dice.choice(self.children)
        if chance < 0.5:
            self.read(at, child, "read", "")
        elif chance < 0.6:
            self.read(at, child, "write", self.text())
        elif chance < 0.8:
            self.memories[at][:8] = self.text().encode()
        else:
            self.replace(at)

    def text(self) -> str:
        """Eight characters."""
        return f"{self.dice.getrandbits(32):08x}"

    def read(self, at: int, child: Child, verb: str, text: str) -> None:
        """Compare what a child sees with what the owner sees."""
        self.reads += 1
        for _ in range(1_000):
            with self.cache.get(self.memories[at]) as registration:
                found = child.ask(verb, registration.key.token, text)
                seen = self.memories[at][:8].decode()
            if found is not None:
                self.stale += found != seen or found != (text or seen)
                return
            # Somebody is told now of what happened to the addresses before.
        raise AssertionError("the memory is never to be had")

    def replace(self, at: int) -> None:
        """Unmap, through the address space or past it, and map again: at the same address."""
        self.unmaps += 1
        with self.cache.get(self.memories[at]) as registration:
            token = registration.key.token
        if self.dice.random() < 0.7:
            self.cache.mm.unmap(self.memories[at])
            if any(child.ask("read", token) is not None for child in self.children):
                self.stale += 1
        else:
            self.memories[at].close()
        self.memories[at] = self.exporter.allocate(PAGE)
        self.memories[at][:8] = self.text().encode()


@STEPS
def test_random_steps(mm: AddressSpace, tmp_path: Path, steps: int) -> None:
    """Random steps with two processes: nobody sees old bytes, and nothing is left."""
    gc.collect()
    mm.start_dispatcher()  # it has descriptors of its own
    before = len(list(DESCRIPTORS.iterdir()))
    stuck: list[Stuck] = []
    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(Exporter(mm, tmp_path / "s", on_stuck=stuck.append))
        children = [stack.enter_context(contextlib.closing(Child(exporter.path))) for _ in range(2)]
        cache = stack.enter_context(RegistrationCache(mm, exporter))
        memories = Memories(cache, exporter, children, 20080402)
        for _ in range(steps):
            memories.step()
        assert memories.stale == 0
        assert memories.reads > steps // 2
        assert memories.unmaps > steps // 8
        for memory in memories.memories:
            mm.unmap(memory)
        mm.poll()
        assert cache.statistics().registrations == 0
        assert [child.mapped() for child in children] == [0, 0]
        assert not stuck
    assert not [t for t in threading.enumerate() if t.name == "mmunotify-export"]
    assert not exporter.path.exists()
    assert len(list(DESCRIPTORS.iterdir())) == before


@STEPS
def test_threads(mm: AddressSpace, tmp_path: Path, steps: int) -> None:
    """Three threads with an attacher each, which take each other's addresses, and one cache."""
    gc.collect()
    mm.start_dispatcher()
    before = len(list(DESCRIPTORS.iterdir()))
    stuck: list[Stuck] = []
    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(
            Exporter(mm, tmp_path / "s", timeout=60, on_stuck=stuck.append)
        )
        children = [stack.enter_context(contextlib.closing(Child(exporter.path))) for _ in range(3)]
        cache = stack.enter_context(RegistrationCache(mm, exporter))
        everything = [
            Memories(cache, exporter, [child], seed) for seed, child in enumerate(children)
        ]
        side_by_side([one.step for one in everything], steps // 3)
        assert sum(one.stale for one in everything) == 0
        assert sum(one.reads for one in everything) > steps // 2
        assert sum(one.unmaps for one in everything) > steps // 8
        for memory in [memory for one in everything for memory in one.memories]:
            mm.unmap(memory)
        mm.poll()
        assert cache.statistics().registrations == 0
        assert [child.mapped() for child in children] == [0, 0, 0]
        assert not stuck
    assert len(list(DESCRIPTORS.iterdir())) == before
