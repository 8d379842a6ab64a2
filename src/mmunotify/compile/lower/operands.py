"""From values to the operands of instructions: types, codes, moves and conversions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mmunotify.compile.emit import Message, literally
from mmunotify.compile.lower.context import Lowering, Refused
from mmunotify.compile.objects import is_model_object, is_scalar
from mmunotify.compile.storage import encode, scalar_type
from mmunotify.compile.types import (
    BOTTOM,
    EnumType,
    IntType,
    NoneOnly,
    Ref,
    Type,
    TypeMismatch,
    bounds,
    describe,
    join,
)
from mmunotify.compile.types import is_nullable as nullable
from mmunotify.compile.values import (
    NOBODY,
    Closure,
    Const,
    Dyn,
    Method,
    Operand,
    Poison,
    Reg,
    Selected,
    Span,
    SuperOf,
    Tup,
    Value,
)
from mmunotify.ir.ops import Op
from mmunotify.lang.counter import Counter, Epoch
from mmunotify.lang.table import Table

__all__ = [
    "adopt",
    "check_between",
    "check_constant",
    "check_range",
    "constant_code",
    "counter_named",
    "described",
    "fail_none",
    "fits_cell",
    "is_nullable",
    "mapped",
    "move",
    "no_bound",
    "number",
    "objects_of",
    "one_of",
    "operand",
    "poisoned",
    "present",
    "reference_type",
    "refuse_counter",
    "registers",
    "type_of",
    "unrepresentable",
]

_CELL = "a cell holds a bool, a bounded int, an enum member, None or a reference"


def adopt(low: Lowering, value: Any) -> None:
    """Make an object that only a global names part of the world."""
    if is_model_object(value) and not low.objects.knows(value):
        low.objects.adopt(type(value).__name__, value)
        low.session.adopted = True


# -- what a value is ------------------------------------------------------------------------------


def fits_cell(low: Lowering, value: Any) -> bool:
    """Tell whether a cell could hold a constant, if it were of the right type."""
    adopt(low, value)
    return is_scalar(value) or id(value) in low.objects.numbers


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
            raise unrepresentable(low, value.value, node) from None
    raise low.refuse("E208", node, f"{described(low, value)} cannot be kept in the state", _CELL)


def _selected_type(low: Lowering, value: Selected, node: ast.AST) -> Type:
    objects = [o for _, o in value.present]
    if not objects:
        return NoneOnly()
    for item in objects:
        if not fits_cell(low, item):
            raise unrepresentable(low, item, node)
    found = reference_type(low, objects)
    if found is None:
        kinds = " or a ".join(sorted({type(o).__name__ for o in objects}))
        what = f"this may be a {kinds}, which have no class in common"
        raise low.refuse("E203", node, what, "one cell of the state has one type")
    return replace(found, nullable=is_nullable(value))


def reference_type(low: Lowering, objects: Iterable[Any]) -> Ref | None:
    """Return the type of a reference to one of `objects`, or None if there is none."""
    families = {low.objects.family(o) for o in objects if fits_cell(low, o) and not is_scalar(o)}
    if len(families) != 1 or any(is_scalar(o) or not fits_cell(low, o) for o in objects):
        return None
    family = families.pop()
    last = len(low.objects.families[family]) - 1
    return Ref(family, False, last, frozenset(map(type, objects)))


def unrepresentable(low: Lowering, value: Any, node: ast.AST) -> Refused:
    """Return the refusal of a constant that no cell can hold."""
    if isinstance(value, int):
        return low.refuse(
            "E202",
            node,
            f"{value} lies outside -128..127",
            "every int of a model is kept in one byte",
            "model the value by a smaller one, or by an Enum",
        )
    if isinstance(value, Counter | Epoch):
        return counter_named(low, value, node)
    name = low.objects.name(value) if low.objects.knows(value) else ""
    kind = type(value).__name__
    fix = "use an Enum for names, a Table for a dict, a Set or Queue for a collection"
    if isinstance(value, Table):
        fix = "name the table itself where it is used"
    elif isinstance(value, float):
        fix = "use a small int"
    what = f"{name or f'a {kind}'} cannot be kept in the state"
    return low.refuse("E208", node, what, _CELL, fix)


def counter_named(low: Lowering, value: Counter | Epoch, node: ast.AST) -> Refused:
    """Return the refusal of a Counter or Epoch as a value."""
    kind, name = type(value).__name__, low.objects.name(value)
    return low.refuse(
        "E112",
        node,
        f"this is the {kind} {name} itself, not its value now",
        "in plain Python this would be one more name for the same object",
        f"{name.rpartition('.')[2]}.read()",
    )


def refuse_counter(low: Lowering, value: Value, node: ast.AST) -> None:
    """Refuse a Counter or Epoch where its value would be copied."""
    if isinstance(value, Const) and isinstance(value.value, Counter | Epoch):
        raise counter_named(low, value.value, node)


def described(low: Lowering, value: Value) -> str:
    """Return what a value is called in a message."""
    if isinstance(value, Dyn):
        return describe(value.type)
    if isinstance(value, Const):
        return described_constant(low, value.value)
    if isinstance(value, Selected):
        names = sorted({type(o).__name__ for _, o in value.present})
        return "a " + " or a ".join(names) if names else "None"
    if isinstance(value, Tup):
        return "a tuple" if value.cls is None else f"a {value.cls.__name__}"
    words = {Method: "a method", Closure: "a lambda", Span: "a range", SuperOf: "super()"}
    return words.get(type(value), "a collection")


def described_constant(low: Lowering, value: Any) -> str:
    """Return what a constant is called in a message."""
    if value is None:
        return "None"
    if low.objects.knows(value):
        return f"the {type(value).__name__} {low.objects.name(value)}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    named = getattr(value, "__name__", None)
    if callable(value) and isinstance(named, str):
        return f"the function {named}"
    kind = {"int": "an int", "str": "a string"}
    return kind.get(type(value).__name__, f"a {type(value).__name__}")


def is_nullable(value: Value) -> bool:
    """Tell whether `value` may be None."""
    if isinstance(value, Const):
        return value.value is None
    if isinstance(value, Selected):
        return None in value.objects or value.nullable
    return isinstance(value, Dyn) and nullable(value.type)


def objects_of(low: Lowering, value: Value) -> Selected | None:
    """Return a dynamic reference as a choice among objects, or None if it is no reference."""
    if isinstance(value, Selected):
        return value
    if isinstance(value, Dyn) and isinstance(value.type, Ref):
        classes = value.type.classes
        family = low.objects.families[value.type.family]
        objects = tuple(o if type(o) in classes else NOBODY for o in family)
        return Selected(value.reg, objects, value.type.nullable)
    if isinstance(value, Dyn) and isinstance(value.type, EnumType):
        return Selected(value.reg, value.type.members, value.type.nullable)
    return None


def registers(value: Value) -> Iterator[Reg]:
    """Yield the registers that hold `value`."""
    if isinstance(value, Dyn | Selected):
        yield value.reg
    elif isinstance(value, Tup):
        for item in value.items:
            yield from registers(item)


def poisoned(*values: Value) -> bool:
    """Tell whether any of the values was refused before."""
    return any(isinstance(v, Poison) for v in values)


# -- operands -------------------------------------------------------------------------------------


def constant_code(low: Lowering, value: Any, kind: Type, node: ast.AST) -> int:
    """Return the code of a constant in a cell of type `kind`."""
    adopt(low, value)
    try:
        scalar_type(value, low.objects)
    except TypeMismatch:
        raise unrepresentable(low, value, node) from None
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


def number(low: Lowering, value: Value, node: ast.AST) -> Reg:
    """Return a register that holds an int or bool; None there is a failure."""
    reg = operand(low, value, node)
    kind = type_of(low, value, node)
    if nullable(kind):
        message = Message("null_dereference", "None is used as a number")
        low.emitter.emit(Op.RANGE, reg, 0, max(0, bounds(kind)[1]), message)
    return reg


def _as_family(low: Lowering, value: Selected, node: ast.AST) -> Reg:
    """Return the register with the number of a selected object in its family."""
    kind = _selected_type(low, value, node)
    numbers = [-1 if o is NOBODY else low.objects.number(o) for o in value.objects]
    if all(o is NOBODY or numbers[n] == n for n, o in enumerate(value.objects)):
        return value.reg
    return mapped(low, value.reg, tuple(numbers), kind)


def mapped(low: Lowering, reg: Reg, codes: tuple[int, ...], kind: Type) -> Reg:
    """Return a register with `codes[reg]`, for a `reg` that is certainly a number of them."""
    result = low.emitter.reg(kind)
    message = Message("bounds", "nothing is selected")
    low.emitter.emit(Op.LDT, result, codes, reg, len(codes), message)
    return result


def one_of(low: Lowering, reg: Reg, values: Mapping[int, Any], node: ast.AST) -> Value:
    """Return the one of `values` that `reg`, which is certainly one of their numbers, selects."""
    if not values:
        return Const(None)
    first = next(iter(values.values()))
    if all(v is first or _identical(v, first) for v in values.values()):
        return Const(first)
    for value in values.values():
        adopt(low, value)
    last = max(values)
    if not all(is_scalar(v) for v in values.values()):
        return Selected(reg, tuple(values.get(n, NOBODY) for n in range(last + 1)))
    kind: Type = BOTTOM
    try:
        for value in values.values():
            kind = join(kind, type_of(low, Const(value), node))
    except TypeMismatch:
        kinds = sorted({described(low, Const(v)) for v in values.values()})
        what = f"this may be {' or '.join(kinds)}"
        raise low.refuse("E203", node, what, "a value has one type in a body") from None
    codes = [
        constant_code(low, values[n], kind, node) if n in values else -1 for n in range(last + 1)
    ]
    return Dyn(mapped(low, reg, tuple(codes), kind), kind)


def _identical(one: Any, two: Any) -> bool:
    return is_scalar(one) and type(one) is type(two) and bool(one == two)


def move(
    low: Lowering, target: Operand, value: Value, kind: Type, node: ast.AST, name: str
) -> None:
    """Emit `target = value`, checking a declared bound."""
    if isinstance(value, Const):
        code = constant_code(low, value.value, kind, node)
        if isinstance(kind, IntType):
            check_constant(low, code, kind, name)
        low.emitter.emit(Op.CONST, target, code)
        return
    source = operand(low, value, node)
    own = type_of(low, value, node)
    if isinstance(kind, IntType) and isinstance(own, IntType):
        check_range(low, source, own, kind, name)
    low.emitter.emit(Op.MOV, target, source)


# -- checks ---------------------------------------------------------------------------------------


def check_range(low: Lowering, reg: Reg, own: IntType, kind: IntType, name: str) -> None:
    """Emit a check that `reg` (of type `own`) fits `kind`, where it might not."""
    least, most = bounds(kind)
    if least <= bounds(own)[0] and own.high <= most:
        return
    text = f"{literally(name) or 'the value'} would become {{0}}, outside {least}..{most}"
    low.emitter.emit(Op.RANGE, reg, least, most, Message("bounds", text, (reg,), (own,)))


def check_constant(low: Lowering, code: int, kind: IntType, name: str) -> None:
    """Emit the failure of a constant that does not fit `kind`."""
    least, most = bounds(kind)
    if least <= code <= most:
        return
    text = f"{literally(name) or 'the value'} would become {code}, outside {least}..{most}"
    low.emitter.emit(Op.FAIL, Message("bounds", text))


def no_bound(low: Lowering, node: ast.AST, name: str) -> Refused:
    """Return the refusal of an int without a bound."""
    last = name.rpartition(".")[2]
    fix = f"in set-up: self.{last} = Counter(high=7); or annotate it: Annotated[int, Int(0, 7)]"
    if name and "." not in name:
        fix = f"annotate it: {name}: Annotated[int, Int(0, 7)] = ..."
    return low.refuse(
        "E201",
        node,
        f"{name or 'this int'} has no bound the checker can see",
        "the state space is finite only if every int is bounded",
        fix,
    )


def fail_none(low: Lowering, name: str) -> None:
    """Emit the failure of using an attribute of None."""
    low.emitter.emit(Op.FAIL, Message("null_dereference", f"None has no {name}"))


def present(low: Lowering, chosen: Selected, name: str) -> Selected:
    """Emit a check that a reference, whose `name` is used, is not None; return it as such."""
    reg = chosen.reg
    if chosen.nullable:
        message = Message("null_dereference", f"None has no {name}")
        low.emitter.emit(Op.RANGE, reg, 0, len(chosen.objects) - 1, message)
    for number, item in enumerate(chosen.objects):
        if item is None:
            there = low.emitter.new_label()
            low.emitter.emit(Op.JNEK, reg, number, there)
            fail_none(low, name)
            low.emitter.place(there)
    return Selected(reg, tuple(NOBODY if o is None else o for o in chosen.objects))


def check_between(
    low: Lowering, reg: Reg, kind: Type, least: int, most: int, message: Message
) -> None:
    """Emit a check that `reg`, of type `kind`, is in `least..most`, where it might not be."""
    lowest, highest = bounds(kind)
    if lowest < least or most < highest:
        low.emitter.emit(Op.RANGE, reg, least, most, message)
