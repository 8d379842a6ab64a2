"""Which cells are locks, and where they are held."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.reduce.builder import FREE, Code, Programs

from mmunotify.compile.reduce import cfg, liveness, locks
from mmunotify.compile.reduce.cfg import Flow
from mmunotify.compile.reduce.locks import Locks
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind

Extra = Callable[[Programs, Code, int], None]


def analysed(b: Programs) -> tuple[Flow, Locks]:
    flow = cfg.build(b.build())
    lives = [liveness.analyse(flow, t) for t in range(len(flow.graphs))]
    return flow, locks.analyse(flow, lives)


def section(t: Code, lock: int) -> None:
    t.step()
    t.acquire(lock, t.number)
    t.step()
    t.release(lock, t.number)
    t.step()


def with_extra(extra: Extra) -> tuple[int, Locks]:
    """Return a lock that two threads take, and `extra` in one of them besides."""
    b = Programs()
    lock = b.lock("lock")
    t, u = b.thread("t"), b.thread("u")
    section(t, lock)
    section(u, lock)
    extra(b, t, lock)
    for thread in (t, u):
        thread.emit(Op.END)
    return lock, analysed(b)[1]


def test_held_between_acquire_and_release() -> None:
    lock, found = with_extra(lambda b, t, lock: None)
    assert found.cells == 1 << lock
    assert not found.observed
    assert found.held[0] == (0, 0, 1 << lock, 0)
    assert found.acquires[0] == (0, 1 << lock, 0, 0)
    assert found.releases[0] == (0, 0, 1 << lock, 0)
    assert found.needs[0] == (0, 1 << lock, 0, 0)


def by_jumps(b: Programs, t: Code, lock: int) -> None:
    """Release as `if owner != me: fail`."""
    good = t.fresh()
    t.acquire(lock, t.number)
    t.step()
    t.emit(Op.JEQK, lock, t.number, good)
    t.emit(Op.FAIL, b.failure("owner"))
    t.label(good)
    t.emit(Op.CONST, lock, FREE)
    t.step()


def negated(b: Programs, t: Code, lock: int) -> None:
    """Wait for `not (owner != None)`, through copies."""
    none, copy, test = b.scratch("thread"), b.scratch("thread", "copy"), b.scratch()
    t.emit(Op.CONST, none, FREE)
    t.emit(Op.MOV, copy, lock)
    t.emit(Op.NE, test, none, copy)
    t.emit(Op.NOT, test, test)
    t.emit(Op.WAIT, test)
    t.emit(Op.CONST, lock, t.number)
    t.step()
    t.release(lock, t.number)
    t.step()


def owner_check(b: Programs, t: Code, lock: int) -> None:
    mine, test, local = b.scratch("thread"), b.scratch(), b.cell("mine", 0, 1, thread=t.number)
    t.emit(Op.CONST, mine, t.number)
    t.emit(Op.EQ, test, lock, mine)
    t.emit(Op.MOV, local, test)
    t.step()


@pytest.mark.parametrize("extra", [by_jumps, negated, owner_check])
def test_other_shapes_of_the_same(extra: Extra) -> None:
    lock, found = with_extra(extra)
    assert found.cells == 1 << lock
    assert not found.observed


def trylock(b: Programs, t: Code, lock: int) -> None:
    t.emit(Op.JNEK, lock, FREE, "busy")
    t.emit(Op.CONST, lock, t.number)
    t.step()
    t.release(lock, t.number)
    t.step()
    t.label("busy")


def is_locked(b: Programs, t: Code, lock: int) -> None:
    local = b.cell("seen", FREE, 7, thread=t.number)
    t.emit(Op.MOV, local, lock)
    t.step()


def compares_with_another(b: Programs, t: Code, lock: int) -> None:
    test, other = b.scratch(), b.scratch("thread")
    t.emit(Op.CONST, other, 1)
    t.emit(Op.NE, test, lock, other)
    t.emit(Op.ASSERT, test, b.failure("odd"))
    t.step()


def predicate(b: Programs, t: Code, lock: int) -> None:
    out, none = b.scratch(), b.scratch("thread")
    p = b.predicate("p", PredicateKind.REACHABLE, out)
    p.emit(Op.CONST, none, FREE)
    p.emit(Op.EQ, out, lock, none)


@pytest.mark.parametrize("extra", [trylock, is_locked, compares_with_another, predicate])
def test_observed_locks_still_exclude(extra: Extra) -> None:
    lock, found = with_extra(extra)
    assert found.cells == 1 << lock
    assert found.observed == 1 << lock
    assert found.held[1][2] == 1 << lock


def test_waiting_without_taking_looks() -> None:
    def wait(b: Programs, t: Code, lock: int) -> None:
        none, test = b.scratch("thread"), b.scratch()
        t.emit(Op.CONST, none, FREE)
        t.emit(Op.EQ, test, lock, none)
        t.emit(Op.WAIT, test)
        t.step()

    lock, found = with_extra(wait)
    assert not found.observed
    assert found.looks[0][3] == 1 << lock
    assert found.asks[0][3] == 1 << lock


def taken_without_waiting(b: Programs, t: Code, lock: int) -> None:
    t.emit(Op.CONST, lock, t.number)
    t.step()


def given_back_unasked(b: Programs, t: Code, lock: int) -> None:
    t.emit(Op.CONST, lock, FREE)
    t.step()


def taken_for_another(b: Programs, t: Code, lock: int) -> None:
    t.acquire(lock, 1)
    t.step()


def given_back_for_another(b: Programs, t: Code, lock: int) -> None:
    t.release(lock, 1)
    t.step()


def unknown_owner(b: Programs, t: Code, lock: int) -> None:
    t.emit(Op.ADDK, lock, lock, 1)
    t.step()


def by_index(b: Programs, t: Code, lock: int) -> None:
    zero, local = b.scratch(), b.cell("seen", FREE, 7, thread=t.number)
    t.emit(Op.CONST, zero, 0)
    t.emit(Op.LDX, local, lock, zero, 1, b.failure("index"))
    t.step()


@pytest.mark.parametrize(
    "extra",
    [
        taken_without_waiting,
        given_back_unasked,
        taken_for_another,
        given_back_for_another,
        unknown_owner,
        by_index,
    ],
)
def test_no_lock(extra: Extra) -> None:
    _, found = with_extra(extra)
    assert not found.cells


def test_a_failure_that_others_decide_comes_first() -> None:
    """`needs` is only what must be free for anything at all to happen, a failure included."""
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x")
    t, u = b.thread("t"), b.thread("u")
    for thread in (t, u):
        thread.step()
        if thread is u:
            thread.emit(Op.ASSERT, x, b.failure("x"))
        thread.acquire(lock, thread.number)
        thread.emit(Op.CONST, x, 1)
        thread.step()
        thread.release(lock, thread.number)
        thread.emit(Op.END)
    _, found = analysed(b)
    assert found.needs[0][1] == 1 << lock
    assert found.needs[1][1] == 0


def test_joins_keep_what_both_sides_hold() -> None:
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x")
    t, u = b.thread("t"), b.thread("u")
    section(u, lock)
    u.emit(Op.END)
    t.emit(Op.JZ, x, "without")
    t.step()
    t.acquire(lock, 0)
    t.label("without")
    join = t.step()
    t.emit(Op.ADDK, x, x, 1)
    t.emit(Op.END)
    _, found = analysed(b)
    assert found.held[0][join] == 0
    assert found.may[0][join] == 1 << lock
