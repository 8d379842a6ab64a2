"""Classes of steps, transactions, and the traps around them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.reduce.builder import Code, Programs
from tests.reduce.executor import differs, search

from mmunotify.compile.reduce import cfg, liveness, locks, mix, movers, reduce
from mmunotify.compile.reduce.movers import Mover
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program
from mmunotify.ir.reduction import Boundary


def classes(program: Program) -> list[list[Mover]]:
    flow = cfg.build(program)
    lives = [liveness.analyse(flow, t) for t in range(len(flow.graphs))]
    return movers.classify(flow, locks.analyse(flow, lives))


def agree(program: Program) -> None:
    """Require every mix of passes to find what the unreduced search finds."""
    base = search(program)
    for liveness_too in (False, True):
        for transactions in (False, True):
            for ample in (False, True):
                reduction = reduce(
                    program, liveness=liveness_too, transactions=transactions, ample=ample
                )
                assert not differs(program, base, reduction)


def both(b: Programs, code: Callable[[Code], None]) -> None:
    """Add two threads that run `code`."""
    for t in (b.thread("t"), b.thread("u")):
        t.step()
        code(t)
        t.emit(Op.END)


def test_a_critical_section_is_one_transaction() -> None:
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x")

    def code(t: Code) -> None:
        t.acquire(lock, t.number)
        t.step()
        t.emit(Op.ADDK, x, x, 1)
        t.step()
        t.release(lock, t.number)
        t.step()

    both(b, code)
    program = b.build()
    assert classes(program)[0][1:4] == [Mover.RIGHT, Mover.BOTH, Mover.LEFT]
    kinds = mix(program, "transactions").boundaries[0]
    assert kinds == (Boundary.HARD, Boundary.SOFT, *[Boundary.FUSED] * 3)
    agree(program)


def test_reading_under_the_lock_of_all_writers() -> None:
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x")

    def code(t: Code) -> None:
        local = b.cell(f"{t.name}.l", thread=t.number)
        t.emit(Op.MOV, local, x)  # holding nothing
        t.step()
        t.acquire(lock, t.number)
        t.step()
        t.emit(Op.MOV, local, x)
        t.step()
        t.emit(Op.CONST, x, 1)
        t.step()
        t.release(lock, t.number)

    both(b, code)
    program = b.build()
    assert classes(program)[0][1:] == [
        Mover.NON,
        Mover.RIGHT,
        Mover.BOTH,
        Mover.NON,
        Mover.LEFT,
    ]
    agree(program)


def test_locks_in_both_orders_deadlock() -> None:
    """A fused second acquire would never leave each thread with one lock."""
    b = Programs()
    pair = [b.lock("A"), b.lock("B")]
    for t, order in ((b.thread("t"), pair), (b.thread("u"), pair[::-1])):
        for lock in order:
            t.step()
            t.acquire(lock, t.number)
        for lock in order:
            t.step()
            t.release(lock, t.number)
        t.emit(Op.END)
    program = b.build()
    assert mix(program, "transactions").boundaries[0][2] is Boundary.HARD
    assert search(program, mix(program, "all")).deadlock
    agree(program)


def test_locks_in_a_circle_of_three_deadlock() -> None:
    b = Programs()
    ring = [b.lock(name) for name in "ABC"]
    for n in range(3):
        t = b.thread(f"t{n}")
        for lock in (ring[n], ring[(n + 1) % 3]):
            t.step()
            t.acquire(lock, n)
        for lock in (ring[(n + 1) % 3], ring[n]):
            t.step()
            t.release(lock, n)
        t.emit(Op.END)
    agree(b.build())


def test_ordered_locks_cost_nothing() -> None:
    b = Programs()
    pair = [b.lock("A"), b.lock("B")]

    def code(t: Code) -> None:
        for lock in pair:
            t.acquire(lock, t.number)
            t.step()
        for lock in pair[::-1]:
            t.release(lock, t.number)
            t.step()

    both(b, code)
    program = b.build()
    assert mix(program, "transactions").boundaries[0][2] is Boundary.SOFT
    agree(program)


def test_waiting_for_a_lock_in_a_circle_without_taking_it() -> None:
    """Each thread holds one lock and waits until the other's is free."""
    b = Programs()
    pair = [b.lock("A"), b.lock("B")]
    for t, mine, other in ((b.thread("t"), 0, 1), (b.thread("u"), 1, 0)):
        t.step()
        t.acquire(pair[mine], t.number)
        t.step()
        none, test = b.scratch("thread"), b.scratch()
        t.emit(Op.CONST, none, -1)
        t.emit(Op.EQ, test, pair[other], none)
        t.emit(Op.WAIT, test)
        t.step()
        t.release(pair[mine], t.number)
        t.emit(Op.END)
    agree(b.build())


def test_blocked_with_a_lock_held() -> None:
    """`t` waits for `x` under the lock that `u` needs to set it."""
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x", initial=1)
    t, u = b.thread("t"), b.thread("u")
    t.step()
    t.acquire(lock, 0)
    t.step()
    t.emit(Op.WAIT, x)
    t.step()
    t.release(lock, 0)
    t.emit(Op.END)
    u.step()
    u.emit(Op.CONST, x, 0)
    u.step()
    u.acquire(lock, 1)
    u.step()
    u.emit(Op.CONST, x, 1)
    u.step()
    u.release(lock, 1)
    u.emit(Op.END)
    program = b.build()
    assert search(program, mix(program, "all")).deadlock
    agree(program)


@pytest.mark.parametrize("kind", list(PredicateKind))
@pytest.mark.parametrize("daemon", [False, True])
def test_predicates_see_what_is_written_under_a_lock(kind: PredicateKind, daemon: bool) -> None:
    """`x` is 1 only within a critical section."""
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x")
    t, u = b.thread("t", daemon=daemon), b.thread("u")
    for thread in (t, u):
        thread.step()
        thread.acquire(lock, thread.number)
        thread.step()
        thread.emit(Op.CONST, x, 1 if thread is t else 0)
        thread.step()
        thread.emit(Op.CONST, x, 0)
        thread.step()
        thread.release(lock, thread.number)
        thread.emit(Op.END)
    out = b.scratch()
    positive = kind in (PredicateKind.NEVER, PredicateKind.REACHABLE)
    b.predicate("p", kind, out).emit(Op.MOV if positive else Op.NOT, out, x)
    program = b.build()
    agree(program)
    found = search(program, mix(program, "all"))
    assert found.reached == ({"p"} if kind is PredicateKind.REACHABLE else set())
    seen = kind in (PredicateKind.ALWAYS, PredicateKind.NEVER)
    assert bool(found.violations) == seen  # a daemon that can move is not at rest


def test_a_watched_thread_keeps_all_its_steps() -> None:
    b = Programs()
    t, u = b.thread("t"), b.thread("u")
    x = b.cell("t.x", thread=0)
    t.emit(Op.CONST, x, 1)
    t.step()
    t.emit(Op.CONST, x, 2)
    t.step()
    t.emit(Op.END)
    test, one = b.scratch(), b.scratch(name="one")
    u.emit(Op.CONST, one, 1)
    u.emit(Op.NE, test, t.pc, one)
    u.emit(Op.ASSERT, test, b.failure("seen"))
    u.emit(Op.END)
    agree(b.build())


def test_every_cycle_has_a_hard_boundary() -> None:
    b = Programs()
    x = b.cell("t.x", thread=0)
    t = b.thread("t")
    loop = t.step()
    t.emit(Op.CHOOSE, x, 0, 2)
    t.step()
    t.emit(Op.JZ, x, "end")
    t.back(loop)
    t.label("end")
    t.emit(Op.END)
    kinds = mix(b.build(), "all").boundaries[0]
    assert Boundary.HARD in kinds[1:]


def test_a_failure_between_two_sections_is_found() -> None:
    """After its write outside the lock `t` is seen before it takes the lock."""
    b = Programs()
    lock, x, y = b.lock("lock"), b.cell("x"), b.cell("y")
    t, u = b.thread("t"), b.thread("u")
    t.step()
    t.emit(Op.CONST, x, 1)
    t.step()
    t.acquire(lock, 0)
    t.step()
    t.emit(Op.CONST, y, 1)
    t.step()
    t.release(lock, 0)
    t.emit(Op.END)
    seen, test = b.cell("u.seen", thread=1), b.scratch()
    u.step()
    u.acquire(lock, 1)
    u.step()
    u.emit(Op.MOV, seen, x)
    u.step()
    u.emit(Op.JZ, seen, "fine")
    u.emit(Op.NE, test, y, seen)
    u.emit(Op.NOT, test, test)
    u.emit(Op.ASSERT, test, b.failure("between"))
    u.label("fine")
    u.step()
    u.release(lock, 1)
    u.emit(Op.END)
    program = b.build()
    assert search(program, mix(program, "all")).violations == {"between"}
    agree(program)


def test_two_looks_at_what_another_thread_writes() -> None:
    b = Programs()
    x = b.cell("x")
    first, second = b.cell("t.1", thread=0), b.cell("t.2", thread=0)
    t, u = b.thread("t"), b.thread("u")
    test = b.scratch()
    for local in (first, second):
        t.step()
        t.emit(Op.MOV, local, x)
    t.emit(Op.EQ, test, first, second)
    t.emit(Op.ASSERT, test, b.failure("changed"))
    t.emit(Op.END)
    u.step()
    u.emit(Op.CONST, x, 1)
    u.emit(Op.END)
    agree(b.build())


def test_a_snapshot_goes_stale_between_steps() -> None:
    b = Programs()
    mark = b.cell("t.mark", 0, 2, thread=0)
    b.epochs.append([mark])
    t, u = b.thread("t"), b.thread("u")
    test, stale = b.scratch(), b.scratch(name="stale")
    t.step()
    t.emit(Op.CONST, mark, 1)
    t.step()
    t.emit(Op.CONST, stale, 2)
    t.emit(Op.NE, test, mark, stale)
    t.emit(Op.ASSERT, test, b.failure("stale"))
    t.emit(Op.END)
    u.step()
    u.emit(Op.BUMP, 0)
    u.emit(Op.END)
    program = b.build()
    assert classes(program)[0][1:] == [Mover.NON, Mover.NON]
    assert search(program, mix(program, "all")).violations == {"stale"}
    agree(program)


def test_a_look_at_a_lock_sees_it_held() -> None:
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x")
    t, u = b.thread("t"), b.thread("u")
    t.step()
    t.acquire(lock, 0)
    t.step()
    t.emit(Op.CONST, x, 1)
    t.step()
    t.release(lock, 0)
    t.emit(Op.END)
    u.step()
    u.emit(Op.JEQK, lock, -1, "free")
    u.emit(Op.FAIL, b.failure("held"))
    u.label("free")
    u.emit(Op.END)
    program = b.build()
    assert search(program, mix(program, "all")).violations == {"held"}
    agree(program)


def test_waiting_until_a_lock_is_free_does_not_keep_it_free() -> None:
    b = Programs()
    lock, y = b.lock("lock"), b.cell("y")
    t, u = b.thread("t"), b.thread("u")
    none, test = b.scratch("thread"), b.scratch()
    t.step()
    t.emit(Op.CONST, none, -1)
    t.emit(Op.EQ, test, lock, none)
    t.emit(Op.WAIT, test)
    t.step()
    t.emit(Op.NOT, test, y)
    t.emit(Op.ASSERT, test, b.failure("y"))
    t.emit(Op.END)
    u.step()
    u.acquire(lock, 1)
    for value in (1, 0):
        u.step()
        u.emit(Op.CONST, y, value)
    u.step()
    u.release(lock, 1)
    u.emit(Op.END)
    program = b.build()
    assert search(program, mix(program, "all")).violations == {"y"}
    agree(program)
