"""What the kernel's notifier tells, for real operations."""

from __future__ import annotations

import mmap
import os

from mmunotify.kernel.memory import PAGE, PROT_READ, Memory, write64
from mmunotify.kernel.notifications import Notification, Notifications
from mmunotify.kernel.system_call import Syscall, system_call


def pages(found: list[Notification], memory: Memory) -> list[tuple[int, int]]:
    """The page ranges of the invalidations."""
    return [
        ((one.start - memory.start) // PAGE, (one.end - memory.start) // PAGE)
        for one in found
        if one.kind == "unmap"
    ]


def test_ranges(notifications: Notifications, memory: Memory) -> None:
    """Each operation is reported with its own range, in order."""
    system_call(Syscall.MADVISE, memory.page(2), 3 * PAGE, mmap.MADV_DONTNEED)
    system_call(Syscall.MPROTECT, memory.page(8), PAGE, PROT_READ)
    found = notifications.take()
    assert pages(found, memory) == [(2, 5), (8, 9)]
    assert found[0].time <= found[1].time
    assert {one.pid for one in found if one.kind == "unmap"} == {os.getpid()}


def test_stacks(notifications: Notifications, memory: Memory) -> None:
    """The stack names the system call."""
    system_call(Syscall.MADVISE, memory.page(2), PAGE, mmap.MADV_DONTNEED)
    stack = next(one for one in notifications.take() if one.kind == "unmap").stack
    assert "__mmu_notifier_invalidate_range_start" in stack
    assert any("madvise" in name for name in stack)


def test_nothing_for_plain_access(notifications: Notifications, memory: Memory) -> None:
    """Reading and writing pages that are there invalidates nothing."""
    for number in range(16):
        write64(memory.page(number), number)
    assert pages(notifications.take(), memory) == []


def test_only_the_range_that_was_asked_for(notifications: Notifications) -> None:
    """Other memory of the process is not reported."""
    with Memory(4) as other:
        other.touch()
    assert [one for one in notifications.take() if one.kind == "unmap"] == []


def test_losses_are_counted(notifications: Notifications, memory: Memory) -> None:
    """A ring that is too small says how many it lost; none is lost silently."""
    with Notifications(memory.start, memory.end, aging=False, pages=1) as small:
        for _ in range(300):
            system_call(Syscall.MADVISE, memory.page(2), PAGE, mmap.MADV_DONTNEED)
        found = small.take()
        assert small.lost > 0
        assert len(found) + small.lost == 300
        system_call(Syscall.MADVISE, memory.page(2), PAGE, mmap.MADV_DONTNEED)
        assert len(small.take()) == 1
    assert small.lost == 300 - len(found)
