"""Runs a body twice, as plain Python and compiled, and tells what came out in the same words.

Invariant: both runs are alone and take the first alternative of every choice, so they must agree
in every cell, and in what stopped them.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from types import FrameType, ModuleType
from typing import Any

from mmunotify.compile import compile_world
from mmunotify.ir.interp import Failed, State, Stepped, is_terminal, step
from mmunotify.ir.program import CellKind, Program
from mmunotify.lang import Counter, Epoch, Failure, Table, Thread, Violation
from mmunotify.lang.runtime import Alone, WouldBlock, installed

__all__ = ["Outcome", "World", "compiled", "module_of", "plain", "program_of", "twins"]

_STEPS = 20_000
_numbers = count()


@dataclass
class World:
    """A closed system for the compiler."""

    threads: list[Thread]
    finals: list[tuple[str, Callable[[], bool]]] = field(default_factory=list)
    always: dict[str, Callable[[], bool]] = field(default_factory=dict)
    never: dict[str, Callable[[], bool]] = field(default_factory=dict)
    reachable: dict[str, Callable[[], bool]] = field(default_factory=dict)
    pending: dict[str, Callable[[], bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What stopped a run ("" if it ended, else a property or "blocked"), and what it left."""

    stopped: str
    cells: dict[str, str]


@contextmanager
def module_of(source: str) -> Iterator[ModuleType]:
    """Make a module of a source text, as if it stood in a file, while the block lasts."""
    name = f"twin_{next(_numbers)}"
    file = f"/twins/{name}.py"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    module = ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    try:
        exec(compile(source, file, "exec"), vars(module))
        yield module
    finally:
        del sys.modules[name], linecache.cache[file]


# -- as plain Python ------------------------------------------------------------------------------


def plain(machine: Any) -> Outcome:
    """Run `machine.body()` as plain Python up to what the model calls a violation."""
    found: list[Outcome] = []

    before, thread = sys.gettrace(), Thread("t", machine.body)

    def cells() -> dict[str, str]:
        return dict(_cells([("m", machine), ("t", thread)]))

    def watch(_: FrameType, event: str, argument: Any) -> Any:
        if event == "exception" and not found:
            stopped = _stopped(argument[0], argument[1])
            if stopped:  # a model does not go on from here, whatever Python does
                found.append(Outcome(stopped, cells()))
        return watch

    with installed(Alone(thread)):
        sys.settrace(watch)
        try:
            machine.body()
        except Failure:
            found.append(Outcome("uncaught", cells()))
        except Exception:
            if not found:
                raise
        finally:
            sys.settrace(before)
    return found[0] if found else Outcome("", cells())


def _stopped(kind: type[BaseException], error: BaseException) -> str:
    """Return the property that an exception of plain Python stands for; "" if it can be caught."""
    if isinstance(error, Violation):
        return error.property
    names: list[tuple[type[Exception], str]] = [
        (WouldBlock, "blocked"),
        (UnboundLocalError, "unbound"),
        (AttributeError, "null_dereference"),
        (TypeError, "null_dereference"),
        (KeyError, "bounds"),
        (IndexError, "bounds"),
        (ZeroDivisionError, "bounds"),
        (AssertionError, "assertion"),
    ]
    return next((name for known, name in names if issubclass(kind, known)), "")


def _cells(todo: list[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of everything that can be a cell."""
    seen: set[int] = set()
    while todo:
        where, value = todo.pop()
        if isinstance(value, list | tuple):
            todo += [(f"{where}[{n}]", v) for n, v in enumerate(value)]
        elif isinstance(value, Table) and id(value) not in seen:
            seen.add(id(value))
            where = getattr(value, "name", where)
            for key, item in value.values.items():
                yield f"{where}[{_text(key)}]", _text(item)
                todo.append((f"{where}[{_text(key)}]", item))
        elif isinstance(value, Counter):
            yield where, str(value.value)
        elif _is_object(value) and id(value) not in seen:
            seen.add(id(value))
            where = getattr(value, "name", where)
            for attribute, item in vars(value).items():
                yield f"{where}.{attribute}", _text(item)
                todo.append((f"{where}.{attribute}", item))


def _is_object(value: Any) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, type | Enum | Epoch)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return value.name
    return str(getattr(value, "name", value))


# -- compiled -------------------------------------------------------------------------------------


def program_of(machine: Any, **compiling: Any) -> Program:
    """Compile a world with the one thread that runs `machine.body()`."""
    return compile_world(World([Thread("t", machine.body)]), **compiling)


def compiled(program: Program) -> Outcome:
    """Run the only thread of `program` in the reference interpreter."""
    state: State = program.initial
    for _ in range(_STEPS):
        if is_terminal(program, state):
            return Outcome("", _shown(program, state))
        result = step(program, state, 0).result
        if isinstance(result, Failed):
            return Outcome(program.failures[result.failure].property, _shown(program, result.slots))
        if not isinstance(result, Stepped):
            return Outcome("blocked", _shown(program, state))
        state = result.state
    raise AssertionError("the run does not end")


def _shown(program: Program, state: State) -> dict[str, str]:
    return {
        cell.name: cell.show(state[n])
        for n, cell in enumerate(program.cells)
        if cell.kind is CellKind.SHARED
    }


# -- both -----------------------------------------------------------------------------------------


def twins(make: Callable[[], Any]) -> Outcome:
    """Run a new machine each way, assert that they agree, and return what came out."""
    expected = plain(make())
    found = compiled(program_of(make()))
    assert found.stopped == expected.stopped
    if found.stopped == "blocked":  # the step that does not happen leaves nothing behind
        return expected
    for name, text in found.cells.items():
        like = [v for k, v in expected.cells.items() if k == name or k.endswith(f".{name}")]
        assert len(like) == 1, (name, sorted(expected.cells))
        assert _same(text, like[0]), f"{name}: {text} and in plain Python {like[0]}"
    return expected


def _same(one: str, two: str) -> bool:
    numbers = {"no": "0", "yes": "1"}
    return one == two or numbers.get(one, one) == numbers.get(two, two)
