"""The causal slice, the missed step, and why."""

from __future__ import annotations

import pytest
from tests.check.handmade import DRIVER, Assembler, abba, found
from tests.check.handmade_kvm import Kvm

from mmunotify.check.accesses import recording
from mmunotify.check.control import conditions, owners
from mmunotify.check.counterexample import counterexample
from mmunotify.check.places import Places, driver_files, groups
from mmunotify.check.reorder import fewest_switches
from mmunotify.check.schedule import Move, Schedule
from mmunotify.check.slice import Graph, causal_slice, culprits
from mmunotify.check.stale import find_stale
from mmunotify.check.violation import Kind
from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program
from mmunotify.lang.driver import Driver
from mmunotify.lang.spinlock import SpinLock


def told(program: Program, kind: Kind, property: str) -> tuple[Schedule, str]:
    """Return the shortest schedule with fewest switches, and why it violates `property`."""
    schedule = fewest_switches(program, found(program, kind, property))
    return schedule, counterexample(program, schedule, driver=(DRIVER,)).why


WHY = {
    "stale use": "Step 14 installs frame A, read at step 1, in spte[0]. Steps 2-11 (cpu0) "
    "invalidated that page in between, and fault() does not check for it.",
    "kept": "spte[0] holds frame A since step 5. Step 12 (cpu0) took it out of mm.pte[0], and no "
    "step took it out of spte[0] before step 18.",
    "leak": "frame A.refcount is 1 in the end, not 0; step 1 (vcpu0, fault()) took it from 1 to 2, "
    "and vcpu0 does not take that back.",
    "deadlock": "cpu0 waits in invalidate() at `b_lock.acquire` for b_lock, which vcpu0 took at "
    "step 2; vcpu0 waits in fault() at `a_lock.acquire` for a_lock, which cpu0 took at step 1.",
}


@pytest.mark.parametrize(
    ("name", "program", "kind", "property"),
    [
        ("stale use", Kvm().build(), Kind.FAILURE, "no_stale_translation"),
        ("kept", Kvm(check=True, zap=False).build(), Kind.FAILURE, "no_stale_translation"),
        ("leak", Kvm(leak=True).build(), Kind.PREDICATE, "quiescent"),
        ("deadlock", abba(), Kind.DEADLOCK, "no_deadlock"),
    ],
)
def test_why(name: str, program: Program, kind: Kind, property: str) -> None:
    """One or two sentences from the facts, in the program's own names."""
    assert told(program, kind, property)[1] == WHY[name]


@pytest.mark.parametrize(
    ("early", "order", "expected"),
    [
        (True, "1100101", "fault() checks busy at step 2, but only step 3 changes it."),
        (
            False,
            "1001101",
            "fault() checks busy at step 4 and goes on although step 2 changed it.",
        ),
    ],
)
def test_a_check_that_does_not_help_is_named(early: bool, order: str, expected: str) -> None:
    """fault() looks at a flag before it is set, or goes on all the same."""
    schedule = tuple(Move(int(digit)) for digit in order)
    why = counterexample(flagged(early), schedule, driver=(DRIVER,)).why
    assert why == (
        "Step 5 installs frame A, read at step 1, in spte[0]. Step "
        f"{4 if early else 3} (cpu0) set pte[0] to None in between; {expected}"
    )


def flagged(early: bool) -> Program:
    """A fault that checks a flag that never keeps it from going on."""
    asm = Assembler()
    pte = asm.reference("pte[0]", 0)
    spte = asm.reference("spte[0]")
    busy = asm.cell("busy", 0, 1)
    gone = asm.cell("gone", 0, 1)
    frame = asm.reference("vcpu0.frame", thread=1)
    s = asm.scratch
    asm.begin()
    for line, cell, value in ((1, busy, 1), (2, pte, -1), (3, gone, 1)):
        asm.place("mm.py", line, "unmap", f"{asm.cells[cell].name} = {value}")
        asm.emit(Op.CONST, cell, value)
        asm.step()
    asm.finish("cpu0")
    asm.begin()
    asm.place(DRIVER, 1, "Gpu.fault", "frame = self.mm.get_user_page(page, write)")
    asm.emit(Op.MOV, frame, pte)
    none = asm.jump(Op.JEQK, frame, -1)
    asm.step()
    asm.place(DRIVER, 2, "Gpu.fault", "if self.busy == 2:")
    asm.emit(Op.MOV, s, busy)
    if early:  # it goes on only if the flag is not up
        stop = asm.jump(Op.JNZ, s)
    else:  # it goes on only if the flag is up
        stop = asm.jump(Op.JZ, s)
    asm.step()
    asm.place(DRIVER, 3, "Gpu.fault", "self.spte[page] = frame")
    asm.emit(Op.MOV, spte, frame)
    asm.step()
    asm.place("device.py", 4, "Device.use", "self.use(page)")
    asm.emit(Op.EQ, s, spte, frame)
    failure = asm.fails("stale", "the page is gone")
    asm.emit(Op.AND, s, s, gone)
    asm.emit(Op.NOT, s, s)
    asm.emit(Op.ASSERT, s, failure)
    asm.land(none)
    asm.land(stop)
    asm.finish("vcpu0")
    return asm.program()


def test_a_decision_can_be_stale() -> None:
    """A flag is read, cleared by another thread, and what it allowed is done all the same."""
    asm = Assembler()
    alive, used, s = asm.cell("alive", 0, 1, 1), asm.cell("used"), asm.scratch
    asm.begin()
    asm.place(DRIVER, 5, "Gru.release", "self.alive = False")
    asm.emit(Op.CONST, alive, 0)
    asm.finish("exit")
    asm.begin()
    asm.place(DRIVER, 8, "Gru.fault", "if not self.alive:")
    asm.emit(Op.MOV, s, alive)
    dead = asm.jump(Op.JZ, s)
    asm.step()
    asm.place(DRIVER, 10, "Gru.fault", "self.load(page)")
    asm.emit(Op.MOV, used, used)
    asm.emit(Op.ASSERT, alive, asm.fails("released", "a translation is loaded after release"))
    asm.land(dead)
    asm.finish("gru")
    assert told(asm.program(), Kind.FAILURE, "released")[1] == (
        "Step 3 relies on alive being 1, read at step 1. Step 2 (exit) set alive to 0 in between, "
        "and fault() does not check it again."
    )


def test_what_was_admitted_inside_the_section_is_named() -> None:
    """The fault runs after range_start has dropped everything, before the pte is cleared."""
    program = Kvm().build()
    start = [Move(0)] * 6  # lock, counter, zap, flush, unlock
    rest = [Move(1)] * 5 + [Move(0)] * 6 + [Move(2)] * 2
    why = counterexample(program, start + rest, driver=(DRIVER,)).why
    assert why == (
        "spte[0] holds frame A since step 8, inside the section that cpu0 began at step 1, which "
        "fault() does not check for. Step 11 (cpu0) took it out of mm.pte[0], and no step took it "
        "out of spte[0] before step 17."
    )


def test_the_slice_leaves_out_what_does_not_matter() -> None:
    """Locks and counters that nobody looks at are not in it; reads and writes of the frame are."""
    program = Kvm().build()
    schedule, _ = told(program, Kind.FAILURE, "no_stale_translation")
    run = recording(program, schedule)
    graph = Graph(run)
    slice_ = causal_slice(graph)
    places = Places(program, (DRIVER,))
    texts = [
        places.text(places.chain(program.code[run.steps[step][0].instruction].location))
        for step in sorted(slice_.steps)
    ]
    assert texts == [
        "frame = self.mm.get_user_page(page, write)",
        "frame = mm.clear_pte(page)",
        "frame.put()",
        "self.spte[page] = frame",
        "frame.put()",
        "filled = self.tlb.walk(page)",
        "self.use(page)",
    ]
    stale = find_stale(graph, slice_)
    assert stale is not None
    cells = [cell.name for cell in program.cells]
    assert (cells[stale.cell], cells[stale.held], cells[stale.into]) == (
        "mm.pte[0]",
        "vcpu0.frame",
        "spte[0]",
    )
    assert stale.read < stale.missed < stale.used


def test_a_wait_needs_the_write_that_ended_it() -> None:
    """A completion is a cause; a step nobody waited for is not."""
    asm = Assembler()
    done, other, s = asm.cell("done", 0, 1), asm.cell("other", 0, 1), asm.scratch
    asm.begin()
    for cell in (other, done):
        asm.emit(Op.CONST, cell, 1)
        asm.step()
    asm.finish("worker")
    asm.begin()
    asm.emit(Op.WAIT, done)
    asm.step()
    asm.emit(Op.CONST, s, 0)
    asm.emit(Op.ASSERT, s, asm.fails("never", "after the wait"))
    asm.finish("waiter")
    program = asm.program()
    schedule = found(program, Kind.FAILURE, "never")
    run = recording(program, schedule)
    assert [move.thread for move in schedule] == [0, 0, 1, 1]
    assert sorted(causal_slice(Graph(run)).steps) == [1, 2, 3]


def test_control_dependence() -> None:
    """Both arms of a branch depend on it, what follows does not; a loop depends on itself."""
    asm = Assembler()
    x, s = asm.cell("x"), asm.scratch
    asm.begin()
    asm.emit(Op.MOV, s, x)  # 0
    other = asm.jump(Op.JZ, s)  # 1
    asm.emit(Op.CONST, s, 1)  # 2
    leave = asm.jump(Op.JMP)  # 3
    asm.land(other)
    asm.emit(Op.CONST, s, 2)  # 4
    asm.land(leave)
    asm.emit(Op.CONST, x, 3)  # 5
    asm.emit(Op.STEP, 1)  # 6
    asm.entries.append(len(asm.code))
    asm.emit(Op.MOV, s, x)  # 7
    asm.emit(Op.JNZ, s, 7)  # 8
    asm.finish("t")  # 9
    program = asm.program()
    decided = {at: sorted(by) for at, by in conditions(program, 0).items() if by}
    assert decided == {2: [1], 3: [1], 4: [1], 7: [8], 8: [8]}
    assert owners(program) == {x: {0}}


def test_a_loop_without_end_has_control_dependence_too() -> None:
    """A daemon that never finishes."""
    asm = Assembler()
    x = asm.cell("x")
    asm.begin()
    asm.emit(Op.JZ, x, 2)
    asm.emit(Op.CONST, x, 1)
    asm.emit(Op.STEP, 0)
    asm.finish("daemon", daemon=True)
    assert conditions(asm.program(), 0)[1] == {0}


def test_culprits_of_a_predicate() -> None:
    """The cell of which another value would do, and which."""
    program = Kvm(leak=True).build()
    run = recording(program, found(program, Kind.PREDICATE, "quiescent"))
    assert run.violation is not None
    cells = culprits(program, run.violation, run.states[-1])
    assert {program.cells[slot].name: good for slot, good in cells.items()} == {
        "frame A.refcount": [0]
    }


def test_groups_come_from_names() -> None:
    """By the last word that says something."""
    asm = Assembler()
    names = {
        "mm.pte_write[0x1000]": "pte",
        "kvm.spte[0x1000]": "spte",
        "tlb.frame[0x1000]": "tlb",
        "cache.writable[0x1000]": "tlb",
        "cpu_tlb[0x1000]": "",
        "frame0.refcount": "frame",
        "page_table_lock.owner": "lock",
        "swap_cache[0x1000]": "driver",
        "in_progress": "driver",
    }
    for name in names:
        asm.cell(name)
    asm.reference("frame[0x1000]")
    assert groups(asm.program()) == (*names.values(), "tlb")


def test_the_files_of_a_driver() -> None:
    """Its own and those of the classes it builds on, but not those of the language."""

    class Mine(Driver):
        """A driver in this file."""

    assert driver_files(Mine) == {__file__}
    assert driver_files(SpinLock) == frozenset()
