"""Random expressions of the subset, each of a known type.

Invariant: a name is used only where every way has bound it, and every int stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import strategies as st

__all__ = ["Expressions"]

_Options = list[Callable[[], str]]


class Expressions:
    """Writes one method: statements and expressions of known types."""

    def __init__(self, draw: Callable[..., int], methods: list[str]) -> None:
        self.draw = draw
        self.methods = methods  # those that may be called
        self.lines: list[str] = []
        self.indent = 2
        self.bound: set[str] = set()  # names that are bound on every way to here
        self.kept: set[str] = set()  # names that another round, or a handler, relies on
        self.fresh = 0
        self.loops = 0
        self.atomic = 0  # atomic blocks around here: no while may be there
        self.depth = 0
        self.budget = 14  # statements

    def pick(self, count: int) -> int:
        """Return any of 0..count-1, smaller ones being simpler."""
        return self.draw(st.integers(0, count - 1))

    def write(self, line: str) -> None:
        self.lines.append("    " * self.indent + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write a block; what it binds is not bound after it."""
        self.write(head)
        before, kept = set(self.bound), set(self.kept)
        self.kept |= before
        self.indent += 1
        start = len(self.lines)
        yield
        self.kept = kept
        if len(self.lines) == start:
            self.write("pass")
        self.indent -= 1
        self.bound &= before

    # -- expressions --------------------------------------------------------------------------

    def known(self, letter: str) -> list[str]:
        return sorted(n for n in self.bound if n[0] == letter)

    def some(self, letter: str, default: str) -> str:
        names = self.known(letter)
        return names[self.pick(len(names))] if names else default

    def integer(self, depth: int = 2) -> str:
        """An int from -10 to 20 or so."""
        simple: _Options = [
            lambda: str(self.pick(4)),
            lambda: self.some("i", "1"),
            lambda: "self.x",
            lambda: "self.count.read() % 4",
            lambda: f"self.tab[{self.pick(4)}]",
            lambda: f"self.nodes[{self.pick(3)}].val",
            lambda: f"{self.some('t', '(2, 1)')}[{self.pick(2)}]",
        ]
        if depth <= 0:
            return simple[self.pick(len(simple))]()
        low = depth - 1
        deep: _Options = [
            lambda: f"({self.integer(low)} + {self.integer(low)}) % {self.pick(5) + 2}",
            lambda: f"({self.integer(low)} - {self.integer(low)}) // {self.pick(3) + 2}",
            lambda: f"({self.integer(low)} * {self.pick(3)}) % 5",
            lambda: f"({self.integer(low)} {'&|^'[self.pick(3)]} {self.pick(8)})",
            lambda: f"{('min', 'max')[self.pick(2)]}({self.integer(low)}, {self.integer(low)})",
            lambda: f"({self.integer(low)} if {self.boolean(low)} else {self.integer(low)})",
            lambda: f"({self.integer(low)} {('and', 'or')[self.pick(2)]} {self.integer(low)})",
            lambda: f"int({self.boolean(low)})",
            lambda: f"-({self.integer(low)})",
            lambda: f"abs({self.integer(low)}) % 8",
            lambda: f"self.tab[{self.index(low)} % 4]",
            lambda: f"self.nodes[{self.index(low)} % 3].val",
            lambda: f"{self.reference(low)}.val",
            lambda: f"{self.node(low)}.cost()",
            lambda: f"{self.node(low)}.twice",
            lambda: "self.bump()",
            lambda: "self.move()",
            lambda: f"self.both({self.integer(low)})[{self.pick(2)}]",
            lambda: f"self.least({self.integer(low)}, b={self.integer(low)})",
            lambda: "self.title()",
            lambda: f"{self.node(low)}.grade()",
            lambda: f"choose(({self.pick(4)}, {self.pick(4)}, 2))",
            lambda: f"choose({self.pick(3) + 1})",
            lambda: ("self.atom.inc_return() % 4", "self.atom.read() % 4")[self.pick(2)],
            lambda: f"Span({self.pick(3)}, size={self.pick(3)}).end",
            lambda: f"Pair({self.integer(low)}, {self.integer(low)}).second",
            lambda: f"(lambda a, b={self.integer(low)}: (a + b) % 4)({self.integer(low)})",
            lambda: f"self.lists[{self.index(low)} % 3][{self.pick(2)}]",
            lambda: f"self.lists[{self.pick(3)}][{self.index(low)} % 2]",
            lambda: f"len(self.nodes) + {self.pick(2)}",
            lambda: f"({self.walrus()} := {self.integer(low)} % 4)",
            lambda: f"{self.node(low)}.row[{self.index(low)} % 3]",
            lambda: f"{self.reference(low)}.row[{self.pick(3)}]",
            lambda: f"self.boxes[{self.index(low)} % 3].read() % 4",
            lambda: f"{self.call('i')}",
        ]
        every = [*simple, *deep]
        return every[self.pick(len(every))]()

    def index(self, depth: int) -> str:
        return f"({self.integer(depth)})"

    def walrus(self) -> str:
        """A name that is only assigned here."""
        self.fresh += 1
        return f"w{self.fresh}"

    def boolean(self, depth: int = 2) -> str:
        simple: _Options = [
            lambda: ("True", "False")[self.pick(2)],
            lambda: self.some("b", "True"),
            lambda: "self.on",
            lambda: f"self.nodes[{self.pick(3)}].flag",
            lambda: "self.ref is None",
        ]
        if depth <= 0:
            return simple[self.pick(len(simple))]()
        low = depth - 1
        order = ("<", "<=", ">", ">=", "==", "!=")
        deep: _Options = [
            lambda: f"({self.integer(low)} {order[self.pick(6)]} {self.integer(low)})",
            lambda: f"({self.integer(low)} <= {self.integer(low)} < {self.integer(low)})",
            lambda: f"(not {self.boolean(low)})",
            lambda: f"({self.boolean(low)} and {self.boolean(low)})",
            lambda: f"({self.boolean(low)} or {self.boolean(low)})",
            lambda: f"({self.reference(low)} is {self.reference(low)})",
            lambda: f"({self.reference(low)} {('is', 'is not')[self.pick(2)]} None)",
            lambda: f"({self.reference(low)} == self.nodes[{self.pick(3)}])",
            lambda: f"({self.enum(low)} {('is', '==', '!=')[self.pick(3)]} {self.enum(low)})",
            lambda: f"({self.integer(low)} in (1, {self.integer(low)}, 3))",
            lambda: f"({self.integer(low)} not in range({self.pick(4)}))",
            lambda: f"({self.integer(low)} in Span({self.pick(4)}))",
            lambda: f"({self.enum(low)} in (Mode.A, self.mode))",
            lambda: f"any(n.val == {self.integer(low)} for n in self.nodes if {self.boolean(0)})",
            lambda: f"all(self.tab[k] <= {self.integer(low)} for k in self.tab)",
            lambda: f"self.modes[{self.enum(low)}]",
            lambda: f"{self.node(low)}.same({self.reference(low)})",
            lambda: "self.is_low()",
            lambda: f"self.marks.has({self.node(low)})",
            lambda: f"self.marks.test_and_add({self.node(low)})",
            lambda: ("self.queue.empty()", "self.queue.full()")[self.pick(2)],
            lambda: f"self.atom.cmpxchg({self.pick(2)}, {self.integer(low)} % 4)",
            lambda: f"(self.count {order[self.pick(6)]} {self.integer(low)})",
            lambda: f"bool({self.integer(low)})",
            lambda: f"({self.boolean(low)} if {self.boolean(low)} else {self.boolean(low)})",
            lambda: f"({self.pair(low)} == {self.pair(low)})",
            lambda: f"(self.seq.read() {('==', '!=')[self.pick(2)]} {self.some('s', 'None')})",
            lambda: f"(self.boxes[{self.index(low)} % 3] {order[self.pick(6)]} {self.pick(4)})",
            lambda: f"isinstance({self.reference(low)}, Special)",
            lambda: f"{self.call('b')}",
        ]
        every = [*simple, *deep]
        return every[self.pick(len(every))]()

    def node(self, depth: int) -> str:
        """A reference that is not None."""
        options: _Options = [
            lambda: f"self.nodes[{self.pick(3)}]",
            lambda: self.some("n", "self.own"),
            lambda: "self.own",
            lambda: f"self.pick({self.integer(depth - 1)})",
            lambda: f"self.nodes[{self.index(depth - 1)} % 3]",
        ]
        return options[self.pick(len(options) if depth > 0 else 3)]()

    def reference(self, depth: int) -> str:
        options: _Options = [
            lambda: self.node(depth),
            lambda: "None" if depth == 0 else "self.ref",
            lambda: "self.ref",
            lambda: self.some("r", "self.ref"),
            lambda: f"self.refs[{self.node(depth - 1)}]",
            lambda: f"self.nodes[{self.pick(3)}].link",
            lambda: f"self.maybe({self.integer(depth - 1)})",
            lambda: f"({self.node(depth - 1)} if {self.boolean(depth - 1)} else self.ref)",
            lambda: f"({self.some('r', 'self.ref')} or {self.node(depth - 1)})",
            lambda: self.call("r"),
        ]
        return options[self.pick(len(options) if depth > 0 else 4)]()

    def enum(self, depth: int) -> str:
        options: _Options = [
            lambda: f"Mode.{'ABC'[self.pick(3)]}",
            lambda: "self.mode",
            lambda: self.some("e", "self.mode"),
            lambda: f"self.nodes[{self.pick(3)}].mode",
            lambda: f"({self.enum(depth - 1)} if {self.boolean(depth - 1)} else Mode.C)",
        ]
        return options[self.pick(len(options) if depth > 0 else 4)]()

    def pair(self, depth: int) -> str:
        options: _Options = [
            lambda: f"({self.integer(depth - 1)} % 8, {self.integer(depth - 1)} % 8)",
            lambda: self.some("t", "(1, 0)"),
            lambda: f"self.both({self.integer(depth - 1)})",
        ]
        return options[self.pick(len(options) if depth > 0 else 2)]()

    def call(self, letter: str) -> str:
        """A call of another written method that returns such a value."""
        names = [m for m in self.methods if m[0] == letter]
        defaults = {"i": "self.y", "b": "self.on", "r": "self.ref"}
        if not names or self.atomic:
            return defaults[letter]
        name = names[self.pick(len(names))]
        return f"self.{name}({self.integer(0)}, {self.reference(0)})"
