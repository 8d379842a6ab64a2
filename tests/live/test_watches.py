"""Counting who watches what: the kernel is asked to stop only when nobody does."""

from __future__ import annotations

import random

from tests.live.raw import PAGE, PRIVATE, Memory

from mmunotify import _monitor


def watched(space: _monitor.Space, memory: Memory, page: int) -> bool:
    """Tell whether an operation on a page is reported."""
    space.drain()
    memory.advise(4, page, 1)
    space.settle()
    rows, _ = space.drain()
    return bool(rows)


def test_overlapping_watchers() -> None:
    """Each part is watched as long as somebody watches it."""
    space = _monitor.Space()
    monitor = _monitor.Userfaultfd(space)
    memory = Memory(12, PRIVATE)

    def span(first: int, last: int) -> tuple[int, int]:
        return memory.address + first * PAGE, memory.address + last * PAGE

    assert monitor.watch(*span(0, 8)) == 0
    assert monitor.watch(*span(4, 12)) == 0
    assert monitor.watch(*span(5, 6)) == 0
    monitor.unwatch(*span(0, 8))
    assert [watched(space, memory, page) for page in (1, 4, 11)] == [False, True, True]
    monitor.unwatch(*span(4, 12))
    assert [watched(space, memory, page) for page in (4, 5, 6)] == [False, True, False]
    monitor.unwatch(*span(5, 6))
    assert not watched(space, memory, 5)
    monitor.stop()


def test_random_watchers() -> None:
    """Against a count for every page."""
    rng = random.Random(20261125)
    space = _monitor.Space()
    monitor = _monitor.Userfaultfd(space)
    memory = Memory(32, PRIVATE)
    counts = [0] * 32
    held: list[tuple[int, int]] = []
    for _ in range(400):
        if held and rng.random() < 0.5:
            first, last = held.pop(rng.randrange(len(held)))
            monitor.unwatch(memory.address + first * PAGE, memory.address + last * PAGE)
            step = -1
        else:
            first = rng.randrange(31)
            last = rng.randrange(first + 1, 33)
            held.append((first, last))
            assert monitor.watch(memory.address + first * PAGE, memory.address + last * PAGE) == 0
            step = 1
        for page in range(first, last):
            counts[page] += step
        page = rng.randrange(32)
        assert watched(space, memory, page) == (counts[page] > 0)
    monitor.stop()
