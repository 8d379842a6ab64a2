"""Limits, interruption, resumption, replay, and programs the core must refuse or survive."""

from __future__ import annotations

import signal
from dataclasses import replace
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.builder import Builder
from tests.core.machines import endless_step, odometer, philosophers
from tests.core.programs import programs
from tests.core.protocol import protocol
from tests.core.reference import TooBig
from tests.core.reference import search as refer

from mmunotify import _core
from mmunotify.check.search import (
    BrokenKind,
    Found,
    Outcome,
    Progress,
    Reason,
    Search,
    Verdict,
)
from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import (
    Cell,
    CellKind,
    Instr,
    Predicate,
    PredicateKind,
    Program,
    SymmetryKind,
    Thread,
)
from mmunotify.ir.reduction import Ample, Boundary, Reduction

MIDDLE = (2, 1, 2, 3, 1)  # of the benchmark protocol: 76,567 states


def counts(found: Found) -> tuple[Verdict, int, int, int]:
    """Return what must not depend on how a search was run."""
    return found.verdict, found.states, found.transitions, found.depth


# Limits ---------------------------------------------------------------------------------------


def test_limit_on_states() -> None:
    """The limit is kept to the state, and a search that just fits is complete."""
    program = protocol(*MIDDLE)
    found = Search(program).run(max_states=10_000, walks=False)
    assert (found.verdict, found.reason, found.states) == (
        Verdict.INCOMPLETE,
        Reason.STATES,
        10_000,
    )
    assert Search(program).run(max_states=76_567).verdict is Verdict.HOLDS
    assert Search(program).run(max_states=76_566).verdict is Verdict.INCOMPLETE
    assert Search(program).run(max_states=0).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("megabytes", [0, 1, 2, 4])
def test_limit_on_memory(megabytes: int, workers: int) -> None:
    """Memory is never taken beyond the limit, and as much as fits is used."""
    program = protocol(*MIDDLE)
    limit = megabytes << 20
    found = Search(program).run(max_bytes=limit, walks=False, workers=workers, parallel_from=100)
    if megabytes < 2:
        assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, Reason.MEMORY)
        assert found.bytes <= max(limit, 1 << 16)
    if megabytes > 0:
        assert found.states > min(76_000, limit // 40)
    if megabytes == 4:
        assert found.verdict is Verdict.HOLDS


def test_limit_on_time() -> None:
    """A search that would take minutes stops in time."""
    program = odometer(digits=12, base=8)
    found = Search(program).run(max_seconds=0.05, max_bytes=1 << 30, walks=False)
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, Reason.TIME)
    assert found.seconds < 5
    assert found.states > 0


@pytest.mark.parametrize("workers", [1, 2])
def test_resume(workers: int) -> None:
    """A search in many parts ends with the same numbers as one in a single part."""
    program = protocol(*MIDDLE)
    whole = Search(program).run(walks=False)
    parts = Search(program)
    stops = 0
    found = parts.run(max_states=1, walks=False, workers=workers, parallel_from=50)
    while found.verdict is Verdict.INCOMPLETE:
        stops += 1
        more = found.states * 5 // 4 + 1
        by_memory = stops % 3 == 0
        found = parts.run(
            max_states=None if by_memory else more,
            max_bytes=found.bytes * 5 // 4 + 4096 if by_memory else None,
            workers=workers,
            walks=False,
            parallel_from=50,
        )
    assert stops > 10
    assert counts(found) == counts(whole)
    assert (found.covered, found.entered) == (whole.covered, whole.entered)
    assert counts(parts.run()) == counts(whole)


def test_resumed_bug_is_shortest() -> None:
    """A bug is found by the same number of steps after any number of stops."""
    search = Search(protocol(*MIDDLE, bug=True))
    most = 100
    found = search.run(max_states=most, walks=False)
    while found.verdict is Verdict.INCOMPLETE:
        most += 777
        found = search.run(max_states=most, walks=False)
    whole = Search(protocol(*MIDDLE, bug=True)).run(walks=False)
    assert len(found.path) == len(whole.path)
    assert search.run().path == found.path


# Progress and interruption --------------------------------------------------------------------


def test_progress() -> None:
    """Progress is told while the search runs, and grows."""
    seen: list[Progress] = []
    Search(odometer(digits=12, base=8)).run(
        progress=seen.append, max_seconds=0.6, max_bytes=1 << 30, walks=False
    )
    assert 2 <= len(seen) <= 10
    assert all(a.states < b.states and a.seconds < b.seconds for a, b in pairwise(seen))
    assert all(p.bytes > 0 and p.frontier > 0 and p.transitions >= p.states - 1 for p in seen)


@pytest.mark.parametrize("workers", [1, 2])
def test_stopped_by_progress(workers: int) -> None:
    """A callback that returns False ends the search; it can be continued."""
    search = Search(odometer(digits=9, base=8))
    found = search.run(
        progress=lambda _: False, workers=workers, max_bytes=1 << 30, walks=False, max_seconds=20
    )
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, Reason.INTERRUPTED)
    again = search.run(max_states=found.states + 1000, walks=False)
    assert again.states == found.states + 1000


def test_control_c() -> None:
    """Ctrl-C ends the search and keeps what it found."""

    def interrupt(_: Progress) -> None:
        signal.raise_signal(signal.SIGINT)

    search = Search(odometer(digits=12, base=8))
    found = search.run(progress=interrupt, max_seconds=20, max_bytes=1 << 30, walks=False)
    assert found.reason is Reason.INTERRUPTED
    assert found.states > 0


def test_error_in_progress() -> None:
    """What a callback raises is raised, and the search is not broken by it."""

    def fail(_: Progress) -> None:
        raise LookupError("no terminal")

    search = Search(odometer(digits=12, base=8))
    with pytest.raises(LookupError, match="no terminal"):
        search.run(progress=fail, max_seconds=20, max_bytes=1 << 30, walks=False)
    assert search.run(max_states=10**6, walks=False).states == 10**6


def test_not_twice_at_once() -> None:
    """A search that runs cannot be run again from its own callback."""
    search = Search(odometer(digits=12, base=8))

    def again(_: Progress) -> None:
        search.run()

    with pytest.raises(RuntimeError, match="running already"):
        search.run(progress=again, max_seconds=20, max_bytes=1 << 30, walks=False)


# Several workers ------------------------------------------------------------------------------


@settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    max_examples=max(settings().max_examples, 100),
)
@given(programs(), st.integers(2, 4))
def test_workers(program: Program, workers: int) -> None:
    """Any number of workers finds the same."""
    one = Search(program).run(walks=False)
    many = Search(program).run(walks=False, workers=workers, parallel_from=1)
    assert one.verdict is many.verdict
    if one.verdict is Verdict.HOLDS:
        assert counts(one) == counts(many)
        assert (one.covered, one.entered, one.reached) == (many.covered, many.entered, many.reached)
    else:
        assert abs(len(one.path) - len(many.path)) <= 1  # a deadlock may tie with a failure


def test_growing_with_workers() -> None:
    """The table grows while several workers insert: nothing is lost, nothing is there twice."""
    found = Search(odometer(digits=9, base=4)).run(workers=3, parallel_from=1, walks=False)
    assert (found.verdict, found.states) == (Verdict.HOLDS, 4**9)


# Deadlocks, daemons, faults -------------------------------------------------------------------


def test_deadlock() -> None:
    """Philosophers who all take the left fork starve, by a path of one step each."""
    found = Search(philosophers(4)).run(walks=False)
    assert found.broken is not None
    assert found.broken.kind is BrokenKind.DEADLOCK
    assert sorted(step.thread for step in found.path) == [0, 1, 2, 3]
    assert Search(philosophers(4, left_handed=True)).run().verdict is Verdict.HOLDS


def test_deadlock_by_walk() -> None:
    """Walks see deadlocks too."""
    found = Search(philosophers(2)).run(seed=3)
    assert found.by_walk
    assert found.broken is not None
    assert found.broken.kind is BrokenKind.DEADLOCK


def test_step_without_end() -> None:
    """A step that does not end is reported, with the thread and the way to it; nothing hangs."""
    found = Search(endless_step()).run()
    assert (found.verdict, found.reason) == (Verdict.INCOMPLETE, Reason.ENDLESS)
    assert "spinner" in found.detail
    assert [step.boundary for step in found.path] == [1]


def one_step(*code: tuple[Op, tuple[int | str, ...]], high: int = 127) -> Program:
    """Return one thread with one step; `x` is cell 0."""
    b = Builder()
    b.cell("x", -128, high, 1)
    b.failure("failure")
    b.thread("t", 1).boundary()
    for op, operands in code:
        b.emit(op, *operands)
    b.emit(Op.END)
    return b.build()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (one_step((Op.CONST, ("a", 200)), (Op.MUL, ("a", "a", "a"))), Reason.OVERFLOW),
        (one_step((Op.CONST, (0, 120)), (Op.ADD, (0, 0, 0))), Reason.RANGE),
        (one_step((Op.CONST, (0, 2)), high=2), None),
        (one_step((Op.CHOOSE, ("a", 0, 30_000)), (Op.CHOOSE, ("b", 0, 30_000))), Reason.CHOICES),
    ],
)
def test_faults(program: Program, reason: Reason | None) -> None:
    """What the core cannot run makes a search incomplete, never wrong."""
    found = Search(program).run()
    assert found.reason is reason
    assert found.verdict is (Verdict.HOLDS if reason is None else Verdict.INCOMPLETE)


def test_many_boundaries() -> None:
    """A thread may have more than 128 boundaries."""
    b = Builder()
    t = b.thread("long", 300)
    for number in range(300):
        assert t.boundary() == number
        b.emit(Op.STEP, number + 1) if number < 299 else b.emit(Op.END)
    program = b.build()
    found = Search(program).run()
    assert (found.verdict, found.states, found.depth) == (Verdict.HOLDS, 301, 300)
    assert found.entered == {(0, number) for number in range(300)}


def test_too_many_permutations() -> None:
    """A kind whose permutations are too many is left alone; the verdict stands."""
    b = Builder()
    switches = b.array("switch", 8, 0, 1, 0, "")
    b.array("chosen", 2, -1, 7, -1, "switch")
    columns = tuple((switches + n,) for n in range(8))
    b.symmetry.append(SymmetryKind("switch", 8, columns, (("switch", tuple(range(8))),)))
    b.thread("t", 1, daemon=True).boundary()
    b.failure("index")
    b.emit(Op.CHOOSE, "which", 0, 8)
    b.emit(Op.LDX, "value", switches, "which", 8, 0)
    b.emit(Op.NOT, "value", "value")
    b.emit(Op.STX, switches, "which", "value", 8, 0)
    b.emit(Op.STEP, 0)
    program = b.build()
    assert Search(program).run().states == 2**8
    # Named by first reference, this kind needs no enumeration: one state a number of switches on.
    assert Search(program, Reduction("named", symmetry=program.symmetry)).run().states == 9
    plain = replace(program.symmetry[0], values=())
    assert Search(program, Reduction("left", symmetry=(plain,))).run().states == 2**8


# Replay ---------------------------------------------------------------------------------------


def test_replay() -> None:
    """A schedule is run as far as it goes; what it says of the last step is true."""
    search = Search(philosophers(2))
    full = search.replay([(0, ()), (1, ())])
    assert (full.outcome, full.steps, len(full.states)) == (Outcome.STEPPED, 2, 2)
    assert full.states[0] == search.successors(search.program.initial)[0].state
    stuck = search.replay([(0, ()), (1, ()), (0, ())])
    assert (stuck.outcome, stuck.steps, stuck.states) == (Outcome.BLOCKED, 2, full.states)
    assert search.replay([(7, ())]).outcome is Outcome.BLOCKED
    assert search.replay([(-1, ())]).outcome is Outcome.BLOCKED
    assert search.replay([]).steps == 0
    assert search.replay([(0, ())] * 3, states=False).states == ()


def test_replay_of_choices() -> None:
    """Choices are taken as given, the first where none is given; one that is none blocks."""
    search = Search(odometer(digits=2, base=3))
    assert search.replay([(0, (1, 2))]).states == ((0, 0, 2, 2, 0, 0),)
    assert search.replay([(0, ())]).states == ((0, 0, 0, 0, 0, 0),)
    assert search.replay([(0, (5,))]).outcome is Outcome.BLOCKED
    assert search.replay([(0, (-1,))]).outcome is Outcome.BLOCKED
    assert search.replay([(0, (2**31 - 1,))]).outcome is Outcome.BLOCKED


# Programs that are none -----------------------------------------------------------------------

_X = Cell("x", 0, 1, 0, CellKind.SHARED)
_PC = Cell("pc", 0, 3, 0, CellKind.PC)
_GOOD = Program((_X, _PC, _PC), 4, (Instr(Op.END),), (Thread("t", (0,), 1),))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (replace(_GOOD, code=()), "instruction 0, past the end"),
        (replace(_GOOD, code=(Instr(Op.CONST, 0, 1),)), "past the end of the code"),
        (replace(_GOOD, code=(Instr(Op.CONST, 4, 1), Instr(Op.END))), "slot 4"),
        (replace(_GOOD, code=(Instr(Op.MOV, 0, -1), Instr(Op.END))), "slot -1"),
        (replace(_GOOD, code=(Instr(Op.JMP, 9),)), "jump to 9"),
        (replace(_GOOD, code=(Instr(Op.STEP, 2),)), "boundary 2"),
        (replace(_GOOD, code=(Instr(Op.STEP, -1),)), "boundary -1"),
        (replace(_GOOD, code=(Instr(Op.LDX, 0, 3, 0, 2, 0), Instr(Op.END))), "array at slot 3"),
        (replace(_GOOD, code=(Instr(Op.STX, 0, 0, 0, -1, 0), Instr(Op.END))), "length -1"),
        (replace(_GOOD, code=(Instr(Op.LDT, 0, 0, 0, 1, 0), Instr(Op.END))), "constant table"),
        (replace(_GOOD, code=(Instr(Op.FILL, 2, 9, 0), Instr(Op.END))), "array at slot 2"),
        (replace(_GOOD, code=(Instr(Op.CHOOSE, 0, 0, 0), Instr(Op.END))), "1 or more"),
        (replace(_GOOD, code=(Instr(Op.BUMP, 0), Instr(Op.END))), "epoch 0"),
        (replace(_GOOD, code=(Instr(Op.COVER, 0), Instr(Op.END))), "cover 0"),
        (replace(_GOOD, code=(Instr(Op.CONST, 0, 2**20), Instr(Op.END))), "16 bits"),
        (replace(_GOOD, code=(Instr(Op.CONST, 0, 2**40), Instr(Op.END))), "32-bit"),
        (replace(_GOOD, slots=2), "slots must"),
        (replace(_GOOD, slots=10**6), "slots must"),
        (replace(_GOOD, cells=(replace(_X, low=2), _PC, _PC)), "low <= initial"),
        (replace(_GOOD, cells=(replace(_X, high=200), _PC, _PC)), "127"),
        (replace(_GOOD, threads=(Thread("t", (0,), 2),)), "pair of cells"),
        (replace(_GOOD, threads=(Thread("t", (5,), 1),)), "past the end"),
        (replace(_GOOD, threads=(Thread("t", (0,), 1), Thread("u", (0,), 1))), "another thread"),
        (replace(_GOOD, epochs=((7,),)), "epoch names slot 7"),
        (replace(_GOOD, epochs=((2,),)), "slot 2, a pc"),
        (replace(_GOOD, code=(Instr(Op.CONST, 2, 1), Instr(Op.END))), "writes the pc"),
        (replace(_GOOD, code=(Instr(Op.STX, 0, 0, 0, 2, 0), Instr(Op.END))), "writes the pc"),
        (replace(_GOOD, code=(Instr(Op.FILL, 0, 3, 0), Instr(Op.END))), "writes the pc"),
        (
            replace(_GOOD, predicates=(Predicate("p", PredicateKind.ALWAYS, 0, 9, 0),)),
            "no slot",
        ),
        (
            replace(_GOOD, predicates=(Predicate("p", PredicateKind.ALWAYS, 4, 0, 0),)),
            "past the end",
        ),
    ],
)
def test_refused(program: Program, message: str) -> None:
    """A program that is not well-formed is refused with a sentence, not run."""
    with pytest.raises(ValueError, match=message):
        Search(program)


@pytest.mark.parametrize(
    "reduction",
    [
        Reduction("x", ((),)),
        Reduction("x", ((Boundary.HARD,), (Boundary.HARD,))),
        Reduction("x", (), (((9,),),)),
        Reduction("x", (), (), Ample(((0,),), ((0,),), ((3,),), (), ())),
        Reduction("x", (), (), Ample(((0,),), ((0,),), ((-1, 0, 0),), (), ())),
    ],
)
def test_refused_reduction(reduction: Reduction) -> None:
    """A reduction that does not fit its program is refused."""
    with pytest.raises(ValueError, match=r"needed|does not exist|ample"):
        Search(_GOOD, reduction)


_RANGES = {
    Role.CONSTANT: (-2, 5),
    Role.WRITE: (3, 6),  # 1, 2, 7 and 8 are pcs
    Role.WRITE_BASE: (3, 4),
    Role.READ_BASE: (0, 9),
    Role.LENGTH: (0, 2),
    Role.TABLE: (0, 1),
    Role.TARGET: (0, 6),
    Role.COUNT: (1, 3),
    Role.BOUNDARY: (0, 1),
    Role.EPOCH: (0, 0),
    Role.COVER: (0, 0),
}


@st.composite
def anything(draw: st.DrawFn) -> list[Instr]:
    """Return instructions; sometimes an operand is out of range."""
    code = []
    for _ in range(draw(st.integers(6, 12))):
        op = draw(st.sampled_from(Op))
        ranges = [_RANGES.get(role, (0, 10)) for role in OPS[op].roles]
        fields = [draw(st.integers(low, high)) for low, high in ranges]
        if fields and draw(st.integers(0, 40)) == 0:
            fields[0] = draw(st.integers(-2, 9))
        code.append(Instr(op, *fields))
    return code


@settings(
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    max_examples=max(settings().max_examples, 500),
)
@given(
    anything(),
    st.lists(st.integers(0, 6), min_size=1, max_size=3),
    st.booleans(),
)
def test_any_code_is_survived(code: list[Instr], entries: list[int], fused: bool) -> None:
    """Whatever the instructions, they are refused or run; the core neither crashes nor hangs."""
    pc = replace(_PC, high=127)
    program = Program(
        (_X, pc, pc, _X, replace(_X, low=-128, high=127), _X, _X, pc, pc),
        11,
        (*code, Instr(Op.END)),
        (Thread("t", tuple(entries), 1), Thread("u", (0,), 7, daemon=True)),
        predicates=(Predicate("p", PredicateKind.REACHABLE, entries[0], 10, 0),),
        table=(1, 2, 3),
        epochs=((0, 9),),
        covers=((),),
    )
    modes = ((Boundary.FUSED,) * len(entries), (Boundary.SOFT,)) if fused else ()
    try:
        search = Search(program, Reduction("any", modes))
    except ValueError:
        return
    try:
        found = search.run(max_states=200, max_seconds=10)
    except RuntimeError:  # a pc was read: nothing may be fused then
        assert fused
        return
    if found.verdict is not Verdict.HOLDS or fused:
        return
    try:
        expected = refer(program, most=200)
    except TooBig:
        return
    assert found.states == len(expected.states)


def test_stub() -> None:
    """The committed stub is what the extension says of itself."""
    stubgen = pytest.importorskip("nanobind.stubgen")
    generator = stubgen.StubGen(_core)
    generator.put(_core)
    stub = resources.files("mmunotify") / "_core.pyi"
    assert isinstance(stub, Path)
    assert generator.get().strip() == stub.read_text(encoding="utf-8").strip()
