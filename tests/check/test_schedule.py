"""Schedules: expansion, replay, replay strings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.check.handmade import Assembler, abba, found
from tests.check.handmade_kvm import Kvm

from mmunotify.check.schedule import (
    Lasso,
    Move,
    Schedule,
    ScheduleError,
    advance,
    decode,
    encode,
    expand,
    identity_of,
    replay,
    schedule_of,
)
from mmunotify.check.violation import Kind, is_deadlock, message
from mmunotify.errors import DiagnosticError
from mmunotify.ir import interp
from mmunotify.ir.interp import State
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program

MOVES = st.builds(
    Move,
    st.integers(0, 30),
    st.lists(st.integers(0, 40), max_size=3).map(tuple),
)
IDENTITY = "0123abcd"


@dataclass(frozen=True)
class Macro:
    """What the core returns for a step."""

    thread: int
    choices: tuple[int, ...]
    boundary: int


def chooser() -> Program:
    """One thread that chooses twice in its first step and once in its second."""
    asm = Assembler()
    x = asm.cell("x")
    asm.begin()
    asm.emit(Op.CHOOSE, x, 0, 3)
    asm.emit(Op.CHOOSE, x, 0, 2)
    asm.step()
    asm.emit(Op.CHOOSE, x, 0, 4)
    asm.step()
    failure = asm.fails("small", "x is {0}", x)
    asm.emit(Op.RANGE, x, 0, 2, failure)
    asm.finish("t")
    return asm.program()


def macros(program: Program, schedule: Schedule, size: int) -> list[Macro]:
    """Join up to `size` steps of a thread to one, as a reduced search does."""
    path: list[Macro] = []
    state: State = program.initial
    count = 0
    for move in schedule:
        done = interp.step(program, state, move.thread, move.choices)
        after = advance(program, state, move)
        state = after if isinstance(after, tuple) else state
        boundary = interp.pc(program, state, move.thread) if isinstance(after, tuple) else -1
        if path and path[-1].thread == move.thread and count < size:
            path[-1] = replace(path[-1], choices=path[-1].choices + done.choices, boundary=boundary)
            count += 1
        else:
            path.append(Macro(move.thread, done.choices, boundary))
            count = 1
    return path


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_expand_gives_the_micro_steps(size: int) -> None:
    """However many steps a search made at once, the same schedule comes out."""
    program = Kvm().build()
    schedule = found(program, Kind.FAILURE, "no_stale_translation")
    assert expand(program, macros(program, schedule, size)) == schedule


def test_expand_hands_out_the_choices_in_order() -> None:
    """Each micro step takes its share of the choices; trailing zeros are left out."""
    program = chooser()
    assert expand(program, [Macro(0, (2, 1, 3), 2)]) == (Move(0, (2, 1)), Move(0, (3,)))
    assert expand(program, [Macro(0, (1, 0), 1)]) == (Move(0, (1,)),)


def test_expand_refuses_what_does_not_fit() -> None:
    """A step after a failure, or one that has to wait."""
    with pytest.raises(ScheduleError, match="others follow"):
        expand(chooser(), [Macro(0, (0, 0, 3, 0), 3), Macro(0, (), 3)])
    with pytest.raises(ScheduleError, match="thread vcpu0 has to wait"):
        expand(abba(), [Macro(0, (), 2), Macro(1, (), 3)])


def test_replay_ends_in_the_failure() -> None:
    """The state before every move, and what the property says in the end."""
    program = Kvm().build()
    schedule = found(program, Kind.FAILURE, "no_stale_translation")
    replayed = replay(program, schedule)
    assert len(replayed.states) == len(schedule)
    assert replayed.violation is not None
    assert replayed.violation.property == "no_stale_translation"
    assert message(program, replayed.violation) == "the device accesses frame A, which is free"


def test_replay_sees_deadlocks_and_predicates() -> None:
    """What is wrong with the last state counts as well."""
    deadlock = replay(abba(), [Move(0), Move(1)])
    assert deadlock.violation is not None
    assert deadlock.violation.kind is Kind.DEADLOCK
    assert is_deadlock(abba(), deadlock.states[-1])
    program = Kvm(leak=True).build()
    leak = replay(program, found(program, Kind.PREDICATE, "quiescent")).violation
    assert leak is not None
    assert (leak.kind, message(program, leak)) == (
        Kind.PREDICATE,
        "frame A has 1 references in the end",
    )
    assert replay(abba(), [Move(0)]).violation is None


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ([Move(2)], "step 1: there is no thread 2"),
        ([Move(0), Move(1), Move(0)], "step 3: thread cpu0 has to wait"),
        ([Move(0)] * 6, "step 6: thread cpu0 has finished"),
        ([Move(0, (0, 1))], "step 1: 2 choices are too many"),
    ],
)
def test_replay_refuses_what_does_not_fit(schedule: list[Move], text: str) -> None:
    """A corrupted schedule is refused at its first wrong step."""
    with pytest.raises(ScheduleError, match=text):
        replay(abba(), schedule)


def test_replay_refuses_choices_that_do_not_exist() -> None:
    """A choice beyond the alternatives, and steps after a failure."""
    with pytest.raises(ScheduleError, match="step 1: thread t has no choice"):
        replay(chooser(), [Move(0, (3,))])
    with pytest.raises(ScheduleError, match="step 3 fails, but 4 are given"):
        replay(chooser(), [Move(0), Move(0, (3,)), Move(0), Move(0)])


@given(st.lists(MOVES, max_size=40))
def test_strings_round_trip(moves: list[Move]) -> None:
    """What was encoded is decoded, in characters that shells and addresses leave alone."""
    text = encode(moves, IDENTITY)
    assert decode(text) == (IDENTITY, tuple(moves))
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert text[0] != "-"


@given(st.lists(MOVES, max_size=20), st.lists(MOVES, min_size=1, max_size=20))
def test_strings_say_where_a_cycle_begins(stem: list[Move], loop: list[Move]) -> None:
    """What repeats for ever is told from the way there."""
    text = encode(Lasso((*stem, *loop), len(stem)), IDENTITY)
    found = decode(text)[1]
    assert isinstance(found, Lasso)
    assert (found, found.loop) == ((*stem, *loop), len(stem))
    assert text.count(".") == 3
    assert encode((*stem, *loop), IDENTITY) != text


@given(st.lists(MOVES, min_size=1, max_size=20), st.data())
def test_damaged_strings_are_refused(moves: list[Move], data: st.DataObject) -> None:
    """A string that was cut, or has one other character, is not taken for another schedule."""
    text = encode(moves, IDENTITY)
    at = data.draw(st.integers(1, len(text) - 1))
    other = data.draw(st.sampled_from("abz09AZ_-.").filter(lambda c: c != text[at]))
    for damaged in (text[:at], text[:at] + other + text[at + 1 :]):
        with pytest.raises(DiagnosticError) as error:
            decode(damaged)
        assert error.value.diagnostics[0].code == "E504"


def test_strings_are_short() -> None:
    """30 steps with a few choices fit on the line of a report."""
    turns = [(0, 4), (1, 3), (0, 6), (2, 2), (1, 5), (0, 3), (1, 4), (2, 3)]
    moves = [Move(thread) for thread, count in turns for _ in range(count)]
    moves[5] = Move(1, (1,))
    moves[20] = Move(0, (0, 2))
    assert encode(moves, IDENTITY) == "0123abcd.a4b2Bba6c2b5aACa2b4c3.d207"


def test_strings_of_another_program_are_refused() -> None:
    """Any change of the code, but not of its place in the file, makes another program."""
    one, two = Kvm().build(), Kvm(check=True).build()
    moved = replace(one, locations=tuple(replace(p, line=p.line + 1) for p in one.locations))
    identity = identity_of(one, "munmap")
    assert identity == identity_of(moved, "munmap")
    assert identity != identity_of(two, "munmap")
    assert identity != identity_of(one, "mremap")
    text = encode([Move(1), Move(0)], identity)
    assert schedule_of(text, identity) == (Move(1), Move(0))
    with pytest.raises(DiagnosticError) as error:
        schedule_of(text, identity_of(two, "munmap"))
    assert error.value.diagnostics[0].code == "E503"
