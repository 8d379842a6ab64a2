"""The reference interpreter: the definition of what a program means.

Slow and obvious on purpose. The native core is tested against it, and every counterexample is
replayed here before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mmunotify.ir.ops import Op
from mmunotify.ir.program import Instr, Program

__all__ = [
    "Blocked",
    "Failed",
    "Observer",
    "State",
    "Step",
    "Stepped",
    "evaluate",
    "is_terminal",
    "pc",
    "step",
    "steps",
]

State = tuple[int, ...]
Observer = Callable[[int, list[int]], None]
"""Called before each instruction with its index and all slots, which it must not change."""

_BINARY: dict[Op, Callable[[int, int], int]] = {
    Op.ADD: lambda x, y: x + y,
    Op.SUB: lambda x, y: x - y,
    Op.MUL: lambda x, y: x * y,
    Op.AND: lambda x, y: x & y,
    Op.OR: lambda x, y: x | y,
    Op.XOR: lambda x, y: x ^ y,
    Op.EQ: lambda x, y: int(x == y),
    Op.NE: lambda x, y: int(x != y),
    Op.LT: lambda x, y: int(x < y),
    Op.LE: lambda x, y: int(x <= y),
}
_JUMPS: dict[Op, Callable[[int, int], bool]] = {
    Op.JEQ: lambda x, y: x == y,
    Op.JNE: lambda x, y: x != y,
    Op.JLT: lambda x, y: x < y,
    Op.JLE: lambda x, y: x <= y,
}


@dataclass(frozen=True)
class Stepped:
    """The step happened: the state after it."""

    state: State


@dataclass(frozen=True)
class Blocked:
    """The step cannot happen in this state (a `WAIT` was not met)."""


@dataclass(frozen=True)
class Failed:
    """The step ran into failure `failure`; `slots` is everything at that moment."""

    failure: int
    slots: State
    instruction: int


@dataclass(frozen=True)
class Step:
    """One way in which thread `thread` can go on, with the choices that select it."""

    thread: int
    choices: tuple[int, ...]
    result: Stepped | Blocked | Failed
    covered: frozenset[int]


class _Fail(Exception):
    def __init__(self, failure: int) -> None:
        self.failure = failure


class _Run:
    """One execution from a boundary to the next, following a given tape of choices."""

    def __init__(
        self,
        program: Program,
        state: Sequence[int],
        tape: Sequence[int],
        observe: Observer | None = None,
    ) -> None:
        self.program = program
        self.observe = observe
        self.slots = list(state) + [0] * (program.slots - len(state))
        self.tape = list(tape)
        self.taken: list[int] = []
        self.widths: list[int] = []  # alternatives at each choice taken
        self.covered: set[int] = set()
        self.at = 0

    def choose(self, width: int) -> int:
        position = len(self.taken)
        pick = self.tape[position] if position < len(self.tape) else 0
        self.taken.append(pick)
        self.widths.append(width)
        return pick

    def _element(self, base: int, index: int, length: int, failure: int) -> int:
        if not 0 <= index < length:
            raise _Fail(failure)
        return base + index

    def data(self, i: Instr) -> None:
        s, op = self.slots, i.op
        if op in _BINARY:
            s[i.a] = _BINARY[op](s[i.b], s[i.c])
        elif op is Op.CONST:
            s[i.a] = i.b
        elif op is Op.MOV:
            s[i.a] = s[i.b]
        elif op is Op.ADDK:
            s[i.a] = s[i.b] + i.c
        elif op in (Op.DIV, Op.MOD):
            if s[i.c] == 0:
                raise _Fail(i.d)
            s[i.a] = s[i.b] // s[i.c] if op is Op.DIV else s[i.b] % s[i.c]
        elif op is Op.NOT:
            s[i.a] = int(s[i.b] == 0)
        elif op is Op.LDX:
            s[i.a] = s[self._element(i.b, s[i.c], i.d, i.e)]
        elif op is Op.STX:
            s[self._element(i.a, s[i.b], i.d, i.e)] = s[i.c]
        elif op is Op.LDT:
            s[i.a] = self.program.table[self._element(i.b, s[i.c], i.d, i.e)]
        elif op is Op.FILL:
            s[i.a : i.a + i.b] = [i.c] * i.b
        elif op is Op.CHOOSE:
            s[i.a] = i.b + self.choose(i.c)
        elif op is Op.BUMP:
            for slot in self.program.epochs[i.a]:
                s[slot] = 2 if s[slot] == 1 else s[slot]
        else:
            raise AssertionError(f"no data operation: {op!r}")

    def jump(self, i: Instr) -> int | None:
        """Return the instruction to go to, or None to fall through."""
        s, op = self.slots, i.op
        if op is Op.JMP:
            return i.a
        if op in (Op.JZ, Op.JNZ):
            return i.b if (s[i.a] == 0) == (op is Op.JZ) else None
        if op in (Op.JEQK, Op.JNEK):
            return i.c if (s[i.a] == i.b) == (op is Op.JEQK) else None
        return i.c if _JUMPS[op](s[i.a], s[i.b]) else None

    def check(self, i: Instr) -> None:
        s, op = self.slots, i.op
        if op is Op.FAIL:
            raise _Fail(i.a)
        if op is Op.ASSERT and s[i.a] == 0:
            raise _Fail(i.b)
        if op is Op.RANGE and not i.b <= s[i.a] <= i.c:
            raise _Fail(i.d)

    def go(self, start: int) -> int | None:
        """Run from `start`; return the boundary reached (-1: END) or None when blocked."""
        self.at = start
        while True:
            i = self.program.code[self.at]
            if self.observe is not None:
                self.observe(self.at, self.slots)
            if i.op is Op.STEP:
                return i.a
            if i.op is Op.END:
                return -1
            if i.op is Op.WAIT and self.slots[i.a] == 0:
                return None
            target: int | None = None
            if i.op is Op.COVER:
                self.covered.add(i.a)
            elif i.op in (Op.FAIL, Op.ASSERT, Op.RANGE):
                self.check(i)
            elif Op.JMP <= i.op <= Op.JLE:
                target = self.jump(i)
            elif i.op is not Op.WAIT:
                self.data(i)
            self.at = self.at + 1 if target is None else target


def pc(program: Program, state: Sequence[int], thread: int) -> int:
    """Return the boundary at which thread number `thread` stands."""
    cell = program.threads[thread].pc
    return state[cell] + 128 * state[cell + 1]


def is_terminal(program: Program, state: Sequence[int]) -> bool:
    """Tell whether every thread that is no daemon has finished."""
    return all(t.daemon or pc(program, state, n) == t.done for n, t in enumerate(program.threads))


def is_at_rest(program: Program, state: State) -> bool:
    """Tell whether every thread has finished, but for daemons that have to wait.

    A daemon that can move has work left: what FINAL predicates say need not hold yet.
    """
    return is_terminal(program, state) and all(
        isinstance(one.result, Blocked)
        for number, thread in enumerate(program.threads)
        if thread.daemon
        for one in steps(program, state, number)
    )


def _finish(run: _Run, thread: int, boundary: int) -> State:
    owner = run.program.threads[thread]
    reached = owner.done if boundary < 0 else boundary
    run.slots[owner.pc : owner.pc + 2] = [reached % 128, reached // 128]
    return tuple(run.slots[: len(run.program.cells)])


def _one(program: Program, state: State, thread: int, run: _Run) -> Stepped | Blocked | Failed:
    try:
        boundary = run.go(program.threads[thread].entries[pc(program, state, thread)])
    except _Fail as fail:
        return Failed(fail.failure, tuple(run.slots), run.at)
    return Blocked() if boundary is None else Stepped(_finish(run, thread, boundary))


def steps(program: Program, state: State, thread: int) -> Iterator[Step]:
    """Yield every way in which `thread` can take its next step, in the order of the choices.

    A finished thread yields nothing. A blocked alternative is yielded as `Blocked`.
    """
    if pc(program, state, thread) == program.threads[thread].done:
        return
    tape: list[int] | None = []
    while tape is not None:
        run = _Run(program, state, tape)
        result = _one(program, state, thread, run)
        yield Step(thread, tuple(run.taken), result, frozenset(run.covered))
        tape = _next_tape(run.taken, run.widths)


def _next_tape(taken: list[int], widths: list[int]) -> list[int] | None:
    for position in reversed(range(len(taken))):
        if taken[position] + 1 < widths[position]:
            return [*taken[:position], taken[position] + 1]
    return None


def step(
    program: Program,
    state: State,
    thread: int,
    choices: Sequence[int] = (),
    observe: Observer | None = None,
) -> Step:
    """Return the next step of `thread` with these `choices`, the first ones where they run out.

    Choices left over are ignored. Raise `ValueError` if the thread has finished or has no such
    choice.
    """
    if pc(program, state, thread) == program.threads[thread].done:
        raise ValueError(f"thread {program.threads[thread].name} has finished")
    run = _Run(program, state, choices, observe)
    result = _one(program, state, thread, run)
    if not all(0 <= pick < width for pick, width in zip(run.taken, run.widths, strict=True)):
        raise ValueError(f"thread {program.threads[thread].name} has no choice {tuple(choices)}")
    return Step(thread, tuple(run.taken), result, frozenset(run.covered))


def evaluate(
    program: Program, state: State, entry: int, result: int, observe: Observer | None = None
) -> int | Failed:
    """Return the value of the predicate at `entry` in `state`, or the failure it ran into."""
    run = _Run(program, state, (), observe)
    try:
        run.go(entry)
    except _Fail as fail:
        return Failed(fail.failure, tuple(run.slots), run.at)
    return run.slots[result]
