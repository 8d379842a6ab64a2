"""What is proven interchangeable, and why the rest is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.reduce.builder import Code, Programs
from tests.reduce.executor import differs, search

from mmunotify.compile.reduce import mix, refusals
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, SymmetryKind

N = 3
Body = Callable[[Programs, Code, int, int], None]


def world(
    body: Body, predicate: Callable[[Programs, int], None] | None = None
) -> tuple[Programs, int]:
    """Return two threads that run `body` on an array over three items and an item of their own."""
    b = Programs()
    row = b.array("row", N, -1, N - 1, -1, "item")
    for name in ("t", "u"):
        t = b.thread(name)
        mine = b.cell(f"{name}.z", -1, N - 1, -1, "item", t.number)
        t.emit(Op.CHOOSE, mine, 0, N)
        t.step()
        body(b, t, row, mine)
        t.emit(Op.END)
    if predicate is not None:
        predicate(b, row)
    b.kinds.append(
        SymmetryKind("item", N, tuple((row + i,) for i in range(N)), (("item", tuple(range(N))),))
    )
    return b, row


def store(b: Programs, t: Code, row: int, mine: int) -> None:
    t.emit(Op.STX, row, mine, mine, N, b.failure("index"))
    t.step()


def load(b: Programs, t: Code, row: int, mine: int) -> None:
    t.emit(Op.LDX, mine, row, mine, N, b.failure("index"))
    t.step()


def is_none(b: Programs, t: Code, row: int, mine: int) -> None:
    t.emit(Op.JEQK, mine, -1, "skip")
    t.label("skip")
    t.step()


def fill(b: Programs, t: Code, row: int, mine: int) -> None:
    t.emit(Op.FILL, row, N, -1)
    t.step()


def clear_all(b: Programs, t: Code, row: int, mine: int) -> None:
    for i in range(N):
        t.emit(Op.CONST, row + i, -1)
    t.step()


def compare(b: Programs, t: Code, row: int, mine: int) -> None:
    test, other = b.scratch(), b.scratch("item")
    t.emit(Op.LDX, other, row, mine, N, b.failure("index"))
    t.emit(Op.EQ, test, other, mine)
    t.emit(Op.WAIT, test)
    t.step()


def table(b: Programs, t: Code, row: int, mine: int) -> None:
    b.table[:] = [1, 1, 1]
    out = b.scratch()
    t.emit(Op.LDT, out, 0, mine, N, b.failure("index"))
    t.step()


@pytest.mark.parametrize("body", [store, load, is_none, fill, clear_all, compare, table])
def test_proven(body: Body) -> None:
    def both(b: Programs, t: Code, row: int, mine: int) -> None:
        store(b, t, row, mine)
        body(b, t, row, mine)

    program = world(both)[0].build()
    assert not refusals(program)
    reduction = mix(program, "symmetry")
    assert [kind.name for kind in reduction.symmetry] == ["item"]
    base = search(program)
    assert len(search(program, reduction).states) < len(base.states)
    assert not differs(program, base, reduction)


def names_one(b: Programs, t: Code, row: int, mine: int) -> None:
    for i in range(N):
        t.emit(Op.JEQK, mine, i, f"at{i}")
        t.label(f"at{i}")
        t.step()


def one_after_another(b: Programs, t: Code, row: int, mine: int) -> None:
    for i in range(N):
        t.emit(Op.CONST, row + i, -1)
        t.step()


def arithmetic(b: Programs, t: Code, row: int, mine: int) -> None:
    out = b.scratch()
    t.emit(Op.ADDK, out, mine, 1)
    t.step()


def order(b: Programs, t: Code, row: int, mine: int) -> None:
    t.emit(Op.JLT, mine, mine, "less")
    t.label("less")
    t.step()


def truth(b: Programs, t: Code, row: int, mine: int) -> None:
    t.emit(Op.JZ, mine, "zero")
    t.label("zero")
    t.step()


def as_number(b: Programs, t: Code, row: int, mine: int) -> None:
    out = b.scratch()
    t.emit(Op.MOV, out, mine)
    t.step()


def part_of_a_table(b: Programs, t: Code, row: int, mine: int) -> None:
    b.table[:] = [0, 1, 2]
    out = b.scratch()
    t.emit(Op.LDT, out, 0, mine, N, b.failure("index"))
    t.step()


def foreign_array(b: Programs, t: Code, row: int, mine: int) -> None:
    out = b.scratch()
    array = b.array(f"other{t.number}", N)
    t.emit(Op.LDX, out, array, mine, N, b.failure("index"))
    t.step()


def counts(b: Programs, t: Code, row: int, mine: int) -> None:
    t.emit(Op.CONST, mine, 0)
    t.step()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (names_one, "by name"),
        (one_after_another, "where its image is not"),
        (arithmetic, "as a number"),
        (order, "as a number"),
        (truth, "as a truth value"),
        (as_number, "of another kind"),
        (part_of_a_table, "tells elements apart"),
        (foreign_array, "where its image is not"),
        (counts, "by name"),
    ],
)
def test_refused(body: Body, reason: str) -> None:
    program = world(body)[0].build()
    refused = refusals(program)
    assert len(refused) == 1
    assert reason in refused[0].text
    assert all(kind.size < N for kind in mix(program, "symmetry").symmetry)


def test_what_starts_differently_is_kept_apart() -> None:
    """Two of three are still interchangeable."""

    def body(b: Programs, t: Code, row: int, mine: int) -> None:
        store(b, t, row, mine)

    b, row = world(body)
    b.cells[row] = type(b.cells[row])(
        **{**b.cells[row].__dict__, "initial": 0},
    )
    program = b.build()
    (kind,) = mix(program, "symmetry").symmetry
    assert kind.columns == ((row + 1,), (row + 2,))
    assert kind.values == (("item", (1, 2)),)
    assert "start" in refusals(program)[0].text
    assert not differs(program, search(program), mix(program, "all"))


def per_element(kind: PredicateKind) -> Callable[[Programs, int], None]:
    def add(b: Programs, row: int) -> None:
        for i in range(N):
            out, none = b.scratch(name="out"), b.scratch("item", "none")
            name = "p" if kind is not PredicateKind.REACHABLE else f"p{i}"
            p = b.predicate(name, kind, out)
            p.emit(Op.CONST, none, -1)
            p.emit(Op.EQ, out, row + i, none)

    return add


@pytest.mark.parametrize(
    ("kind", "proven"),
    [(PredicateKind.ALWAYS, True), (PredicateKind.FINAL, True), (PredicateKind.REACHABLE, False)],
)
def test_one_predicate_an_element(kind: PredicateKind, proven: bool) -> None:
    program = world(store, per_element(kind))[0].build()
    assert bool(mix(program, "symmetry").symmetry) == proven
    assert not differs(program, search(program), mix(program, "all"))


def alike(body: Callable[[Programs, Code, int], None]) -> Programs:
    """Return three threads that are candidates for interchange, with a lock."""
    b = Programs()
    lock = b.lock("lock", 3)
    columns = []
    for n in range(3):
        t = b.thread(f"t{n}")
        local = b.cell(f"t{n}.x", thread=n)
        columns.append((t.pc, t.pc + 1, local))
        t.step()
        t.acquire(lock, n)
        t.step()
        body(b, t, local)
        t.release(lock, n)
        t.emit(Op.END)
    numbers = tuple(range(3))
    b.kinds.append(SymmetryKind("t", 3, tuple(columns), (("thread", numbers),), numbers))
    return b


def test_threads_alike() -> None:
    program = alike(lambda b, t, local: t.emit(Op.CHOOSE, local, 0, 2)).build()
    reduction = mix(program, "symmetry")
    assert [kind.name for kind in reduction.symmetry] == ["t"]
    assert not differs(program, search(program), reduction)


def test_threads_that_differ_in_a_constant() -> None:
    program = alike(lambda b, t, local: t.emit(Op.CONST, local, t.number // 2)).build()
    (kind,) = mix(program, "symmetry").symmetry
    assert kind.threads == (0, 1)  # the third does something else
    assert not differs(program, search(program), mix(program, "all"))


def test_threads_whose_locals_do_not_move() -> None:
    b = alike(lambda b, t, local: t.emit(Op.CONST, local, 1))
    kind = b.kinds[0]
    b.kinds[0] = SymmetryKind("t", 3, tuple(c[:2] for c in kind.columns), kind.values, kind.threads)
    program = b.build()
    assert not mix(program, "symmetry").symmetry
    assert "where its image is not" in refusals(program)[0].text
