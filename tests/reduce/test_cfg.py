"""Control flow and access masks."""

from __future__ import annotations

from tests.reduce.builder import Programs

from mmunotify.compile.reduce.cfg import bits, build, feedback, span
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind


def test_regions_exits_and_accesses() -> None:
    b = Programs()
    x, y = b.cell("x"), b.cell("y")
    a = b.array("a", 3)
    t = b.thread("t")
    t.emit(Op.JEQK, x, 0, "zero")
    t.emit(Op.LDX, y, a, x, 3, b.failure("index"))
    first = t.step()
    t.label("zero")
    t.emit(Op.FILL, a, 3, 0)
    t.emit(Op.JZ, y, "end")
    t.back(first)
    t.label("end")
    t.emit(Op.END)
    graph = build(b.build()).graphs[0]
    assert graph.done == 2
    assert set(graph.exits[0]) == {1, 2}
    assert set(graph.exits[1]) == {1, 2}
    assert graph.reads[0] == 1 << x | 1 << y | span(a, 3)
    assert graph.writes[1] == span(a, 3)
    assert not any(graph.waits)


def test_epochs_are_read_by_snapshots_and_written_by_bumps() -> None:
    b = Programs()
    mark = b.cell("mark", 0, 2)
    b.epochs.append([mark])
    t = b.thread("t")
    t.emit(Op.CONST, mark, 1)
    t.step()
    t.emit(Op.CONST, mark, 0)
    t.step()
    t.emit(Op.BUMP, 0)
    t.step()
    t.emit(Op.JEQK, mark, 2, "end")
    t.label("end")
    t.emit(Op.END)
    program = b.build()
    graph = build(program).graphs[0]
    epoch = 1 << program.slots
    assert [bool(r & epoch) for r in graph.reads] == [True, False, False, True]
    assert [bool(w & epoch) for w in graph.writes] == [False, False, True, False]


def test_predicates_observe() -> None:
    b = Programs()
    x, y = b.cell("x"), b.cell("y")
    b.thread("t", daemon=True).emit(Op.END)
    b.thread("u").emit(Op.END)
    out = b.scratch()
    b.predicate("p", PredicateKind.ALWAYS, out).emit(Op.NOT, out, x)
    b.predicate("q", PredicateKind.FINAL, out).emit(Op.NOT, out, y)
    flow = build(b.build())
    assert flow.observed == 1 << x
    assert flow.final == 1 << y
    assert flow.visible(0) == 1 << x | 1 << y
    assert flow.visible(1) == 1 << x


def test_threads_whose_pc_is_read_are_watched() -> None:
    b = Programs()
    t, u = b.thread("t"), b.thread("u")
    t.emit(Op.END)
    u.emit(Op.WAIT, t.pc)
    u.emit(Op.END)
    assert build(b.build()).watched == {0}


def test_feedback_cuts_every_cycle() -> None:
    successors = [[1], [2, 0], [0, 3], [3]]
    cut = set(feedback(successors, [0]))
    assert 3 in cut
    left = [[n for n in after if n not in cut] for after in successors]
    assert not feedback(left, list(range(4)))


def test_bits() -> None:
    assert list(bits(0b101001)) == [0, 3, 5]
