"""Attachers of every kind: those that let go, hold on, are stopped or dead."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest
from tests.live.attaching import Child, segment_of
from tests.live.raw import PAGE

from mmunotify import AddressSpace
from mmunotify.live.devices import Exporter
from mmunotify.live.devices.attacher import Attacher, DetachedError
from mmunotify.live.devices.exporter import Stuck


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
