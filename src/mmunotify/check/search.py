"""The search through all interleavings of a program, run by the native core.

Invariant: HOLDS is said only when every state that the reduction requires has been expanded; a
limit, an interrupt or a step that the core cannot run makes the verdict INCOMPLETE.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mmunotify import _core
from mmunotify.ir.interp import State
from mmunotify.ir.program import PredicateKind, Program, SymmetryKind
from mmunotify.ir.reduction import Ample, Reduction

__all__ = [
    "Broken",
    "BrokenKind",
    "Found",
    "MacroStep",
    "MicroStep",
    "Outcome",
    "Progress",
    "Reason",
    "Replayed",
    "Search",
    "Successor",
    "Verdict",
    "free_memory",
]


class Verdict(StrEnum):
    """What a search says about a program."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCOMPLETE = "incomplete"  # never a pass; `Found.reason` says why


class Reason(StrEnum):
    """Why a search is incomplete: a limit, or a step that the core cannot run."""

    MEMORY = "memory"
    STATES = "states"
    TIME = "time"
    INTERRUPTED = "interrupted"
    OVERFLOW = "overflow"  # a value beyond 16 bits
    ENDLESS = "endless"  # a step that reaches no boundary
    CHOICES = "choices"  # more than a million alternatives in one step
    PC = "pc"  # a thread's pc is no boundary
    RANGE = "range"  # a cell's value does not fit its bounds


class BrokenKind(StrEnum):
    """What was violated."""

    FAILURE = "failure"  # a step, or a predicate, ran into a failure
    PREDICATE = "predicate"
    DEADLOCK = "deadlock"
    CYCLE = "cycle"  # a fair cycle on which a PENDING predicate stays true


class Outcome(StrEnum):
    """What became of a step."""

    STEPPED = "stepped"
    BLOCKED = "blocked"
    FAILED = "failed"
    FAULT = "fault"  # the core cannot run it


@dataclass(frozen=True)
class Broken:
    """What was violated.

    `number` indexes `Program.failures`, or `Program.predicates` also of a cycle; -1 for a deadlock.
    """

    kind: BrokenKind
    number: int


@dataclass(frozen=True)
class MacroStep:
    """A step as the reduction has it; `boundary` is the one reached, -1 where the step failed."""

    thread: int
    choices: tuple[int, ...]
    boundary: int


@dataclass(frozen=True)
class MicroStep:
    """A step from one boundary to the very next, as the reference interpreter runs it."""

    thread: int
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Progress:
    """How far a search has come; `frontier` is the number of states in its present level."""

    states: int
    transitions: int
    depth: int
    frontier: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Found:
    """What a search has found, so far if it is incomplete.

    `path` and `schedule` are the same real execution, in steps of the reduction and in steps of
    the interpreter: to the violation, or to the state before a step that the core cannot run, else
    empty. Of a cycle, what repeats for ever begins with step `loop` of `schedule`; else it is -1.
    `shortest`: no execution with fewer steps violates anything of that kind. `covered` are indices
    into `Program.covers`, `entered` pairs of a thread and a boundary from which a step was taken,
    `reached` indices of REACHABLE and PENDING predicates that were true in some state. `bytes` is
    the memory of states and slots.
    """

    verdict: Verdict
    reduction: str
    states: int
    transitions: int
    depth: int
    seconds: float
    bytes: int
    reason: Reason | None = None
    detail: str = ""
    broken: Broken | None = None
    path: tuple[MacroStep, ...] = ()
    schedule: tuple[MicroStep, ...] = ()
    loop: int = -1
    shortest: bool = False
    by_walk: bool = False
    covered: frozenset[int] = frozenset()
    entered: frozenset[tuple[int, int]] = frozenset()
    reached: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Successor:
    """One way to go on: `number` is the boundary reached or the failure, `state` empty if none."""

    thread: int
    choices: tuple[int, ...]
    outcome: Outcome
    number: int
    state: State


@dataclass(frozen=True)
class Replayed:
    """What became of a schedule: `states[k]` is the state after step `k`.

    `outcome` is that of the last step tried, which is step `steps` unless it is STEPPED.
    """

    outcome: Outcome
    steps: int
    failure: int
    states: tuple[State, ...]


_PREDICATES = {
    PredicateKind.ALWAYS: 0,
    PredicateKind.NEVER: 1,
    PredicateKind.REACHABLE: 2,
    PredicateKind.FINAL: 3,
    PredicateKind.PENDING: 4,
}
_FAULTS = {
    Reason.OVERFLOW: "a value grows beyond 16 bits",
    Reason.ENDLESS: "a step does not end: it loops without reaching a boundary",
    Reason.CHOICES: "a step has too many alternatives",
    Reason.PC: "the program counter holds no boundary",
    Reason.RANGE: "a value does not fit its bounds",
}
_UNLIMITED = 2**64 - 1


class Search:
    """A search of one program under one reduction; it can be continued with larger limits."""

    def __init__(self, program: Program, reduction: Reduction | None = None) -> None:
        """Hand the program to the core.

        Raise `ValueError` for a program that is not well-formed: an operand out of range, control
        that leaves the code, a reduction that does not fit the program.
        """
        self.program = program
        self.reduction = Reduction() if reduction is None else reduction
        try:
            self._core = _core_search(program, self.reduction)
        except TypeError as error:  # a number beyond 32 bits
            raise ValueError("the program holds a value that is no 32-bit number") from error

    def run(
        self,
        *,
        max_states: int | None = None,
        max_bytes: int | None = None,
        max_seconds: float | None = None,
        workers: int = 1,
        parallel_from: int = 20_000,
        walks: bool = True,
        walk_steps: int = 20_000,
        seed: int = 0,
        first_violation: bool = True,
        progress: Callable[[Progress], bool | None] | None = None,
    ) -> Found:
        """Search until everything is decided or a limit is reached; a later call goes on.

        `max_states` counts the states of all calls, `max_seconds` the time of this one.
        `max_bytes` bounds the memory of states and slots; None means 80 % of what the machine
        has free. Levels of fewer than `parallel_from` states are left to one of the `workers`:
        a search that stays below is the same every time. Random walks of `walk_steps` steps in
        all come first unless `walks` is false; a violation they find ends the run unless
        `first_violation` is false: then the search is tried for a shorter one. `progress` is
        called about ten times a second and may return False to interrupt, as Ctrl-C does. What
        it raises is raised here.
        """

        def report(*numbers: float) -> bool | None:
            assert progress is not None
            states, transitions, depth, frontier, size, seconds = numbers
            return progress(
                Progress(
                    int(states), int(transitions), int(depth), int(frontier), int(size), seconds
                )
            )

        result = self._core.run(
            max_states=_limit(max_states),
            max_bytes=free_memory() if max_bytes is None else max_bytes,
            max_seconds=float("inf") if max_seconds is None else max_seconds,
            workers=workers,
            parallel_from=parallel_from,
            walk_steps=walk_steps if walks else 0,
            seed=seed % 2**64,
            first_violation=first_violation,
            progress=None if progress is None else report,
        )
        return self._found(result)

    def successors(self, state: Sequence[int], *, reduced: bool = False) -> tuple[Successor, ...]:
        """Return every way to go on from `state`, blocked ones included, thread by thread.

        With `reduced` a step runs to the next boundary that the reduction keeps, but no thread
        is left out and nothing is merged by symmetry.
        """
        return tuple(
            Successor(thread, tuple(choices), Outcome(outcome), number, _state(cells))
            for thread, choices, outcome, number, cells in self._core.successors(
                _bytes(state), reduced=reduced
            )
        )

    def replay(
        self, schedule: Iterable[tuple[int, Sequence[int]] | MicroStep], *, states: bool = True
    ) -> Replayed:
        """Run `schedule` from the initial state, one boundary a step, until a step does not happen.

        Where a step has more choices than given, the first alternatives are taken.
        """
        rows = [
            (step.thread, step.choices) if isinstance(step, MicroStep) else step
            for step in schedule
        ]
        outcome, steps, failure, cells = self._core.replay(rows, keep_states=states)
        size = len(self.program.cells)
        return Replayed(
            Outcome(outcome),
            steps,
            failure,
            tuple(_state(cells[at : at + size]) for at in range(0, len(cells), size or 1)),
        )

    def canonical(self, state: Sequence[int]) -> State:
        """Return the state that stands for `state` and all that are symmetric to it."""
        return _state(self._core.canonical(_bytes(state)))

    @property
    def bits(self) -> int:
        """The number of bits of a packed state."""
        return self._core.bits

    def _found(self, result: _core.Result) -> Found:
        verdict = Verdict.INCOMPLETE
        reason = broken = None
        detail = ""
        if result.stop == "complete":
            verdict = Verdict.HOLDS
        elif result.stop == "violated":
            verdict = Verdict.VIOLATED
            broken = Broken(BrokenKind(result.finding), result.number)
            if not result.path_valid:
                raise RuntimeError(
                    f"this is a bug in mmunotify: under the reduction {self.reduction.name!r} "
                    f"{broken} was found, but no execution leads to it"
                )
        elif result.stop == "fault":
            reason = Reason(result.fault)
            detail = self._explain(reason, result)
        else:
            reason = Reason(result.stop)
        covers = len(self.program.covers)
        cyclic = broken is not None and broken.kind is BrokenKind.CYCLE
        return Found(
            verdict=verdict,
            reduction=self.reduction.name,
            states=result.states,
            transitions=result.transitions,
            depth=result.depth,
            seconds=result.seconds,
            bytes=result.bytes,
            reason=reason,
            detail=detail,
            broken=broken,
            path=tuple(MacroStep(t, tuple(choices), b) for t, choices, b in result.path),
            schedule=tuple(MicroStep(t, tuple(choices)) for t, choices in result.schedule),
            loop=result.loop if cyclic else -1,
            shortest=broken is not None and not (cyclic or result.by_walk) and self._unreduced(),
            by_walk=result.by_walk,
            covered=frozenset(mark for mark in result.marks if mark < covers),
            entered=self._entered(result.marks),
            reached=frozenset(result.reached),
        )

    def _explain(self, reason: Reason, result: _core.Result) -> str:
        where = ""
        if reason is Reason.RANGE:
            where = f"cell {self.program.cells[result.number].name}: "
        elif result.thread >= 0:
            where = f"thread {self.program.threads[result.thread].name}: "
        elif result.number >= 0:
            where = f"predicate {self.program.predicates[result.number].name}: "
        return where + _FAULTS[reason]

    def _entered(self, marks: Sequence[int]) -> frozenset[tuple[int, int]]:
        starts = [len(self.program.covers)]
        for thread in self.program.threads:
            starts.append(starts[-1] + thread.done)
        marked = set(marks)
        return frozenset(
            (number, boundary)
            for number, thread in enumerate(self.program.threads)
            for boundary in range(thread.done)
            if starts[number] + boundary in marked
        )

    def _unreduced(self) -> bool:
        r = self.reduction
        return not (r.boundaries or r.clears or r.ample or r.symmetry)


def _limit(value: int | None) -> int:
    return _UNLIMITED if value is None else max(0, min(value, _UNLIMITED))


def free_memory() -> int:
    """Return 80 % of the memory that this process may still take, in bytes."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
        group = Path("/sys/fs/cgroup")  # that of a container; unlimited elsewhere
        allowed = (group / "memory.max").read_text(encoding="ascii").strip()
        if allowed != "max":
            used = int((group / "memory.current").read_text(encoding="ascii"))
            free = min(free, int(allowed) - used)
    except (OSError, ValueError):
        pass
    return max(free, 0) // 5 * 4


def _bytes(state: Sequence[int]) -> bytes:
    return bytes(value & 0xFF for value in state)


def _state(cells: bytes) -> State:
    return tuple(memoryview(cells).cast("b"))


def _core_search(program: Program, reduction: Reduction) -> _core.Search:
    cells = program.cells
    return _core.Search(
        lows=[cell.low for cell in cells],
        highs=[cell.high for cell in cells],
        initial=[cell.initial for cell in cells],
        slots=program.slots,
        code=[number for i in program.code for number in (i.op, *i.fields)],
        threads=[(thread.entries, thread.pc, thread.daemon) for thread in program.threads],
        table=program.table,
        epochs=program.epochs,
        covers=len(program.covers),
        predicates=[(_PREDICATES[p.kind], p.entry, p.result) for p in program.predicates],
        modes=reduction.boundaries,
        clears=reduction.clears,
        ample=None if reduction.ample is None else _ample(reduction.ample),
        symmetry=[_kind(program, kind) for kind in reduction.symmetry],
    )


_Rows = list[list[list[int]]]
_Table = Sequence[Sequence[int]]


def _ample(ample: Ample) -> tuple[int, _Rows, _Rows, _Table, list[_Rows], list[_Rows]]:
    """Return the masks cut into 64-bit words."""
    tables = (ample.reads, ample.writes, *ample.future_reads, *ample.future_writes)
    widest = max((mask.bit_length() for rows in tables for row in rows for mask in row), default=0)
    words = max(1, -(-widest // 64))

    def cut(rows: Sequence[Sequence[int]]) -> _Rows:
        return [[[mask >> 64 * w & _UNLIMITED for w in range(words)] for mask in r] for r in rows]

    return (
        words,
        cut(ample.reads),
        cut(ample.writes),
        ample.held,
        [cut(rows) for rows in ample.future_reads],
        [cut(rows) for rows in ample.future_writes],
    )


def _kind(
    program: Program, kind: SymmetryKind
) -> tuple[int, Sequence[Sequence[int]], list[tuple[list[int], tuple[int, ...]]]]:
    """Return the columns of a kind, and which cells' values denote its elements."""
    labels = program.labels[: len(program.cells)]
    valued = [
        ([cell for cell, its in enumerate(labels) if its == label], values)
        for label, values in kind.values
    ]
    return kind.size, kind.columns, valued
