"""The benchmark protocol: numbers of states that every tool measured agrees on, to the last one."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from tests.core.builder import Builder
from tests.core.protocol import protocol

from mmunotify.check.search import Broken, BrokenKind, Search, Verdict
from mmunotify.ir import interp
from mmunotify.ir.interp import Failed, State, Stepped
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program, SymmetryKind
from mmunotify.ir.reduction import Ample, Boundary, Reduction

A, B, C = (2, 1, 2, 2, 2), (2, 2, 2, 2, 1), (2, 2, 2, 3, 1)


def symmetric(program: Program) -> Reduction:
    """Return the licence to merge all that is symmetric."""
    return Reduction("symmetry", symmetry=program.symmetry)


@pytest.mark.parametrize(
    ("sizes", "states"),
    [((1, 1, 1, 2, 1), 353), ((1, 1, 2, 2, 2), 13_765), ((2, 1, 2, 3, 1), 76_567)],
)
def test_states(sizes: tuple[int, int, int, int, int], states: int) -> None:
    """Small configurations, no reduction."""
    found = Search(protocol(*sizes)).run()
    assert (found.verdict, found.states) == (Verdict.HOLDS, states)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("sizes", "states", "transitions", "depth"),
    [(A, 928_175, 2_507_564, 64), (C, 2_506_863, 8_513_400, 55)],
)
def test_states_and_transitions(
    sizes: tuple[int, int, int, int, int], states: int, transitions: int, depth: int, workers: int
) -> None:
    """Large configurations, by one worker and by two, in at most 40 bytes a state."""
    found = Search(protocol(*sizes)).run(workers=workers, walks=False)
    assert found.verdict is Verdict.HOLDS
    assert (found.states, found.transitions, found.depth) == (states, transitions, depth)
    assert found.bytes <= 40 * found.states


@pytest.mark.parametrize(("sizes", "states"), [(A, 118_807), (B, 72_081), (C, 75_756)])
def test_states_up_to_symmetry(sizes: tuple[int, int, int, int, int], states: int) -> None:
    """Everything interchangeable merged: exactly one state an orbit."""
    program = protocol(*sizes)
    found = Search(program, symmetric(program)).run(workers=2)
    assert (found.verdict, found.states) == (Verdict.HOLDS, states)


def end_of(program: Program, schedule: tuple[tuple[int, tuple[int, ...]], ...]) -> Failed | State:
    """Run a schedule in the interpreter; return the failure or the state it ends with."""
    state = program.initial
    for thread, choices in schedule:
        result = next(
            s.result for s in interp.steps(program, state, thread) if s.choices == choices
        )
        if isinstance(result, Failed):
            return result
        assert isinstance(result, Stepped)
        state = result.state
    return state


@pytest.mark.parametrize("merge", [False, True])
def test_bug(merge: bool) -> None:
    """Without the retry check a stale translation is used after 18 steps, and not sooner."""
    program = protocol(*C, bug=True)
    found = Search(program, symmetric(program) if merge else None).run(walks=False)
    assert found.verdict is Verdict.VIOLATED
    assert found.broken is not None
    assert found.broken.kind is BrokenKind.FAILURE
    assert len(found.path) == len(found.schedule) == 18
    assert found.shortest is not merge
    result = end_of(program, tuple((s.thread, s.choices) for s in found.schedule))
    assert isinstance(result, Failed)
    assert program.failures[result.failure].property == "no_stale_translation"


def test_bug_by_walk() -> None:
    """Random walks find it too, the same way for the same seed, and the search need not run."""
    program = protocol(*C, bug=True)
    found = Search(program).run(seed=7)
    assert found.verdict is Verdict.VIOLATED
    assert found.by_walk
    assert not found.shortest
    assert found.states == 0
    assert isinstance(end_of(program, tuple((s.thread, s.choices) for s in found.schedule)), Failed)
    assert Search(program).run(seed=7).path == found.path
    both = Search(program).run(seed=7, first_violation=False)
    assert not both.by_walk
    assert len(both.path) == 18


# Symmetry, by brute force ---------------------------------------------------------------------


def images(program: Program, state: State) -> set[State]:
    """Return all states that differ from `state` by a permutation of each kind."""
    orbits = {state}
    for kind in program.symmetry:
        orbits = {
            permuted(program, kind, order, one)
            for one, order in product(orbits, permutations(range(kind.size)))
        }
    return orbits


def permuted(program: Program, kind: SymmetryKind, order: tuple[int, ...], state: State) -> State:
    """Return `state` with element `i` of a kind in the place of element `order[i]`."""
    cells = list(state)
    for element, place in enumerate(order):
        for cell, to in zip(kind.columns[element], kind.columns[place], strict=True):
            cells[to] = state[cell]
    for label, values in kind.values:
        renamed = {values[element]: values[place] for element, place in enumerate(order)}
        for cell, its in enumerate(program.labels[: len(cells)]):
            if its == label:
                cells[cell] = renamed.get(cells[cell], cells[cell])
    return tuple(cells)


def test_one_state_stands_for_an_orbit() -> None:
    """All images of a state have the same canonical state, which is one of them."""
    program = protocol(2, 2, 2, 3, 1)
    core = Search(program, symmetric(program))
    state = program.initial
    for number in range(120):
        orbit = images(program, state)
        assert {core.canonical(image) for image in orbit} == {core.canonical(state)}
        assert core.canonical(state) in orbit
        successors = [s.state for s in core.successors(state) if s.state]
        state = successors[number * 7 % len(successors)] if successors else program.initial


@pytest.mark.parametrize(
    "kept", [("frame",), ("page",), ("vcpu",), ("frame", "page"), ("page", "vcpu", "invalidator")]
)
def test_some_kinds_only(kept: tuple[str, ...]) -> None:
    """Whichever kinds may be used, there is one state for each orbit of the unreduced search."""
    program = protocol(2, 1, 2, 2, 1)
    kinds = tuple(kind for kind in program.symmetry if kind.name in kept)
    part = Search(program, Reduction("some", symmetry=kinds))
    everything = {program.initial}
    open_ = [program.initial]
    while open_:
        following = {s.state for s in part.successors(open_.pop()) if s.state} - everything
        everything |= following
        open_ += following
    found = part.run(walks=False)
    assert found.states == len({part.canonical(state) for state in everything})


def test_the_failure_of_the_real_execution() -> None:
    """Symmetric threads may fail in their own words: those of the path shown are told."""
    b = Builder()
    taken = b.cell("taken", 0, 1, 0)
    columns = []
    for number in range(3):
        t = b.thread(f"t{number}", 1)
        columns.append((t.pc, t.pc + 1))
        t.boundary()
        free = b.label()
        b.emit(Op.JZ, taken, free)
        b.emit(Op.FAIL, b.failure(f"t{number} came too late"))
        b.label(free)
        b.emit(Op.CONST, taken, 1)
        b.emit(Op.END)
    b.symmetry.append(SymmetryKind("t", 3, tuple(columns), (), (0, 1, 2)))
    program = b.build()
    found = Search(program, symmetric(program)).run(walks=False)
    result = end_of(program, tuple((s.thread, s.choices) for s in found.schedule))
    assert isinstance(result, Failed)
    assert found.broken == Broken(BrokenKind.FAILURE, result.failure)
    assert found.schedule[-1].thread == result.failure


# Hand-made licences ---------------------------------------------------------------------------


def test_transactions() -> None:
    """Steps under the lock fused by hand: fewer states, the same verdicts, real paths."""
    hard, fused = Boundary.HARD, Boundary.FUSED
    # A vcpu holds the lock from boundary 4 to 6 or 7, an invalidator from 2 to 5 and 9 to 11.
    vcpu = tuple(fused if k in (4, 5, 6, 7) else hard for k in range(12))
    invalidator = tuple(fused if k in (2, 3, 4, 5, 9, 10, 11) else hard for k in range(13))
    modes = (vcpu, vcpu, invalidator)
    sizes = (2, 1, 2, 3, 1)
    found = Search(protocol(*sizes), Reduction("transactions", modes)).run()
    assert found.verdict is Verdict.HOLDS
    assert found.states < 76_567 // 2
    program = protocol(*sizes, bug=True)
    found = Search(program, Reduction("transactions", modes)).run(walks=False)
    assert found.verdict is Verdict.VIOLATED
    assert len(found.schedule) > len(found.path)
    assert isinstance(end_of(program, tuple((s.thread, s.choices) for s in found.schedule)), Failed)


def test_ample_with_symmetry() -> None:
    """A thread that may run alone does so, under symmetry too; paths are made real."""
    program = protocol(2, 1, 2, 2, 1, bug=True)
    # Boundary 0 chooses a page and boundary 1 of the invalidator waits: only the former is local.
    held = tuple(
        tuple(0 if k == 0 else -1 for k in range(thread.done)) for thread in program.threads
    )
    none = tuple((0,) * thread.done for thread in program.threads)
    ample = Ample(none, none, held, (none,), (none,))
    for symmetry in ((), program.symmetry):
        reduction = Reduction("ample", ample=ample, symmetry=symmetry)
        found = Search(program, reduction).run(walks=False)
        assert found.verdict is Verdict.VIOLATED
        moves = tuple((s.thread, s.choices) for s in found.schedule)
        assert isinstance(end_of(program, moves), Failed)
    good = protocol(2, 1, 2, 2, 1)
    alone = Search(good, Reduction("ample", ample=ample)).run()
    assert alone.verdict is Verdict.HOLDS
    assert alone.states < Search(good).run().states
