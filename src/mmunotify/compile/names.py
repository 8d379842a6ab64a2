"""Which local names of a function can be aliases and which need a register.

A name is an alias when every use follows a binding in that binding's own block, and no block with
a binding is inside another (two loops may use one name). Then it can stand for a constant, a
structure or a register without a copy. All other names are variables.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache

__all__ = ["Names", "names_of"]


@dataclass
class Names:
    """The names of one function."""

    bound: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    annotations: dict[str, ast.expr] = field(default_factory=dict)


@dataclass
class _Binding:
    block: tuple[int, ...]  # path of blocks, outermost first
    order: int


class _Visitor(ast.NodeVisitor):
    def __init__(self) -> None:
        self.path: list[int] = []
        self.order = 0
        self.blocks = 0
        self.bindings: dict[str, list[_Binding]] = {}
        self.loads: dict[str, list[_Binding]] = {}
        self.annotations: dict[str, ast.expr] = {}
        self.deleted: set[str] = set()

    def here(self) -> _Binding:
        self.order += 1
        return _Binding(tuple(self.path), self.order)

    def block(self, body: list[ast.stmt], binds: ast.AST | None = None) -> None:
        self.blocks += 1
        self.path.append(self.blocks)
        if binds is not None:
            self.visit(binds)
        for statement in body:
            self.visit(statement)
        self.path.pop()

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.loads.setdefault(node.id, []).append(self.here())
        elif isinstance(node.ctx, ast.Store):
            self.bindings.setdefault(node.id, []).append(self.here())
        else:
            self.deleted.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)
        if isinstance(node.target, ast.Name):
            self.annotations[node.target.id] = node.annotation

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.loads.setdefault(node.target.id, []).append(self.here())
            self.bindings.setdefault(node.target.id, []).append(self.here())
        else:
            self.visit(node.target)
        self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self.block(node.body)
        self.block(node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self.blocks += 1
        self.path.append(self.blocks)
        self.visit(node.test)
        self.path.pop()
        self.block(node.body)
        self.block(node.orelse)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self.block(node.body, binds=node.target)
        self.block(node.orelse)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item)
        for statement in node.body:  # a with block does not branch
            self.visit(statement)

    def visit_Try(self, node: ast.Try) -> None:
        self.block(node.body)
        for handler in node.handlers:
            if handler.name:
                self.bindings.setdefault(handler.name, []).append(self.here())
            self.block(handler.body)
        self.block(node.orelse)
        self.block(node.finalbody)


def _is_alias(bindings: list[_Binding], loads: list[_Binding]) -> bool:
    apart = all(not _inside(one, two) for one in bindings for two in bindings if one is not two)
    return apart and all(
        any(load.order > bound.order and _inside(load, bound) for bound in bindings)
        for load in loads
    )


def _inside(one: _Binding, two: _Binding) -> bool:
    return one.block[: len(two.block)] == two.block


@cache
def names_of(node: ast.FunctionDef) -> Names:
    """Return what `node` binds and which of it are variables."""
    visitor = _Visitor()
    for statement in node.body:
        visitor.visit(statement)
    arguments = {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    names = Names(set(visitor.bindings) | arguments, set(), visitor.annotations)
    for name, bindings in visitor.bindings.items():
        again = name in arguments or name in visitor.deleted or name in visitor.annotations
        if again or not _is_alias(bindings, visitor.loads.get(name, [])):
            names.variables.add(name)
    return names
