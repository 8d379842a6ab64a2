"""Statements: control flow, assignment, locks, failures and the ways out of blocks."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmunotify.compile.lower import (
    access,
    attributes,
    calls,
    conditions,
    expressions,
    intrinsics,
    loops,
    operands,
    variables,
    ways_out,
)
from mmunotify.compile.lower.context import CallExit, Frame, Lowering, Refused
from mmunotify.compile.values import (
    POISON,
    Const,
    Dyn,
    Poison,
    Sequenced,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang import intrinsics as words
from mmunotify.lang.counter import Counter, Epoch

__all__ = ["assign_target", "body", "give_back", "return_style", "shadowed"]

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
        ways_out.cover(low)
        try:
            _lower(low, statement)
        except Refused as refused:
            low.note(refused)
            _poison(low, statement)


def _poison(low: Lowering, statement: ast.stmt) -> None:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            low.frame.env[node.id] = POISON
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            low.frame.env[node.name] = POISON
        elif isinstance(node, ast.alias):
            low.frame.env[node.asname or node.name.split(".")[0]] = POISON


def _lower(low: Lowering, statement: ast.stmt) -> None:
    handler = _HANDLERS.get(type(statement))
    if handler is None:
        what, fix = _REFUSED.get(type(statement), (type(statement).__name__.lower(), ""))
        raise low.refuse(
            "E103", statement, f"{what} is not in the subset", "bodies compile to a finite "
            "program over cells", fix,
        )  # fmt: skip
    handler(low, statement)


# -- assignment ---------------------------------------------------------------------------------


def _assign(low: Lowering, node: ast.Assign) -> None:
    value = expressions.evaluate(low, node.value)
    if len(node.targets) > 1:
        value = variables.snapshot(low, value)
    for target in node.targets:
        assign_target(low, target, value)


def _ann_assign(low: Lowering, node: ast.AnnAssign) -> None:
    if node.value is not None:
        assign_target(low, node.target, expressions.evaluate(low, node.value))


def _not_aliased(low: Lowering, value: Value, node: ast.AST) -> None:
    if isinstance(value, Const) and isinstance(value.value, Counter | Epoch):
        kind, name = type(value.value).__name__, low.objects.name(value.value)
        raise low.refuse(
            "E112",
            node,
            f"this would name the {kind} {name} itself, not its value now",
            "in plain Python the two would stay the same object",
            f"{name.rsplit('.', 1)[-1]}.read()",
        )


def assign_target(low: Lowering, target: ast.expr, value: Value, *, alias: bool = False) -> None:
    """Assign `value` to a name, attribute, element or tuple of these."""
    if not alias:
        _not_aliased(low, value, target)
    if isinstance(target, ast.Name):
        if alias:
            low.frame.env[target.id] = value
        else:
            variables.bind(low, target.id, value, target)
    elif isinstance(target, ast.Attribute):
        base = expressions.evaluate(low, target.value)
        if not operands.poisoned(base, value):
            access.write_attribute(low, base, target.attr, value, target)
    elif isinstance(target, ast.Subscript):
        _assign_element(low, target, value)
    elif isinstance(target, ast.Tuple | ast.List):
        _unpack(low, target, value, alias)
    else:
        raise low.refuse("E103", target, "this cannot be assigned to in a body")


def _assign_element(low: Lowering, target: ast.Subscript, value: Value) -> None:
    base = expressions.evaluate(low, target.value)
    key = expressions.scalar(low, target.slice)
    if operands.poisoned(base, key, value):
        return
    if not access.write_element(low, base, key, value, target):
        raise low.refuse(
            "E114",
            target,
            "only the elements of a Table can be assigned in a body",
            "a list or dict of set-up is a constant",
            "build a Table in set-up",
        )


def _unpack(low: Lowering, target: ast.Tuple | ast.List, value: Value, alias: bool) -> None:
    if isinstance(value, Poison):
        items: tuple[Value, ...] = (POISON,) * len(target.elts)
    elif isinstance(value, Tup | Sequenced):
        items = value.items
    elif isinstance(value, Const) and isinstance(value.value, tuple | list):
        items = tuple(Const(v) for v in value.value)
    else:
        raise low.refuse("E203", target, "this value is no tuple")
    if len(items) != len(target.elts):
        raise low.refuse("E203", target, f"{len(items)} values for {len(target.elts)} names")
    if not alias and len(items) > 1:
        items = tuple(variables.snapshot(low, i) for i in _stable(low, items))
    for part, item in zip(target.elts, items, strict=True):
        assign_target(low, part, item, alias=alias)


def _stable(low: Lowering, items: tuple[Value, ...]) -> Iterator[Value]:
    """Copy variables, so that `a, b = b, a` swaps."""
    for item in items:
        if isinstance(item, Dyn) and item.reg.name:
            reg = low.emitter.reg(item.type)
            low.emitter.emit(Op.MOV, reg, item.reg)
            yield Dyn(reg, item.type)
        else:
            yield item


def _aug_assign(low: Lowering, node: ast.AugAssign) -> None:
    target = node.target
    if isinstance(target, ast.Name):
        load: ast.expr = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        old = expressions.evaluate(low, load)
        new = expressions.arithmetic(
            low, node.op, expressions.counted(low, old), expressions.scalar(low, node.value), node
        )
        _not_counter(low, old, node)
        assign_target(low, target, new)
    elif isinstance(target, ast.Attribute):
        _aug_attribute(low, target, node)
    else:
        _aug_element(low, target, node)


def _not_counter(low: Lowering, old: Value, node: ast.AugAssign) -> None:
    if isinstance(old, Const) and isinstance(old.value, Counter):
        raise low.refuse("E112", node, "count a Counter through the object that owns it")


def _aug_attribute(low: Lowering, target: ast.Attribute, node: ast.AugAssign) -> None:
    base = expressions.evaluate(low, target.value)
    old = attributes.read_attribute(low, base, target.attr, target)
    number = expressions.counted(low, old)
    new = expressions.arithmetic(low, node.op, number, expressions.scalar(low, node.value), node)
    if isinstance(new, Poison):
        return
    if number is not old:
        intrinsics.counter_set(low, old, [new], node)
    else:
        access.write_attribute(low, base, target.attr, new, target)


def _aug_element(low: Lowering, target: ast.Subscript, node: ast.AugAssign) -> None:
    base = expressions.evaluate(low, target.value)
    key = variables.snapshot(low, expressions.scalar(low, target.slice))
    old = access.read_element(low, base, key, target)
    if old is None:
        raise low.refuse("E114", target, "only the elements of a Table can be assigned in a body")
    new = expressions.arithmetic(low, node.op, old, expressions.scalar(low, node.value), node)
    if not isinstance(new, Poison):
        access.write_element(low, base, key, new, target)


def _delete(low: Lowering, node: ast.Delete) -> None:
    for target in node.targets:
        if not isinstance(target, ast.Name):
            raise low.refuse("E103", target, "only local names can be deleted")
        variables.delete(low, target)


# -- plain statements ---------------------------------------------------------------------------


def _expression(low: Lowering, node: ast.Expr) -> None:
    if isinstance(node.value, ast.Constant):  # a docstring, or ...
        return
    expressions.evaluate(low, node.value)


def _pass(*_: object) -> None:
    return


def _assert(low: Lowering, node: ast.Assert) -> None:
    intrinsics.assertion(low, "assertion", node.test, node.msg)


def _if(low: Lowering, node: ast.If) -> None:
    yes, no, end = (low.emitter.new_label() for _ in range(3))
    known = conditions.branch(low, node.test, yes, no)
    if known is not None:
        body(low, node.body if known else node.orelse)
        return
    low.emitter.place(yes)
    body(low, node.body)
    low.emitter.emit(Op.JMP, end)
    low.emitter.place(no)
    body(low, node.orelse)
    low.emitter.place(end)


# -- return -------------------------------------------------------------------------------------


def return_style(frame: Frame) -> str:
    """Tell how a function gives its value back: "none", "value" (at its end) or "merge"."""
    returns = [n for n in _own_nodes(frame.function.node) if isinstance(n, ast.Return)]
    if not any(n.value is not None for n in returns):
        return "none"
    last = frame.function.node.body[-1]
    return "value" if len(returns) == 1 and last is returns[0] else "merge"


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


def give_back(low: Lowering, exit_: CallExit, value: Value, node: ast.AST) -> None:
    """Make `value` (a candidate for) the result of the call that `exit_` ends."""
    if exit_.style == "none":
        return
    if exit_.style == "value":
        exit_.result = value
        return
    exit_.result = variables.assign_fact(
        low, exit_.key, "", exit_.result, expressions.counted(low, value), node, low.frame
    )


def _return(low: Lowering, node: ast.Return) -> None:
    number = max(n for n, c in enumerate(low.controls) if isinstance(c, CallExit))
    exit_ = low.controls[number]
    assert isinstance(exit_, CallExit)
    value: Value = Const(None)
    if node.value is not None:
        value = expressions.evaluate(low, node.value)
    give_back(low, exit_, value, node)
    low.unwind(number)
    low.emitter.emit(Op.JMP, exit_.end)


# -- with ---------------------------------------------------------------------------------------


def _with(low: Lowering, node: ast.With) -> None:
    _with_items(low, node.items, node.body)


def _with_items(low: Lowering, items: list[ast.withitem], inner: list[ast.stmt]) -> None:
    if not items:
        body(low, inner)
        return
    item = items[0]
    if _is_atomic(low, item.context_expr):
        with low.emitter.atomically():
            _with_items(low, items[1:], inner)
        return
    value = expressions.evaluate(low, item.context_expr)
    if isinstance(value, Poison):
        _with_items(low, items[1:], inner)
        return
    enter, leave = (_context_method(low, value, n, item) for n in ("__enter__", "__exit__"))
    entered = calls.call_value(low, enter, [], {}, item.context_expr)
    if item.optional_vars is not None:
        assign_target(low, item.optional_vars, entered)

    def run() -> None:
        nothing: list[Value] = [Const(None)] * 3
        low.at(item.context_expr)
        with low.within("exit"):
            calls.call_value(low, leave, nothing, {}, item.context_expr)

    ways_out.protected(low, lambda: _with_items(low, items[1:], inner), run)


def _is_atomic(low: Lowering, node: ast.expr) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)):
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr != "atomic":
        return False
    if isinstance(node.func, ast.Name) and node.func.id in low.frame.names.bound:
        return False
    found = expressions.evaluate(low, node.func)
    return isinstance(found, Const) and found.value is words.atomic


def _context_method(low: Lowering, value: Value, name: str, item: ast.withitem) -> Value:
    try:
        return attributes.read_attribute(low, value, name, item.context_expr)
    except Refused:
        raise low.refuse(
            "E103",
            item.context_expr,
            "`with` needs a lock",
            "this object has no __enter__ and __exit__ in the subset",
            "with self.lock:, or with atomic():",
        ) from None


@contextmanager
def shadowed(low: Lowering, target: ast.expr) -> Iterator[None]:
    """Give the names of `target` back their values after the block (any, all)."""
    names = [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
    before = {n: low.frame.env.get(n) for n in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                low.frame.env.pop(name, None)
            else:
                low.frame.env[name] = value


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
    ast.With: _with,
    ast.While: loops.while_,
    ast.For: loops.for_,
    ast.Break: loops.break_,
    ast.Continue: loops.continue_,
    ast.Raise: ways_out.raise_,
    ast.Try: ways_out.try_,
}
