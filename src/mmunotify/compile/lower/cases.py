"""One case for each object that a reference may be, where they are too different for one code."""

from __future__ import annotations

import ast
from collections.abc import Callable

from mmunotify.compile.lower import operands, variables
from mmunotify.compile.lower.context import Lowering
from mmunotify.compile.values import POISON, Const, Selected, Value
from mmunotify.ir.ops import Op

__all__ = ["each", "where"]


def where(node: ast.AST) -> tuple[str, int, int]:
    """Return what tells an expression from all others of its function."""
    return type(node).__name__, getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def each(
    low: Lowering,
    chosen: Selected,
    name: str,
    node: ast.AST,
    run: Callable[[Const], Value],
) -> Value:
    """Lower `run` for every object that `chosen` may be; return what it gives.

    `name` is what is used of the object, for the failure if there is none.
    """
    emitter = low.emitter
    chosen = operands.present(low, chosen, name)
    end, result = emitter.new_label(), None
    for position, (number, owner) in enumerate(chosen.present):
        other = emitter.new_label()
        if position < len(chosen.present) - 1:
            emitter.emit(Op.JNEK, chosen.reg, number, other)
        with low.within(("case", where(node), number)):
            value = run(Const(owner))
        if not emitter.dead:
            result = variables.merge(low, low.path, ("cases", where(node)), result, value, node)
        emitter.emit(Op.JMP, end)
        emitter.place(other)
    emitter.place(end)
    return POISON if result is None else result
