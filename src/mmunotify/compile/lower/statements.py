"""Statements: control flow, assignment, locks, failures and the ways out of blocks."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from mmunotify.compile.emit import Label
from mmunotify.compile.lower import (
    attributes,
    blocks,
    builtin,
    conditions,
    elements,
    expressions,
    hooks,
    intrinsics,
    loops,
    operands,
    variables,
    ways_out,
)
from mmunotify.compile.lower.context import CallExit, Lowering, Refused
from mmunotify.compile.names import bound_in
from mmunotify.compile.shape import Returns
from mmunotify.compile.values import (
    POISON,
    Const,
    Dyn,
    Method,
    Poison,
    Selected,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch

__all__ = ["assign_target", "body", "give_back", "test", "tried"]

_INSTRUCTIONS = 200_000  # of one thread, at most
_STEPS = 16_000
_REFUSED: dict[type[ast.stmt], tuple[str, str]] = {
    ast.ClassDef: ("a class", "define it outside of the body"),
    ast.FunctionDef: ("a nested function", "make it a method, or use a lambda"),
    ast.AsyncFunctionDef: ("a coroutine", "write a plain method"),
    ast.AsyncFor: ("async for", "write a plain loop"),
    ast.AsyncWith: ("async with", "write a plain with"),
    ast.Import: ("an import", "import at the top of the file"),
    ast.ImportFrom: ("an import", "import at the top of the file"),
    ast.Global: ("global", "keep state in an attribute"),
    ast.Nonlocal: ("nonlocal", "keep state in an attribute"),
    ast.Match: ("match", "use if and elif"),
    ast.TryStar: ("except*", "use except"),
}


def body(low: Lowering, statements: list[ast.stmt]) -> None:
    """Lower statements in order; an error in one does not hide those in the next."""
    for statement in statements:
        if low.emitter.dead:
            return
        low.at(statement)
        if not _is_text(statement):
            ways_out.cover(low)
        try:
            _check_length(low, statement)
            _lower(low, statement)
        except Refused as refused:
            low.note(refused)
            for name in bound_in(statement):
                variables.poison(low, name)
        except RecursionError:
            what = "this is nested too deep"
            low.note(low.refuse("E104", statement, what, "", "use names for its parts"))


def _is_text(statement: ast.stmt) -> bool:
    """Tell whether a statement is a docstring, or `...`: nothing that could be executed."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _check_length(low: Lowering, statement: ast.stmt) -> None:
    if len(low.emitter.items) > _INSTRUCTIONS or low.emitter.steps > _STEPS:
        raise low.refuse(
            "E107",
            statement,
            "this becomes too long: loops and calls are expanded in place",
            f"a thread has at most {_STEPS:,} steps and {_INSTRUCTIONS:,} instructions",
            "fewer rounds, or a loop outside of atomic()",
            about="length",
        )


def _lower(low: Lowering, statement: ast.stmt) -> None:
    handler = _HANDLERS.get(type(statement))
    if handler is None:
        what, fix = _REFUSED.get(type(statement), ("this statement", ""))
        why = "bodies compile to a finite program over cells"
        raise low.refuse("E103", statement, f"{what} is not in the subset", why, fix)
    handler(low, statement)


def tried(low: Lowering, run: Callable[[], Value]) -> Value:
    """Return what `run` gives, POISON if it is refused: its error is noted."""
    try:
        return run()
    except Refused as refused:
        low.note(refused)
        return POISON


def test(low: Lowering, node: ast.expr, yes: Label, no: Label) -> bool | None:
    """Jump by a condition; one that is refused goes both ways, to find all errors."""
    try:
        return conditions.branch(low, node, yes, no)
    except Refused as refused:
        low.note(refused)
        conditions.unknown(low, yes, no)
        return None


# -- assignment -----------------------------------------------------------------------------------


def _assign(low: Lowering, node: ast.Assign) -> None:
    value = expressions.evaluate(low, node.value)
    for target in node.targets:
        assign_target(low, target, value)


def _ann_assign(low: Lowering, node: ast.AnnAssign) -> None:
    if node.value is not None:
        assign_target(low, node.target, expressions.evaluate(low, node.value))


def assign_target(low: Lowering, target: ast.expr, value: Value, *, alias: bool = False) -> None:
    """Assign `value` to a name, attribute, element or tuple of these.

    `alias`: names stand for the value itself, as the names of a loop do.
    """
    if isinstance(target, ast.Tuple | ast.List):
        _unpack(low, target, value, alias)
        return
    if not alias:
        operands.refuse_counter(low, value, target)
    if isinstance(target, ast.Name):
        if alias:
            low.frame.env[target.id] = value
        else:
            variables.bind(low, target.id, value, target)
    elif isinstance(target, ast.Attribute):
        attributes.write(low, expressions.evaluate(low, target.value), target.attr, value, target)
    elif isinstance(target, ast.Subscript):
        base = expressions.evaluate(low, target.value)
        elements.write(low, base, expressions.evaluate(low, target.slice), value, target)
    else:
        raise AssertionError(target)  # Python knows no other target


def _unpack(low: Lowering, target: ast.Tuple | ast.List, value: Value, alias: bool) -> None:
    if any(isinstance(part, ast.Starred) for part in target.elts):
        what = "* in an assignment is not in the subset"
        raise low.refuse("E103", target, what, "it would make a list", "name the values one by one")
    if isinstance(value, Poison):
        items: tuple[Value, ...] = (POISON,) * len(target.elts)
    else:
        items = _unpacked(low, value, target)
    if len(items) != len(target.elts):
        what = f"{len(items)} values for {len(target.elts)} names"
        raise low.refuse("E203", target, what, "Python could not unpack them either", "")
    for part, item in zip(target.elts, items, strict=True):
        assign_target(low, part, item, alias=alias)


def _unpacked(low: Lowering, value: Value, target: ast.expr) -> tuple[Value, ...]:
    if isinstance(value, Dyn | Method) or (isinstance(value, Const) and value.value is None):
        what = f"{operands.described(low, value)} cannot be unpacked"
        raise low.refuse("E203", target, what, "only tuples and fixed collections can", "")
    return builtin.fixed(low, value, target)


def _aug_assign(low: Lowering, node: ast.AugAssign) -> None:
    target = node.target
    if isinstance(target, ast.Name):
        load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        old = expressions.evaluate(low, load)
        new = _operated(low, old, node)
        if new is not None:
            assign_target(low, target, new)
    elif isinstance(target, ast.Attribute):
        base = expressions.evaluate(low, target.value)
        new = _operated(low, attributes.read(low, base, target.attr, target), node)
        if new is not None:
            attributes.write(low, base, target.attr, new, target)
    else:
        base = expressions.evaluate(low, target.value)
        key = expressions.evaluate(low, target.slice)
        new = _operated(low, elements.read(low, base, key, target), node)
        if new is not None:
            elements.write(low, base, key, new, target)


def _operated(low: Lowering, old: Value, node: ast.AugAssign) -> Value | None:
    """Return the new value, or None if the old one is an object that was changed in place."""
    operand = expressions.evaluate(low, node.value)
    counter = isinstance(old, Const) and isinstance(old.value, Counter)
    chosen = old if isinstance(old, Selected) else None
    if chosen is not None and chosen.present:
        counter = all(isinstance(o, Counter) for _, o in chosen.present)
    if counter:
        _counted_up(low, old, operand, node)
        return None
    if isinstance(old, Const) and isinstance(old.value, Epoch):
        raise low.refuse(
            "E207",
            node,
            f"the Epoch {low.objects.name(old.value)} is no number",
            "it is only bumped and compared",
            f"{low.objects.name(old.value).rpartition('.')[2]}.bump()",
        )
    special = attributes.special(old, _in_place(node.op))
    if special is not None:
        what = f"{operands.described(low, old)} has an operator of its own"
        raise low.refuse("E104", node, what, "operators are those of ints", "call a method")
    return expressions.arithmetic(low, node.op, old, operand, node)


def _in_place(op: ast.operator) -> str:
    names = {"Mult": "mul", "BitAnd": "and", "BitOr": "or", "BitXor": "xor"}
    kind = type(op).__name__
    return f"__i{names.get(kind, kind.lower())}__"


def _counted_up(low: Lowering, old: Value, operand: Value, node: ast.AugAssign) -> None:
    """Emit `counter += operand`: the counter is read after the operand was evaluated."""
    if not isinstance(node.op, ast.Add | ast.Sub):
        what = "a Counter is only counted up and down"
        raise low.refuse("E112", node, what, "it has no other operators", "c.set(c.read() * 2)")
    now = expressions.counted(low, old, node)
    new = expressions.arithmetic(low, node.op, now, operand, node)
    if not operands.poisoned(new):
        intrinsics.counter_set(low, old, [new], node)


def _delete(low: Lowering, node: ast.Delete) -> None:
    for target in node.targets:
        if not isinstance(target, ast.Name):
            what = "only local names can be deleted"
            why = "the objects of a model and their attributes are fixed"
            raise low.refuse("E103", target, what, why, "assign None")
        variables.delete(low, target)


# -- plain statements -----------------------------------------------------------------------------


def _expression(low: Lowering, node: ast.Expr) -> None:
    if not _is_text(node):
        expressions.evaluate(low, node.value)


def _pass(*_: object) -> None:
    return


def _assert(low: Lowering, node: ast.Assert) -> None:
    if low.session.properties is None or "assertion" in low.session.properties:
        intrinsics.assertion(low, "assertion", node.test, node.msg)


def _if(low: Lowering, node: ast.If) -> None:
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = test(low, node.test, yes, no)
    if known is not None:
        body(low, node.body if known else node.orelse)
        return
    low.emitter.place(yes)
    body(low, node.body)
    low.emitter.emit(Op.JMP, end)
    low.emitter.place(no)
    body(low, node.orelse)
    low.emitter.place(end)


# -- return ---------------------------------------------------------------------------------------


def give_back(low: Lowering, exit_: CallExit, value: Value, node: ast.AST) -> None:
    """Make `value` (a candidate for) the result of the call that `exit_` ends."""
    if exit_.returns is Returns.LAST:
        exit_.result = value
    elif exit_.returns is Returns.MERGED:
        exit_.result = variables.merge(low, exit_.path, "<return>", exit_.result, value, node)


def _return(low: Lowering, node: ast.Return) -> None:
    number = max(n for n, c in enumerate(low.controls) if isinstance(c, CallExit))
    exit_ = low.controls[number]
    assert isinstance(exit_, CallExit)
    value: Value = Const(None)
    if node.value is not None:
        value = tried(low, lambda: expressions.evaluate(low, node.value))  # type: ignore[arg-type]
        hooks.check_result(low, value, node)
    if not low.emitter.dead:
        give_back(low, exit_, value, node)
    low.unwind(number)
    low.emitter.emit(Op.JMP, exit_.end)


_HANDLERS: dict[type[ast.stmt], Callable[[Lowering, Any], None]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _ann_assign,
    ast.AugAssign: _aug_assign,
    ast.Delete: _delete,
    ast.Expr: _expression,
    ast.Pass: _pass,
    ast.Assert: _assert,
    ast.If: _if,
    ast.Return: _return,
    ast.With: blocks.with_,
    ast.While: loops.while_,
    ast.For: loops.for_,
    ast.Break: loops.break_,
    ast.Continue: loops.continue_,
    ast.Raise: ways_out.raise_,
    ast.Try: blocks.try_,
}
