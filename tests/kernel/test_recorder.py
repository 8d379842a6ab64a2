"""From notifications to a trace."""

from __future__ import annotations

import os
from typing import cast

import pytest

from mmunotify.kernel import recorder as recorder_module
from mmunotify.kernel.memory import PAGE, Memory
from mmunotify.kernel.notifications import Notification, Notifications
from mmunotify.kernel.recorder import Recorder
from mmunotify.trace.lines import decode_lines, encode_lines
from mmunotify.trace.record import Notified

MUNMAP = ("unmap_vmas", "do_munmap")
KSM = ("write_protect_page", "try_to_merge_one_page", "ksm_do_scan")


class Script:
    """Notifications that are given instead of received."""

    lost = 7

    def __init__(self, *found: Notification) -> None:
        self.found = list(found)

    def take(self) -> list[Notification]:
        """Give them once."""
        found, self.found = self.found, []
        return found


def told(start: int, pid: int = os.getpid(), stack: tuple[str, ...] = MUNMAP) -> Notification:
    """One page was unmapped."""
    return Notification("unmap", start, start + PAGE, 2**62, 0, pid, pid, stack)


def recorder(*found: Notification, limit: int = 10, seen: list[Notified] | None = None) -> Recorder:
    """A recorder that is given these."""
    script = cast(Notifications, Script(*found))
    return Recorder(script, limit=limit, told=None if seen is None else seen.append)


def test_own_and_foreign() -> None:
    """What another thread did counts only if it can be about this process's memory."""
    with Memory(2) as memory:
        mine = told(memory.start)
        merged = told(memory.page(1), pid=1, stack=KSM)
        elsewhere = [told(memory.page(1), pid=1), told(16 * PAGE, pid=1, stack=KSM)]
        seen: list[Notified] = []
        subject = recorder(mine, merged, *elsewhere, seen=seen)
        subject.watch(os.getpid())
        subject.take()
        trace = subject.trace("me")
    assert [one.cause for one in trace.notified] == ["munmap", "KSM"]
    assert seen == trace.notified
    assert trace.activity is not None
    assert trace.activity.lost == 7
    assert trace.activity.stacks[:2] == [list(MUNMAP), list(KSM)]
    assert any(m.start <= memory.start < m.end for m in trace.mappings)


def test_several_vms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further VM of a process repeats a notification; two equal calls are two."""
    subject = recorder(*[told(PAGE)] * 4, told(2 * PAGE), told(2 * PAGE))
    monkeypatch.setattr(recorder_module, "vms_of", lambda pid: 2)
    subject.watch(os.getpid())
    subject.take()
    assert [one.start for one in subject.trace("me").notified] == [PAGE, PAGE, 2 * PAGE]


def test_vms_of_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a child has inherited reports the parent's memory, not the child's."""
    subject = recorder(*[told(PAGE)] * 2)
    monkeypatch.setattr(recorder_module, "vms_of", lambda pid: 3)
    subject.watch(os.getpid(), True)
    subject.take()
    assert len(subject.trace("me").notified) == 2


def test_limit() -> None:
    """What is not kept is counted."""
    subject = recorder(*[told(PAGE)] * 5, limit=2)
    subject.watch(os.getpid())
    subject.take()
    trace = subject.trace("me")
    assert trace.activity is not None
    assert (len(trace.notified), trace.activity.omitted[0].calls) == (2, 3)


def test_written_and_read() -> None:
    """The record survives its file."""
    subject = recorder(told(PAGE))
    subject.watch(os.getpid(), name="subject")
    subject.take()
    trace = subject.trace("me")
    assert trace.header.lanes[0].name == f"subject {os.getpid()}"
    assert decode_lines(b"".join(encode_lines(trace))) == trace


@pytest.mark.parametrize("name", ["", "given"])
def test_names(name: str) -> None:
    """A process has the name it was given, else the kernel's."""
    subject = recorder()
    subject.watch(os.getpid(), name=name)
    assert subject.lanes[0].name != f"process {os.getpid()}"
