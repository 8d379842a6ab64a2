"""The export to Promela, judged by Spin: the same states, steps and verdicts as everybody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bench import spin
from bench.protocol import Size, World, coarse, fine
from bench.spin import EXACT, Verified, verifier
from hypothesis import HealthCheck, Phase, assume, given, settings
from tests.core import reference
from tests.core.builder import Builder
from tests.core.machines import endless_step, philosophers
from tests.core.programs import programs
from tests.core.reference import DEADLOCK, FAILURE, PREDICATE, TooBig

from mmunotify.check.scenario import Scenario
from mmunotify.check.search import Search, Verdict
from mmunotify.compile import compile_world
from mmunotify.compile.promela import Unexportable, promela
from mmunotify.compile.reduce import mix
from mmunotify.drivers.kvm import Kvm
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program

needs_spin = pytest.mark.skipif(bool(spin.missing()), reason=spin.missing() or "all there")
few = settings(
    max_examples=settings().max_examples // 5,  # a compiler runs for each
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.explain},
)


def judged(program: Program) -> Verified:
    """Return what Spin says about a program; it does not stop at an error."""
    with verifier(promela(program), spin=EXACT, cc=("-O0", "-DNOREDUCE")) as built:
        return built.run("-c0", "-m100000", "-w18")


def agree(program: Program) -> None:
    """Hold Spin against the unreduced search of a program that holds."""
    found, said = Search(program).run(walks=False), judged(program)
    assert found.verdict is Verdict.HOLDS
    assert not said.violated
    # Spin counts the initial state as a transition.
    assert (said.states, said.transitions - 1) == (found.states, found.transitions)


@needs_spin
@pytest.mark.parametrize("world", [coarse, fine])
def test_benchmark_protocol(world: Callable[[Size], World]) -> None:
    """The protocol in both granularities."""
    agree(compile_world(world(Size(1, 1, 2, 2, 1))))


@needs_spin
def test_kvm() -> None:
    """A real driver against munmap(), with everything that holds at the end."""
    agree(compile_world(Scenario("munmap", ("munmap",)).build(Kvm)))


@needs_spin
@pytest.mark.parametrize("world", [coarse, fine])
def test_missing_retry(world: Callable[[Size], World]) -> None:
    """Spin finds the bug, too."""
    assert judged(compile_world(world(Size(1, 1, 1, 2, 1, retry=False)))).assertion


@needs_spin
@few
@given(programs())
def test_random_programs(program: Program) -> None:
    """Spin sees the states and kinds of violations of the interpreter, the engine its verdict."""
    try:
        expected = reference.search(program)
    except TooBig:
        assume(False)
        raise
    said = judged(program)
    assert said.states == len(expected.states)
    if not expected.violations:
        assert said.transitions - 1 == expected.transitions
    assert said.assertion == (not {FAILURE, PREDICATE}.isdisjoint(expected.violations))
    if PREDICATE not in expected.violations:  # there the monitor can move
        assert said.deadlock == (DEADLOCK in expected.violations)
    for mixed in ("none", "all"):
        found = Search(program, mix(program, mixed)).run(walks=False)
        assert (found.verdict is Verdict.VIOLATED) == said.violated


@needs_spin
@pytest.mark.parametrize("left_handed", [False, True])
def test_deadlock(left_handed: bool) -> None:
    """Philosophers starve unless one of them is left-handed."""
    said = judged(philosophers(3, left_handed=left_handed))
    assert (said.deadlock, said.assertion) == (not left_handed, False)


def late_wait() -> Program:
    """Return a step that writes, chooses, and only then waits for what it has written."""
    b = Builder()
    array = b.array("a", 2, 0, 3, 0)
    index = b.cell("i", 0, 1, 0)
    b.thread("t", 1).boundary()
    b.emit(Op.CHOOSE, index, 0, 2)
    b.emit(Op.CONST, "three", 3)
    b.emit(Op.STX, array, index, "three", 2, 0)
    b.emit(Op.NOT, "empty", array + 1)
    b.emit(Op.WAIT, "empty")
    b.emit(Op.END)
    b.failure("index")
    return b.build()


def test_guards_speak_of_the_start() -> None:
    """What a step waits for in its middle is a condition on the state in which it begins."""
    text = promela(late_wait())
    assert ":: d_step { (c[1] == 0) -> c[2] = 0; c[0] = 3 } -> goto done" in text
    assert "c[2] = 1" not in text  # that alternative can never be taken


@needs_spin
def test_effects_before_a_wait_are_undone() -> None:
    """The alternative that waits in vain leaves nothing behind."""
    agree(late_wait())


def sums(count: int) -> Program:
    """Return a program with a predicate of `2 ** count` ways: how many cells are set?"""
    b = Builder()
    cells = b.array("a", count, 0, 1, 0)
    b.thread("t", 1).boundary()
    b.emit(Op.END)
    b.predicate(PredicateKind.ALWAYS, "few", "holds")
    b.emit(Op.CONST, "sum", 0)
    for cell in range(cells, cells + count):
        on = b.label()
        b.emit(Op.JZ, cell, on)
        b.emit(Op.ADDK, "sum", "sum", 1)
        b.label(on)
    b.emit(Op.CONST, "one", 1)
    b.emit(Op.LE, "holds", "sum", "one")
    b.emit(Op.END)
    return b.build()


def test_predicates_stay_small() -> None:
    """Ways that meet again are one way: a sum over many cells is one condition."""
    assert len(promela(sums(40))) < 5_000


def test_what_cannot_be_said_is_listed() -> None:
    """A step without an end is refused, by thread and boundary."""
    with pytest.raises(Unexportable, match=r"spinner, boundary 1: a step of more than"):
        promela(endless_step())


def stale_snapshots() -> Program:
    """Return a program whose snapshots are taken and bumped in one step and across steps."""
    b = Builder()
    snapshots = [b.cell(f"s{n}", 0, 2, 0) for n in range(3)]
    t = b.thread("t", 2)
    t.boundary()
    b.emit(Op.CONST, snapshots[0], 1)
    b.emit(Op.BUMP, 0)  # known to be fresh
    b.emit(Op.CONST, snapshots[1], 1)
    b.emit(Op.STEP, 1)
    t.boundary()
    b.emit(Op.BUMP, 0)  # whatever they are
    b.emit(Op.END)
    b.predicate(PredicateKind.FINAL, "stale", "holds")
    for n, snapshot in enumerate(snapshots):
        b.emit(Op.CONST, "want", (2, 2, 0)[n])
        b.emit(Op.EQ, f"as{n}", snapshot, "want")
    b.emit(Op.AND, "holds", "as0", "as1")
    b.emit(Op.AND, "holds", "holds", "as2")
    b.emit(Op.END)
    b.epochs = (tuple(snapshots),)
    return b.build()


@needs_spin
def test_epochs() -> None:
    """Fresh snapshots become stale, whether the step knows them or not."""
    agree(stale_snapshots())


@needs_spin
@pytest.mark.parametrize("daemon", [False, True])
def test_daemons_may_wait_for_ever(daemon: bool) -> None:
    """Only a thread that is no daemon is missed when nobody can move."""
    b = Builder()
    never = b.cell("never", 0, 1, 0)
    b.thread("t", 1, daemon=daemon).boundary()
    b.emit(Op.WAIT, never)
    b.emit(Op.END)
    assert judged(b.build()).deadlock is not daemon


@needs_spin
@pytest.mark.parametrize("op", [Op.DIV, Op.MOD])
def test_division_rounds_down(op: Op) -> None:
    """Quotients and rests of all signs are those of the interpreter."""
    b = Builder()
    x, y = b.cell("x", -3, 3, 0), b.cell("y", -2, 2, 0)
    found = b.cell("found", -8, 8, 0)
    t = b.thread("t", 2)
    t.boundary()
    b.emit(Op.CHOOSE, x, -3, 7)
    b.emit(Op.CHOOSE, y, -2, 5)
    b.emit(Op.WAIT, y)
    b.emit(Op.STEP, 1)
    t.boundary()
    b.emit(op, found, x, y, 0)
    b.emit(Op.END)
    b.failure("division")
    program = b.build()
    text = promela(program)
    agree(program)
    assert text.count("%") > 0  # the values are not known when the text is made
