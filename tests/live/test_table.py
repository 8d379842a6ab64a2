"""The interval table: what lookups find, and what invalidations leave."""

from __future__ import annotations

import random

import pytest

from mmunotify import _monitor

P = 4096


@pytest.fixture
def table() -> _monitor.Table:
    """A table of eight slots, with nothing that watches."""
    return _monitor.Table(_monitor.Space(), 8)


def keep(table: _monitor.Table, start: int, end: int) -> int:
    """Put pages into a table as a registration that nobody uses."""
    slot = table.reserve(start * P, end * P)
    assert table.commit(slot) == "done"
    assert not table.leave(slot)
    return slot


def found(table: _monitor.Table, start: int, end: int) -> int:
    """Look pages up and leave again."""
    slot = table.hit_range(start * P, end * P)
    if slot >= 0:
        table.leave(slot)
    return slot


def test_hit_and_miss(table: _monitor.Table) -> None:
    """What is covered whole is a hit."""
    slot = keep(table, 10, 20)
    assert found(table, 10, 20) == slot
    assert found(table, 12, 13) == slot
    assert found(table, 9, 11) == _monitor.MISS
    assert found(table, 19, 21) == _monitor.MISS
    assert found(table, 20, 21) == _monitor.MISS


def test_partial_invalidation_splits(table: _monitor.Table) -> None:
    """The parts on either side stay good, and the registration lives as long as any does."""
    slot = keep(table, 10, 20)
    table.invalidate(14 * P, 16 * P)
    assert found(table, 10, 14) == slot
    assert found(table, 16, 20) == slot
    assert found(table, 13, 15) == _monitor.MISS
    assert table.reap() == []
    table.invalidate(0, 14 * P)
    table.invalidate(16 * P, 100 * P)
    assert table.reap() == [slot]
    assert table.reap() == []


def test_whole() -> None:
    """Where a device has no use for parts, what loses one is dead, in use or not."""
    table = _monitor.Table(_monitor.Space(), 8, whole=True)
    slot, used = keep(table, 10, 20), keep(table, 20, 30)
    assert found(table, 12, 14) == slot, "a part is covered as ever"
    assert table.hit_range(22 * P, 23 * P) == used
    table.invalidate(19 * P, 21 * P)
    assert found(table, 10, 19) == found(table, 21, 30) == _monitor.MISS
    assert table.statistics()["bytes"] == 0
    assert table.reap() == [slot]
    assert table.leave(used)


def test_in_use_dies_with_the_last_user(table: _monitor.Table) -> None:
    """An invalidated registration is handed to the user who leaves last, and to nobody else."""
    slot = keep(table, 10, 20)
    assert table.hit_range(10 * P, 20 * P) == slot
    assert table.hit_range(10 * P, 11 * P) == slot
    table.invalidate(0, 100 * P)
    assert found(table, 10, 20) == _monitor.MISS
    assert table.reap() == []
    assert not table.leave(slot)
    assert table.leave(slot)
    table.forget(slot)
    assert table.statistics()["registrations"] == 0


def test_invalidation_while_registering(table: _monitor.Table) -> None:
    """What was invalidated between reserve and commit is not kept."""
    slot = table.reserve(10 * P, 20 * P)
    table.invalidate(19 * P, 21 * P)
    assert table.commit(slot) == "doomed"
    table.forget(slot)
    assert found(table, 10, 20) == _monitor.MISS


def test_open_section() -> None:
    """Nothing is kept over an open section."""
    space = _monitor.Space()
    table = _monitor.Table(space, 8)
    space.begin_unmap(15 * P, 16 * P)
    slot = table.reserve(10 * P, 20 * P)
    assert table.commit(slot) == "closed"
    space.end_unmap(15 * P, 16 * P)
    # What the device was asked for may have been the old pages: found by checking the model.
    assert table.commit(slot) == "closed"
    table.forget(slot)
    keep(table, 10, 20)


def test_bigger_one_takes_the_place(table: _monitor.Table) -> None:
    """A registration that covers others supersedes them; one that cuts across clashes."""
    inner = keep(table, 10, 12)
    assert table.joined(11 * P, 20 * P) == (10 * P, 20 * P)
    across = table.reserve(11 * P, 20 * P)
    assert table.commit(across) == "clash"
    table.forget(across)
    outer = keep(table, 10, 20)
    assert table.reap() == [inner]
    assert found(table, 10, 12) == outer


def test_second_chance(table: _monitor.Table) -> None:
    """The first that was not used since the hand passed goes first; those in use never."""
    slots = [keep(table, 10 * n, 10 * n + 1) for n in range(8)]
    assert table.reserve(P, 2 * P) == _monitor.FULL
    assert table.candidate() == slots[0]  # all were used once: the second time round
    held = table.hit_range(0, P)
    assert held == slots[0]
    victim = table.candidate()
    assert victim == slots[1]
    table.spare(victim)
    assert table.candidate() == slots[2]
    assert not table.evict(slots[0])
    assert table.evict(slots[2])
    assert found(table, 20, 21) == _monitor.MISS
    table.forget(slots[2])
    assert table.statistics()["evictions"] == 1
    assert table.reserve(P, 2 * P) == slots[2]


def test_generation_moves_on(table: _monitor.Table) -> None:
    """A slot that changes hands has another generation."""
    slot = keep(table, 10, 20)
    before = table.generation(slot)
    assert table.evict(slot)
    table.forget(slot)
    assert keep(table, 10, 20) == slot
    assert table.generation(slot) != before


def test_against_a_dictionary() -> None:
    """A thousand random steps: the table agrees with one entry a page."""
    rng = random.Random(20261125)
    table = _monitor.Table(_monitor.Space(), 64)
    pages: dict[int, int] = {}
    for _ in range(20_000):
        start = rng.randrange(60)
        end = start + rng.randrange(1, 12)
        if rng.random() < 0.5:
            start, end = (value // P for value in table.joined(start * P, end * P))
            slot = table.reserve(start * P, end * P)
            if slot == _monitor.FULL:
                victim = table.candidate()
                assert table.evict(victim)
                table.forget(victim)
                pages = {page: owner for page, owner in pages.items() if owner != victim}
                continue
            if table.commit(slot) == "done":
                pages |= dict.fromkeys(range(start, end), slot)
            table.leave(slot)
        else:
            table.invalidate(start * P, end * P)
            pages = {page: owner for page, owner in pages.items() if not start <= page < end}
        for slot in table.reap():
            assert slot not in pages.values()
            table.forget(slot)
        first = rng.randrange(70)
        last = first + rng.randrange(1, 4)
        owners = {pages.get(page) for page in range(first, last)}
        one = owners.pop() if len(owners) == 1 else None
        assert found(table, first, last) == (_monitor.MISS if one is None else one)
        assert table.statistics()["bytes"] == len(pages) * P
