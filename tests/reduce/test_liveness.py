"""Dead cells."""

from __future__ import annotations

import pytest
from tests.reduce.builder import Code, Programs

from mmunotify.compile.reduce import mix
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Failure, PredicateKind


def pair() -> tuple[Programs, int, Code, Code, int]:
    """Return a program with a shared cell, two threads, and a local of the first."""
    b = Programs()
    shared = b.cell("shared")
    t, u = b.thread("t"), b.thread("u")
    return b, shared, t, u, b.cell("t.x", thread=0)


def cleared(b: Programs, name: str = "liveness") -> list[tuple[int, ...]]:
    return list(mix(b.build(), name).clears[0])


def test_dead_after_its_last_use() -> None:
    b, shared, t, u, x = pair()
    t.emit(Op.MOV, x, shared)
    t.step()
    t.emit(Op.MOV, shared, x)
    t.step()
    t.emit(Op.ADDK, shared, shared, 1)
    t.emit(Op.END)
    u.emit(Op.MOV, shared, shared)
    u.emit(Op.END)
    rows = cleared(b)
    assert x not in rows[1]
    assert x in rows[2]


def test_kept_where_one_path_reads_it() -> None:
    b, shared, t, u, x = pair()
    t.emit(Op.CONST, x, 2)
    t.emit(Op.ADDK, shared, shared, 1)
    t.step()
    t.emit(Op.JZ, shared, "end")
    t.emit(Op.MOV, shared, x)
    t.label("end")
    t.emit(Op.END)
    u.emit(Op.MOV, shared, shared)
    u.emit(Op.END)
    rows = cleared(b)
    assert x not in rows[1]
    assert x in rows[2]  # done


@pytest.mark.parametrize("reader", ["thread", "predicate", "message", "final"])
def test_what_others_read_is_never_cleared(reader: str) -> None:
    b, shared, t, u, x = pair()
    t.emit(Op.CONST, x, 1)
    t.emit(Op.ADDK, shared, shared, 1)
    t.step()
    t.emit(Op.ADDK, shared, shared, 1)
    t.emit(Op.END)
    if reader == "thread":
        u.emit(Op.MOV, shared, x)
    elif reader == "message":
        b.failures.append(Failure("told", "{0}", (x,)))
        u.emit(Op.ASSERT, shared, len(b.failures) - 1)
    else:
        out = b.scratch()
        kind = PredicateKind.FINAL if reader == "final" else PredicateKind.REACHABLE
        b.predicate("p", kind, out).emit(Op.MOV, out, x)
    u.emit(Op.MOV, shared, shared)
    u.emit(Op.END)
    assert not any(x in row for row in cleared(b))


def test_a_failure_message_is_a_use() -> None:
    b, shared, t, u, x = pair()
    t.emit(Op.MOV, x, shared)
    t.step()
    b.failures.append(Failure("told", "{0}", (x,)))
    t.emit(Op.ASSERT, shared, len(b.failures) - 1)
    t.emit(Op.END)
    u.emit(Op.CONST, shared, 1)
    u.emit(Op.END)
    assert x not in cleared(b)[1]


def test_a_bump_does_not_revive_a_snapshot() -> None:
    b, shared, t, u, x = pair()
    b.epochs.append([x])
    t.emit(Op.CONST, x, 1)
    t.step()
    t.emit(Op.JEQK, x, 2, "stale")
    t.label("stale")
    t.step()
    t.emit(Op.ADDK, shared, shared, 1)
    t.emit(Op.END)
    u.emit(Op.BUMP, 0)
    u.emit(Op.MOV, shared, shared)
    u.emit(Op.END)
    rows = cleared(b)
    assert x not in rows[1]
    assert x in rows[2]


def test_scratch_must_not_survive_a_boundary() -> None:
    b, shared, t, u, _ = pair()
    loose = b.scratch()
    t.emit(Op.MOV, loose, shared)
    t.step()
    t.emit(Op.MOV, shared, loose)
    t.emit(Op.END)
    u.emit(Op.END)
    with pytest.raises(ValueError, match="scratch slots"):
        cleared(b)
