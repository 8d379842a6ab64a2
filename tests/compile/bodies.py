"""Random bodies in the subset, as source text that both plain Python and the compiler accept."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from tests.compile.expressions import Expressions
from tests.compile.prelude import PRELUDE

__all__ = ["bodies", "module_text"]

_Options = list[Callable[[], str]]


def module_text(body: str) -> str:
    """Return the whole module around the methods that `bodies` draws."""
    return f"{PRELUDE}{body}"


class _Writer(Expressions):
    """Writes one method: statements."""

    # -- statements ---------------------------------------------------------------------------

    def value(self, letter: str) -> str:
        values: dict[str, Callable[[], str]] = {
            "i": lambda: f"({self.integer()}) % 8",
            "b": self.boolean,
            "r": lambda: self.reference(2),
            "n": lambda: self.node(2),
            "e": lambda: self.enum(2),
            "t": lambda: self.pair(2),
            "s": lambda: "self.seq.read()",
        }
        return values[letter]()

    def name(self, letter: str) -> str:
        return f"{letter}{self.pick(3)}"

    def assign(self) -> None:
        letter = "ibrnets"[self.pick(7)]
        value = self.value(letter)
        name = self.name(letter)
        self.write(f"{name} = {value}")
        self.bound.add(name)

    def store(self) -> None:
        options: _Options = [
            lambda: f"self.x = ({self.integer()}) % 8",
            lambda: f"self.on = {self.boolean()}",
            lambda: f"self.ref = {self.reference(2)}",
            lambda: f"self.own = {self.node(2)}",
            lambda: f"self.mode = {self.enum(2)}",
            lambda: f"self.tab[{self.index(1)} % 4] = ({self.integer()}) % 8",
            lambda: f"self.refs[{self.node(1)}] = {self.reference(1)}",
            lambda: f"self.modes[{self.enum(1)}] = {self.boolean(1)}",
            lambda: f"{self.reference(1)}.val = ({self.integer()}) % 8",
            lambda: f"{self.node(1)}.flag = {self.boolean(1)}",
            lambda: f"{self.node(1)}.link = {self.reference(1)}",
            lambda: f"{self.node(1)}.mode = {self.enum(1)}",
            lambda: f"self.nodes[0].twice = ({self.integer()}) % 8",
            lambda: f"{self.node(1)}.row[{self.index(1)} % 3] = ({self.integer(1)}) % 8",
            lambda: "self.seq.bump()",
            lambda: f"self.marks.discard({self.node(1)})",
            lambda: f"self.queue.put({self.node(1)})",
            lambda: "self.ref = self.queue.get()",
            lambda: f"self.tab.fill(({self.integer()}) % 8)",
            lambda: f"self.count.set(({self.integer()}) % 8)",
            lambda: f"self.x = self.y = ({self.integer(1)}) % 8",
            lambda: f"self.x, self.on = ({self.integer(1)}) % 8, {self.boolean(1)}",
            lambda: "self.x, self.y = self.y, self.x",
        ]
        self.write(options[self.pick(len(options))]())

    def augment(self) -> None:
        options: _Options = [
            lambda: f"self.count += {self.pick(3)}",
            lambda: f"self.count += ({self.integer(1)}) % 3",
            lambda: f"{self.node(1)}.count += {self.pick(3)}",
            lambda: f"self.boxes[{self.index(1)} % 3] += {self.pick(3)}",
            lambda: f"{self.node(1)}.row[{self.index(1)} % 3] ^= ({self.integer(1)}) % 8",
            lambda: f"self.x ^= ({self.integer(1)}) % 8",
            lambda: f"self.tab[{self.index(1)} % 4] ^= ({self.integer(1)}) % 8",
            lambda: f"{self.node(1)}.val &= {self.integer(1)} % 8",
            lambda: f"{self.some('i', 'self.y')} //= {self.pick(2) + 1}",
            lambda: f"{self.some('i', 'self.y')} |= {self.pick(4)}",
        ]
        self.write(options[self.pick(len(options))]())

    def swap(self) -> None:
        letter = "ir"[self.pick(2)]
        names = self.known(letter)
        if len(names) >= 2:
            a, b = names[self.pick(len(names))], names[self.pick(len(names))]
            self.write(f"{a}, {b} = {b}, {a}")

    def unpack(self) -> None:
        pair = self.pair(1)
        a, b = self.name("i"), self.name("i")
        self.write(f"{a}, {b} = {pair}")
        self.bound |= {a, b}

    def branch(self) -> None:
        with self.block(f"if {self.boolean()}:"):
            self.body()
        before = set(self.bound)
        if self.pick(2):
            with self.block("else:"):
                self.body()
        self.bound &= before

    def both_ways(self) -> None:
        """An if that binds a name on both ways."""
        letter = "ibret"[self.pick(5)]
        name = self.name(letter)
        test = self.boolean(1)
        for head in (f"if {test}:", "else:"):
            with self.block(head):
                self.write(f"{name} = {self.value(letter)}")
        self.bound.add(name)

    def loop(self) -> None:
        self.loops += 1
        kind = self.pick(7)
        target = self.name("i")
        heads = [
            lambda: f"for {target} in range({self.pick(4)}):",
            lambda: f"for {target} in range(({self.integer(1)}) % 4):",
            lambda: f"for {target} in range({self.pick(2)}, ({self.integer(1)}) % 5):",
            lambda: f"for {target} in ({self.integer(1)} % 8, {self.integer(1)} % 8):",
            lambda: f"for {target} in self.tab:",
            lambda: f"for {target} in Span(({self.integer(1)}) % 4):",
            lambda: f"for {target}, {self.nodes_name()} in enumerate(self.nodes):",
        ]
        head = heads[kind]()
        outside = set(self.bound)
        with self.block(head):
            self.bound |= {n.strip(",") for n in head[4 : head.index(" in ")].split()}
            self.body()
        self.bound &= outside
        self.loops -= 1
        self.otherwise()

    def nodes_name(self) -> str:
        return self.name("n")

    def whilst(self) -> None:
        if self.atomic:
            return
        self.loops += 1
        with self.block(f"while self.fuel > 0 and {self.boolean(1)}:"):
            self.write("self.fuel -= 1")
            self.body()
        self.loops -= 1
        self.otherwise()

    def otherwise(self) -> None:
        if self.pick(4) == 3:
            with self.block("else:"):
                self.body()

    def leave(self) -> None:
        with self.block(f"if {self.boolean(1)}:"):
            self.write(("break", "continue")[self.pick(2)])

    def guard(self) -> None:
        heads = ["with self.open:", "with self.kept as i2:", "with atomic():", "with self.lock:"]
        head = heads[self.pick(4)]
        inside = head == "with atomic():"
        self.atomic += inside
        with self.block(head):
            self.body()
        self.atomic -= inside

    def attempt(self) -> None:
        before = set(self.bound)
        with self.block("try:"):
            self.body()
            if self.pick(2):
                self.write(f"self.x = self.fail({self.integer(1)}) % 8")
        clauses = self.pick(4)
        kinds = [["Slip"], ["Fall", "Slip"], ["Fall"], []][clauses]
        for kind in kinds:
            with self.block(f"except {kind}:"):
                self.body()
                if self.pick(5) == 4:
                    self.write("raise")
        if kinds and self.pick(4) == 3:
            with self.block("else:"):
                self.body()
        if not kinds or self.pick(3) == 2:
            with self.block("finally:"):
                self.body()
        self.bound = before & self.bound

    def throw(self) -> None:
        with self.block(f"if {self.boolean(1)}:"):
            self.write(("raise Slip", "raise Fall")[self.pick(2)])

    def give(self) -> None:
        with self.block(f"if {self.boolean(1)}:"):
            self.write(f"return {self.value(self.letter)}")

    def check(self) -> None:
        options = [
            f"assert {self.boolean(1)} or True",
            f"require('mine', {self.boolean(1)} or self.y == 3, 'wrong')",
            f"wait_until(lambda: {self.boolean(1)} or True)",
        ]
        self.write(options[self.pick(3)])

    def forget(self) -> None:
        names = [n for n in self.known("i") if n not in self.kept]
        if names:
            name = names[self.pick(len(names))]
            self.write(f"del {name}")
            self.bound.discard(name)

    def closure(self) -> None:
        self.fresh += 1
        name = f"f{self.fresh}"
        self.write(f"{name} = lambda a: ({self.integer(1)} + a) % 8")
        target = self.name("i")
        self.write(f"{target} = {name}({self.integer(0)})")
        self.bound.add(target)

    def statement(self) -> None:
        kinds = [
            self.assign,
            self.store,
            self.assign,
            self.store,
            self.augment,
            self.branch,
            self.loop,
            self.both_ways,
            self.unpack,
            self.swap,
            self.guard,
            self.attempt,
            self.throw,
            self.give,
            self.whilst,
            self.check,
            self.forget,
            self.closure,
        ]
        if self.loops:
            kinds += [self.leave, self.leave]
        kinds[self.pick(len(kinds))]()

    def body(self) -> None:
        self.depth += 1
        for _ in range(self.pick(3) + 1):
            self.budget -= 1
            if self.budget < 0 or self.depth > 4:
                break
            self.statement()
        self.depth -= 1

    def method(self, name: str, letter: str) -> list[str]:
        """Write a method that returns a value of the type that `letter` stands for."""
        self.letter = letter
        self.indent = 1
        self.write(f"def {name}(self, i0, r0):")
        self.indent = 2
        self.bound = {"i0", "r0"}
        for _ in range(self.pick(4) + 1):
            self.statement()
        self.write(f"return {self.value(letter)}")
        return self.lines


@st.composite
def bodies(draw: Callable[..., int]) -> str:
    """The methods of class `Machine`, one of them `body`."""
    methods: list[str] = []
    lines: list[str] = []
    for number in range(draw(st.integers(0, 2))):
        letter = "ibr"[draw(st.integers(0, 2))]
        writer = _Writer(draw, list(methods))
        writer.budget = 8
        lines += writer.method(f"{letter}_method{number}", letter)
        methods.append(f"{letter}_method{number}")
    writer = _Writer(draw, methods)
    lines += writer.method("run", "i")
    lines += ["    def body(self):", "        self.y = self.run(2, self.ref) % 8"]
    return "\n".join(lines) + "\n"
