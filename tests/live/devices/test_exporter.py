"""Memory that real processes attach: an unmap is complete when they have let go."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import threading
from pathlib import Path

import pytest
from tests.live.attaching import Child, segment_of
from tests.live.raw import PAGE, SHARED, Memory
from tests.live.side_by_side import side_by_side

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.lang.page_range import Event
from mmunotify.live.devices import Attacher, Exporter
from mmunotify.live.devices.exporter import Stuck
from mmunotify.live.memory import Extent

STEPS = pytest.mark.parametrize(
    "steps", [10_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["short", "long"]
)
DESCRIPTORS = Path("/proc/self/fd")


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


def test_closed_while_one_connects(mm: AddressSpace, tmp_path: Path) -> None:
    """Whoever is accepted at that moment is cut off as well, and no thread is left."""
    for turn in range(300):
        exporter = Exporter(mm, tmp_path / str(turn))
        attacher = Attacher(exporter.path)
        exporter.close()
        attacher.close()
        assert not exporter._peers
    assert not [t for t in threading.enumerate() if t.name == "mmunotify-export"]


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
