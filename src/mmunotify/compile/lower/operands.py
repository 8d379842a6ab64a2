"""From values to the operands of instructions: types, codes, moves and conversions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from mmunotify.compile.emit import Message
from mmunotify.compile.lower.context import Lowering, Refused
from mmunotify.compile.objects import family_name, is_model_object
from mmunotify.compile.storage import encode, scalar_type
from mmunotify.compile.types import (
    Bool,
    EnumType,
    IntType,
    NoneOnly,
    Ref,
    Snapshot,
    Type,
    TypeMismatch,
)
from mmunotify.compile.values import (
    Const,
    Dyn,
    Operand,
    Poison,
    Reg,
    Selected,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op

__all__ = [
    "adopt",
    "bounds",
    "check_index",
    "check_range",
    "constant_code",
    "fail_none",
    "is_nullable",
    "move",
    "no_bound",
    "operand",
    "poisoned",
    "registers",
    "resting",
    "type_of",
]


def adopt(low: Lowering, value: Any) -> None:
    """Make an object that only a global names part of the world."""
    if is_model_object(value) and not low.objects.knows(value):
        low.objects.adopt(type(value).__name__, value)
        low.session.adopted = True


def type_of(low: Lowering, value: Value, node: ast.AST) -> Type:
    """Return the type of a scalar value; refuse what no cell can hold."""
    if isinstance(value, Dyn):
        return value.type
    if isinstance(value, Selected):
        return _selected_type(low, value, node)
    if isinstance(value, Const):
        adopt(low, value.value)
        try:
            return scalar_type(value.value, low.objects)
        except TypeMismatch:
            raise _unrepresentable(low, value.value, node) from None
    raise low.refuse(
        "E208",
        node,
        "this value cannot be kept in a cell of the state",
        "a cell holds a bool, a bounded int, an enum member, None or a reference",
    )


def _unrepresentable(low: Lowering, value: Any, node: ast.AST) -> Refused:
    if isinstance(value, int):
        return low.refuse(
            "E202",
            node,
            f"{value} lies outside -128..127",
            "every int of a model is kept in one byte",
            "model the value by a smaller one, or by an enum",
        )
    kind = type(value).__name__
    return low.refuse(
        "E208",
        node,
        f"a value of type {kind} cannot be kept in a cell of the state",
        "a cell holds a bool, a bounded int, an enum member, None or a reference",
        "use an Enum for names, a Table for a dict, a Set or Queue for a collection",
    )


def _selected_type(low: Lowering, value: Selected, node: ast.AST) -> Type:
    objects = [o for o in value.objects if o is not None]
    if not objects:
        return NoneOnly()
    families = {family_name(o) for o in objects}
    if len(families) > 1:
        raise low.refuse(
            "E203", node, f"this may be one of {', '.join(sorted(families))}", "a cell has one type"
        )
    family = families.pop()
    return Ref(family, is_nullable(value), len(low.objects.families[family]) - 1)


def is_nullable(value: Value) -> bool:
    """Tell whether `value` may be None."""
    if isinstance(value, Const):
        return value.value is None
    if isinstance(value, Selected):
        return None in value.objects or getattr(value.reg.type, "nullable", False)
    if isinstance(value, Dyn):
        return isinstance(value.type, NoneOnly) or getattr(value.type, "nullable", False)
    return False


def registers(value: Value) -> Iterator[Reg]:
    """Yield the registers that hold `value`."""
    if isinstance(value, Dyn | Selected):
        yield value.reg
    elif isinstance(value, Tup):
        for item in value.items:
            yield from registers(item)


def resting(kind: Type) -> int:
    """Return what a register of type `kind` holds when it holds nothing."""
    if isinstance(kind, Ref | EnumType) or getattr(kind, "nullable", False):
        return 0 if isinstance(kind, Snapshot) else -1
    if isinstance(kind, IntType) and kind.label:
        return -1  # no page, so that pages stay interchangeable
    return bounds(kind)[0] if isinstance(kind, IntType) and kind.low > 0 else 0


def bounds(kind: Type) -> tuple[int, int]:
    """Return the lowest and highest code of a type, None included."""
    if isinstance(kind, IntType):
        return min(kind.low, -1) if kind.nullable else kind.low, kind.high
    if isinstance(kind, Bool):
        return -1 if kind.nullable else 0, 1
    if isinstance(kind, EnumType):
        return -1 if kind.nullable else 0, len(kind.members) - 1
    if isinstance(kind, Snapshot):
        return 0, 2
    if isinstance(kind, Ref):
        return -1 if kind.nullable else 0, kind.last
    return -1, -1


def constant_code(low: Lowering, value: Any, kind: Type, node: ast.AST) -> int:
    """Return the code of a constant in a cell of type `kind`."""
    adopt(low, value)
    try:
        scalar_type(value, low.objects)
    except TypeMismatch:
        raise _unrepresentable(low, value, node) from None
    return encode(value, kind, low.objects)


def operand(low: Lowering, value: Value, node: ast.AST, kind: Type | None = None) -> Reg:
    """Return a register that holds `value` (coded as type `kind`, or its own)."""
    if isinstance(value, Dyn):
        return value.reg
    if isinstance(value, Selected):
        return _as_family(low, value, node)
    own = kind if kind is not None else type_of(low, value, node)
    assert isinstance(value, Const), value
    reg = low.emitter.reg(own)
    low.emitter.emit(Op.CONST, reg, constant_code(low, value.value, own, node))
    return reg


def _as_family(low: Lowering, value: Selected, node: ast.AST) -> Reg:
    kind = _selected_type(low, value, node)
    numbers = tuple(low.objects.number(o) for o in value.objects)
    if numbers == tuple(range(len(numbers))):
        return value.reg
    reg = low.emitter.reg(kind)
    message = Message("null_dereference", "nothing is selected")
    low.emitter.emit(Op.LDT, reg, numbers, value.reg, len(numbers), message)
    return reg


def move(
    low: Lowering, target: Operand, value: Value, kind: Type, node: ast.AST, name: str
) -> None:
    """Emit `target = value`, checking a declared bound."""
    if isinstance(value, Const):
        code = constant_code(low, value.value, kind, node)
        low_bound, high = bounds(kind)
        if isinstance(kind, IntType) and not low_bound <= code <= high:
            raise low.refuse("E202", node, f"{code} is outside the bounds {low_bound}..{high}")
        low.emitter.emit(Op.CONST, target, code)
        return
    source = operand(low, value, node)
    own = type_of(low, value, node)
    if isinstance(kind, IntType) and isinstance(own, IntType):
        check_range(low, source, own, kind, name)
    low.emitter.emit(Op.MOV, target, source)


def check_range(low: Lowering, reg: Reg, own: IntType, kind: IntType, name: str) -> None:
    """Emit a check that `reg` (of type `own`) fits `kind`, where it might not."""
    least, most = bounds(kind)
    if least <= bounds(own)[0] and own.high <= most:
        return
    text = f"{name or 'the value'} would become {{0}}, outside {least}..{most}"
    low.emitter.emit(Op.RANGE, reg, least, most, Message("bounds", text, (reg,), (own,)))


def no_bound(low: Lowering, node: ast.AST, name: str) -> Refused:
    """Return the refusal of an int without a bound."""
    return low.refuse(
        "E201",
        node,
        f"{name or 'this int'} has no bound the checker can see",
        "the state space is finite only if every int is bounded",
        f"in set-up: self.{name.rsplit('.', 1)[-1]} = Counter(high=7); or annotate it: "
        "Annotated[int, Int(0, 7)]",
    )


def poisoned(*values: Value) -> bool:
    """Tell whether any of the values was refused before."""
    return any(isinstance(v, Poison) for v in values)


def fail_none(low: Lowering, name: str) -> None:
    """Emit the failure of calling a method of None."""
    low.emitter.emit(Op.FAIL, Message("null_dereference", f"None has no {name}"))


def check_index(low: Lowering, reg: Reg, length: int) -> None:
    """Emit a check that `reg` is an index of `length` items."""
    message = Message("bounds", f"{{0}} is no index of {length} items", (reg,), (reg.type,))
    low.emitter.emit(Op.RANGE, reg, 0, length - 1, message)
