"""Shortening: fewest steps, and the best order of them."""

from __future__ import annotations

import random
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.check.handmade import Assembler, abba, found
from tests.check.handmade_kvm import Kvm

from mmunotify.check.reorder import fewest_switches, switches
from mmunotify.check.schedule import Move, Schedule, advance, replay
from mmunotify.check.shorten import core_finder, explore, shorten
from mmunotify.check.violation import Kind, same_violation
from mmunotify.ir import interp
from mmunotify.ir.interp import State, Stepped
from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program


@lru_cache
def walk(program: Program, seed: int) -> Schedule:
    """Return a random schedule that ends in a violation."""
    rng = random.Random(seed)
    while True:
        state, moves = program.initial, []
        while True:
            able = [
                step
                for thread in range(len(program.threads))
                for step in interp.steps(program, state, thread)
                if not isinstance(step.result, interp.Blocked)
            ]
            if not able:
                break
            step = rng.choice(able)
            moves.append(Move(step.thread, step.choices))
            if not isinstance(step.result, Stepped):
                break
            state = step.result.state
        if replay(program, moves).violation is not None:
            return tuple(moves)


def writers(cells: tuple[tuple[str, ...], ...]) -> Program:
    """Threads that write these cells one after another; in the end `done` must be 0."""
    asm = Assembler()
    slots = {name: asm.cell(name) for name in sorted({n for own in cells for n in own})}
    done = asm.cell("done")
    for number, own in enumerate(cells):
        asm.begin()
        for name in own:
            asm.emit(Op.CONST, slots[name], number)
            asm.step()
        asm.emit(Op.CONST, done, 1)
        asm.finish(f"t{number}")
    asm.must("quiescent", PredicateKind.FINAL, done, 0, asm.fails("quiescent", "done"))
    return asm.program()


def turns(text: str) -> Schedule:
    """Return the schedule in which the threads move in this order."""
    return tuple(Move(int(digit)) for digit in text)


@pytest.mark.parametrize(
    ("cells", "order", "best"),
    [
        # nothing in common but the last step: one run each
        ((("a", "b", "c"), ("d", "e", "f")), "01010101", 1),
        ((("a",), ("b",), ("c",), ("d",)), "01230123", 3),
        ((("a",), ("b",)), "0011", 1),
        # conflicts are kept in order if that costs nothing
        ((("a", "b"), ("a", "b")), "001101", 1),
    ],
)
def test_fewest_switches(cells: tuple[tuple[str, ...], ...], order: str, best: int) -> None:
    """Known optima."""
    program = writers(cells)
    found = fewest_switches(program, turns(order))
    assert switches(found) == best
    assert sorted(found, key=lambda m: m.thread) == sorted(turns(order), key=lambda m: m.thread)


def ping_pong(rounds: int) -> Program:
    """Two threads that wait for each other in turn; in the end `turn` must be 9."""
    asm = Assembler()
    turn = asm.cell("turn")
    spare = [asm.cell(f"spare{n}") for n in range(2)]
    for number in range(2):
        asm.begin()
        for at in range(rounds):
            asm.emit(Op.CONST, spare[number], at)
            asm.step()
            asm.emit(Op.CONST, asm.scratch, 2 * at + number)
            asm.emit(Op.EQ, asm.scratch, asm.scratch, turn)
            asm.emit(Op.WAIT, asm.scratch)
            asm.emit(Op.ADDK, turn, turn, 1)
            asm.step()
        asm.finish(f"t{number}")
    asm.must("quiescent", PredicateKind.FINAL, turn, 9, asm.fails("quiescent", "turn is {0}", turn))
    return asm.program()


def test_switches_that_are_needed_stay() -> None:
    """Each turn of ping-pong needs one."""
    program = ping_pong(3)
    assert switches(fewest_switches(program, walk(program, 1))) == 5


@given(st.integers(0, 1000))
def test_reordering_keeps_the_violation(seed: int) -> None:
    """Whatever the order, the same property fails at the same line, and no step is lost."""
    program = Kvm(check=True, leak=True).build()
    schedule = walk(program, seed)
    best = fewest_switches(program, schedule)
    assert len(best) == len(schedule)
    assert switches(best) <= switches(schedule)
    goal = replay(program, schedule).violation
    assert same_violation(program, replay(program, best).violation, goal)


def test_a_breadth_first_search_proves_it_shortest() -> None:
    """A long random schedule becomes the shortest one, with the fewest switches."""
    program = Kvm().build()
    short = shorten(program, walk(program, 4), seconds=60.0)
    assert short.shortest
    assert len(short.schedule) == len(found(program, Kind.FAILURE, "no_stale_translation"))
    assert switches(short.schedule) == 3


def test_a_schedule_that_is_shortest_stays() -> None:
    """The search proves it by finding nothing."""
    program = Kvm().build()
    schedule = found(program, Kind.FAILURE, "no_stale_translation")
    short = shorten(program, schedule, seconds=60.0)
    assert (len(short.schedule), short.shortest) == (len(schedule), True)


def loops() -> Program:
    """A thread that may go round, one that does not matter, and one that fails when x is 2."""
    asm = Assembler()
    x = asm.cell("x")
    y = [asm.cell(f"y{n}") for n in range(2)]
    asm.begin()
    top = len(asm.code)
    asm.emit(Op.CONST, y[0], 1)
    asm.emit(Op.STEP, 1)
    asm.entries.append(len(asm.code))
    asm.emit(Op.CHOOSE, asm.scratch, 0, 2)
    leave = asm.jump(Op.JNZ, asm.scratch)
    asm.emit(Op.STEP, 0)
    asm.land(leave)
    asm.emit(Op.CONST, x, 2)
    asm.step()
    asm.finish("looping")
    assert asm.threads[0].entries[0] == top
    asm.begin()
    for value in range(6):
        asm.emit(Op.CONST, y[1], value)
        asm.step()
    asm.finish("idle")
    asm.begin()
    asm.step()
    asm.emit(Op.CONST, asm.scratch, 2)
    asm.emit(Op.NE, asm.scratch, asm.scratch, x)
    asm.emit(Op.ASSERT, asm.scratch, asm.fails("odd", "x is {0}", x))
    asm.finish("failing")
    return asm.program()


def test_without_time_to_search_it_is_shortened_all_the_same() -> None:
    """Rounds and threads that do not matter go; nothing is said about shortest."""
    program = loops()
    schedule = turns("00000100110011111")[:16]
    long = [*schedule, Move(0, (1,)), Move(2), Move(2)]
    state: State = program.initial
    for move in long[:-1]:
        after = advance(program, state, move)
        assert isinstance(after, tuple)
        state = after
    short = shorten(program, long, states=0, seconds=20.0)
    assert not short.shortest
    assert short.schedule in (
        (Move(2), Move(0), Move(0, (1,)), Move(2)),
        (Move(0), Move(0, (1,)), Move(2), Move(2)),
    )


def test_an_engine_is_believed_only_if_it_found_the_same() -> None:
    """What an engine's search found counts as shortest, unless it is another violation."""
    program = Kvm().build()
    best = found(program, Kind.FAILURE, "no_stale_translation")
    long = walk(program, 4)
    calls = []

    def finder(states: int, seconds: float) -> Schedule | None:
        calls.append((states, seconds))
        return best

    short = shorten(program, long, states=0, seconds=1.0, finder=finder)
    assert calls == [(0, 1.0)]
    assert (len(short.schedule), short.shortest) == (len(best), True)
    other = shorten(program, long, states=0, seconds=1.0, finder=lambda *_: (Move(0),))
    assert not other.shortest


def test_the_core_finds_the_shortest() -> None:
    """The native search and the one in the interpreter agree."""
    pytest.importorskip("mmunotify._core")
    program = Kvm().build()
    best = found(program, Kind.FAILURE, "no_stale_translation")
    short = shorten(program, walk(program, 4), states=100_000, finder=core_finder(program))
    assert (len(short.schedule), short.shortest) == (len(best), True)


def test_deadlocks_are_shortened() -> None:
    """Two steps make one."""
    program = abba()
    long = walk(program, 0)
    short = shorten(program, long)
    assert short.shortest
    assert sorted(move.thread for move in short.schedule) == [0, 1]


def test_a_correct_program_has_none() -> None:
    """The recheck closes the hole: the whole state space has no violation."""
    program = Kvm(check=True).build()
    goal = replay(Kvm().build(), found(Kvm().build(), Kind.FAILURE, "no_stale_translation"))
    assert goal.violation is not None
    assert explore(program, goal.violation, range(3), 100, 100_000, 60.0).complete


def test_only_a_violation_can_be_shortened() -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(ValueError, match="violates nothing"):
        shorten(abba(), [Move(0)])
