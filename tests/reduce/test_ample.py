"""When one thread may be expanded alone."""

from __future__ import annotations

import pytest
from tests.reduce.builder import Programs
from tests.reduce.executor import differs, search

from mmunotify.compile.reduce import ample, cfg, liveness, locks, mix, reduce
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind
from mmunotify.ir.reduction import Boundary


def test_private_work_is_done_alone() -> None:
    b = Programs()
    x, y = b.cell("x"), b.cell("y")
    for t, cell in ((b.thread("t"), x), (b.thread("u"), y)):
        for _ in range(3):
            t.step()
            t.emit(Op.ADDK, cell, cell, 1)
        t.emit(Op.END)
    program = b.build()
    base = search(program)
    reduction = reduce(program, liveness=False, transactions=False, symmetry=False)
    assert len(base.states) == 25
    assert len(search(program, reduction).states) <= 2
    assert not differs(program, base, reduction)


@pytest.mark.parametrize("jump", [False, True])
def test_a_failure_before_the_lock_is_not_forgotten(jump: bool) -> None:
    """`u` cannot take the lock `t` holds, but before it tries it can fail by what `t` writes."""
    b = Programs()
    lock, x = b.lock("lock"), b.cell("x")
    t, u = b.thread("t"), b.thread("u")
    t.step()
    t.acquire(lock, 0)
    for value in (1, 0):
        t.step()
        t.emit(Op.CONST, x, value)
    t.step()
    t.release(lock, 0)
    t.emit(Op.END)
    test = b.scratch(name="zero")
    u.step()
    if jump:
        u.emit(Op.JZ, x, "good")
        u.emit(Op.FAIL, b.failure("x"))
        u.label("good")
    else:
        u.emit(Op.NOT, test, x)
        u.emit(Op.ASSERT, test, b.failure("x"))
    u.acquire(lock, 1)
    u.step()
    u.release(lock, 1)
    u.emit(Op.END)
    program = b.build()
    base = search(program)
    assert base.violations == {"x"}
    for transactions in (False, True):
        assert not differs(program, base, reduce(program, transactions=transactions))


def test_no_step_goes_on_for_ever_unseen() -> None:
    """A thread that loops alone must not keep another from failing (cycle proviso)."""
    b = Programs()
    x = b.cell("t.x", thread=0)
    t, u = b.thread("t"), b.thread("u")
    loop = t.step()
    t.emit(Op.CHOOSE, x, 0, 2)
    t.step()
    t.back(loop)
    u.step()
    u.emit(Op.FAIL, b.failure("late"))
    program = b.build()
    assert search(program, mix(program, "all")).violations == {"late"}
    held = mix(program, "all").ample
    assert held is not None
    kinds = mix(program, "all").boundaries[0]
    assert any(held.held[0][k] < 0 for k in (1, 2) if kinds[k] is Boundary.HARD)


def test_what_predicates_read_is_never_written_alone() -> None:
    b = Programs()
    x = b.cell("x")
    t, u = b.thread("t"), b.thread("u")
    for value in (1, 0):
        t.step()
        t.emit(Op.CONST, x, value)
    t.emit(Op.END)
    u.step()
    u.emit(Op.END)
    out = b.scratch()
    b.predicate("p", PredicateKind.NEVER, out).emit(Op.MOV, out, x)
    program = b.build()
    assert search(program, mix(program, "all")).violations == {"p"}


def test_classes_are_joined_until_they_fit() -> None:
    b = Programs()
    rows = [b.array(f"a{n}", 4) for n in range(10)]
    for t in (b.thread("t"), b.thread("u")):
        for row in rows:
            t.step()
            for n in range(4):
                t.emit(Op.ADDK, row + n, row + n, 1)
        t.emit(Op.END)
    program = b.build()
    flow = cfg.build(program)
    found = locks.analyse(flow, [liveness.analyse(flow, t) for t in (0, 1)])
    kinds = [(Boundary.HARD,) * graph.done for graph in flow.graphs]
    for width, classes in ((256, 40), (20, 10), (3, 3)):
        sets = ample.analyse(flow, found, kinds, width)
        used = 0
        for mask in sets.reads[0]:
            used |= mask
        assert used.bit_count() == classes
