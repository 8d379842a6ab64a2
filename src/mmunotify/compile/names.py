"""Which local names of a function can be aliases and which need a register.

A name is an alias when every use follows a binding in that binding's own block, and no block with
a binding is inside another (two loops may use one name). Then it can stand for a constant, a
structure or a register without a copy. All other names are variables.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

__all__ = ["Names", "bound_in", "names_of", "parameters"]


@dataclass
class Names:
    """The names of one function, lambda or comprehension."""

    bound: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    annotations: dict[str, ast.expr] = field(default_factory=dict)


@dataclass(frozen=True)
class _Event:
    """A binding or a use: `block` is the path of blocks around it, outermost first."""

    block: tuple[int, ...]
    order: int


class _Visitor(ast.NodeVisitor):
    """Collects the bindings and uses of one function, those of inner scopes left out."""

    def __init__(self) -> None:
        self.path: list[int] = []
        self.order = 0
        self.blocks = 0
        self.hidden: list[set[str]] = []  # the names of the inner scopes being visited
        self.bindings: dict[str, list[_Event]] = {}
        self.loads: dict[str, list[_Event]] = {}
        self.annotations: dict[str, ast.expr] = {}
        self.again: set[str] = set()  # names that are variables whatever their bindings are

    def _here(self) -> _Event:
        self.order += 1
        return _Event(tuple(self.path), self.order)

    def _bind(self, name: str) -> None:
        if not any(name in names for names in self.hidden):
            self.bindings.setdefault(name, []).append(self._here())

    def _load(self, name: str) -> None:
        if not any(name in names for names in self.hidden):
            self.loads.setdefault(name, []).append(self._here())

    @contextmanager
    def _block(self) -> Iterator[None]:
        self.blocks += 1
        self.path.append(self.blocks)
        yield
        self.path.pop()

    def _visit_block(self, body: list[ast.stmt], binds: ast.AST | None = None) -> None:
        with self._block():
            if binds is not None:
                self.visit(binds)
            for statement in body:
                self.visit(statement)

    # -- names --------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._load(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        else:
            self.again.add(node.id)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)
        self.again.add(node.target.id)  # it may stand where it is not always evaluated

    # -- statements ---------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)
        if isinstance(node.target, ast.Name):
            self._bind(node.target.id)
            self.annotations[node.target.id] = node.annotation
            self.again.add(node.target.id)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._load(node.target.id)
            self._bind(node.target.id)
            self.again.add(node.target.id)
        else:
            self.visit(node.target)
        self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._visit_block(node.body)
        self._visit_block(node.orelse)

    def visit_While(self, node: ast.While) -> None:
        with self._block():
            self.visit(node.test)
        self._visit_block(node.body)
        self._visit_block(node.orelse)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self._visit_block(node.body, binds=node.target)
        self._visit_block(node.orelse)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item)
        for statement in node.body:  # a with block does not branch
            self.visit(statement)

    def visit_Try(self, node: ast.Try) -> None:
        self._visit_block(node.body)
        for handler in node.handlers:
            with self._block():
                if handler.name:
                    self._bind(handler.name)
                for statement in handler.body:
                    self.visit(statement)
        self._visit_block(node.orelse)
        self._visit_block(node.finalbody)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._bind(node.name)  # not in the subset: refused where it stands

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bind(node.name)

    # -- inner scopes -------------------------------------------------------------------------

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d)):
            self.visit(default)
        self.hidden.append(set(parameters(node.args)) | _walrus_targets(node.body))
        self.visit(node.body)
        self.hidden.pop()

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)
        targets = {n for g in node.generators for n in bound_in(g.target)}
        self.hidden.append(targets)
        for number, generator in enumerate(node.generators):
            if number:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.visit(condition)
        self.visit(node.elt)
        self.hidden.pop()


def _is_alias(bindings: list[_Event], loads: list[_Event]) -> bool:
    apart = all(not _inside(one, two) for one in bindings for two in bindings if one is not two)
    return apart and all(
        any(load.order > bound.order and _inside(load, bound) for bound in bindings)
        for load in loads
    )


def _inside(one: _Event, two: _Event) -> bool:
    return one.block[: len(two.block)] == two.block


def _walrus_targets(node: ast.AST) -> set[str]:
    return {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}


def bound_in(node: ast.AST) -> list[str]:
    """Return the names that a target or statement binds, however deep."""
    found: list[str] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.append(part.id)
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(part.name)
        elif isinstance(part, ast.alias):
            found.append((part.asname or part.name).partition(".")[0])
        elif isinstance(part, ast.MatchAs | ast.MatchStar | ast.ExceptHandler) and part.name:
            found.append(part.name)
    return found


def parameters(arguments: ast.arguments) -> list[str]:
    """Return the names of all parameters."""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [a.arg for a in every]


@cache
def names_of(node: ast.FunctionDef | ast.Lambda | ast.GeneratorExp) -> Names:
    """Return what `node` binds and which of it are variables."""
    if isinstance(node, ast.GeneratorExp):
        return Names({n for g in node.generators for n in bound_in(g.target)})
    arguments = set(parameters(node.args))
    if isinstance(node, ast.Lambda):
        targets = _walrus_targets(node.body)
        return Names(arguments | targets, targets)
    visitor = _Visitor()
    for statement in node.body:
        visitor.visit(statement)
    names = Names(set(visitor.bindings) | arguments, set(), visitor.annotations)
    for name, bindings in visitor.bindings.items():
        again = name in arguments or name in visitor.again
        if again or not _is_alias(bindings, visitor.loads.get(name, [])):
            names.variables.add(name)
    return names
