"""Random mutations of a driver's source: most are wrong, and all are Python.

Invariant: the same seed gives the same text.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator

__all__ = ["mutated"]

_Block = list[ast.stmt]


def mutated(source: str, seed: int) -> str:
    """Return `source` with one to three random changes."""
    dice = random.Random(seed)
    tree = ast.parse(source)
    for _ in range(dice.choice((1, 1, 2, 3))):
        dice.choice(_CHANGES)(tree, dice)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _blocks(tree: ast.AST) -> Iterator[_Block]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def _some_block(tree: ast.Module, dice: random.Random) -> _Block:
    """Return a block of a body; set-up is plain Python, in which a loop may have no end."""
    setup = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    outside = [block for one in setup for block in _blocks(one)]
    outside += [n.body for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef)]
    every = [block for block in _blocks(tree) if not any(block is one for one in outside)]
    return dice.choice(every) if every else tree.body


def _delete(tree: ast.Module, dice: random.Random) -> None:
    block = _some_block(tree, dice)
    block[dice.randrange(len(block))] = ast.Pass()


def _duplicate(tree: ast.Module, dice: random.Random) -> None:
    block = _some_block(tree, dice)
    block.insert(dice.randrange(len(block) + 1), copy.deepcopy(dice.choice(block)))


def _move(tree: ast.Module, dice: random.Random) -> None:
    """Put a statement of one block into another."""
    statement = copy.deepcopy(dice.choice(_some_block(tree, dice)))
    block = _some_block(tree, dice)
    block.insert(dice.randrange(len(block) + 1), statement)


def _swap(tree: ast.Module, dice: random.Random) -> None:
    block = _some_block(tree, dice)
    dice.shuffle(block)


def _places(tree: ast.Module) -> list[tuple[ast.AST, str, int | None]]:
    """Return where an expression is read: a field of a node, or an element of one."""
    found: list[tuple[ast.AST, str, int | None]] = []
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if name in ("bases", "annotation", "returns", "decorator_list"):
                continue
            several = value if isinstance(value, list) else [value]
            for number, one in enumerate(several):
                if isinstance(one, ast.expr) and not isinstance(
                    getattr(one, "ctx", ast.Load()), ast.Store | ast.Del
                ):
                    found.append((node, name, number if isinstance(value, list) else None))
    return found


_SIMPLE = (
    *("None", "True", "0", "-1", "300", "1.5", "'text'", "[]", "{}", "..."),
    *("self", "self.mm", "print", "len", "lambda: 0"),
)


def _replace(tree: ast.Module, dice: random.Random) -> None:
    """Put one expression of the file, or a simple one, in the place of another."""
    places = _places(tree)
    node, name, number = dice.choice(places)
    other, its_name, its_number = dice.choice(places)
    value = getattr(other, its_name)
    new = copy.deepcopy(value if its_number is None else value[its_number])
    if dice.random() < 0.4:
        simple = ("None", "0", "-1", "300", "'text'", "1.5", "self", "self.mm", "[]", "{}", "...")
        new = ast.parse(
            dice.choice((*simple, "True", "print", "len", "lambda: 0")), mode="eval"
        ).body
    if number is None:
        setattr(node, name, new)
    else:
        getattr(node, name)[number] = new


def _rename(tree: ast.Module, dice: random.Random) -> None:
    """Let a name or attribute be another one of the file."""
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    attributes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    if names and (not attributes or dice.random() < 0.5):
        dice.choice(names).id = dice.choice(names).id
    elif attributes:
        dice.choice(attributes).attr = dice.choice(attributes).attr


def _wrap(tree: ast.Module, dice: random.Random) -> None:
    """Put a statement into a loop, a condition or a handler."""
    block = _some_block(tree, dice)
    at = dice.randrange(len(block))
    heads = (
        "while True:\n    pass",
        "while self.lock.owner:\n    pass",
        "for page in self.mm.pages:\n    pass",
        "if write:\n    pass",
        "try:\n    pass\nfinally:\n    pass",
        "with self.lock:\n    pass",
        "with atomic():\n    pass",
        "def inner():\n    pass",
    )
    outer = ast.parse(dice.choice(heads)).body[0]
    outer.body = [block[at]]  # type: ignore[attr-defined]
    block[at] = outer


def _operator(tree: ast.Module, dice: random.Random) -> None:
    """Compare or compute otherwise."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Compare | ast.BinOp | ast.AugAssign)]
    if not nodes:
        return
    node = dice.choice(nodes)
    if isinstance(node, ast.Compare):
        node.ops[0] = dice.choice((ast.Is, ast.IsNot, ast.Lt, ast.Eq, ast.In, ast.NotEq))()
    else:
        node.op = dice.choice((ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Pow, ast.LShift))()


_CHANGES: tuple[Callable[[ast.Module, random.Random], None], ...] = (
    _delete,
    _duplicate,
    _move,
    _swap,
    _replace,
    _replace,
    _replace,
    _rename,
    _rename,
    _wrap,
    _operator,
)
