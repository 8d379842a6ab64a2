"""The record of a counterexample: events, columns, windows."""

from __future__ import annotations

import pytest
from tests.check.handmade import DRIVER, SPINLOCK, Assembler, abba, found
from tests.check.handmade_kvm import OPERATION, Kvm

from mmunotify.check.counterexample import Counterexample, counterexample
from mmunotify.check.places import Places
from mmunotify.check.reorder import fewest_switches
from mmunotify.check.schedule import Move, ScheduleError
from mmunotify.check.violation import Kind
from mmunotify.ir.program import Location, Program
from mmunotify.trace.record import Column, Lane, Line, Window

LANES = (
    Lane(name="cpu0", role="munmap"),
    Lane(name="vcpu0", role="fault", mmu="secondary"),
    Lane(name="dev", role="access", mmu="device"),
)


def made(program: Program, kind: Kind, property: str) -> Counterexample:
    """Return the counterexample with fewest steps and switches."""
    schedule = fewest_switches(program, found(program, kind, property))
    return counterexample(program, schedule, LANES, (DRIVER,), "KvmLike")


def lines(example: Counterexample) -> list[str]:
    """Return a line an event: slice, number, lane, text, changes, uses."""
    return [
        " ".join(
            (
                "*" if event.slice else ".",
                f"{event.n} {example.trace.header.lanes[event.lane].name}: {event.text}",
                *(f"[{c.column}: {c.before} -> {c.after}]" for c in event.changes),
                *(f"({number})" for number in event.uses),
            )
        )
        for event in example.trace.events
    ]


GOLDEN = """\
* 1 vcpu0: frame = self.mm.get_user_page(page, write) [frame A.refcount: 1 -> 2]
. 2 cpu0: mmu_lock.acquire [mmu_lock.owner: None -> cpu0]
. 3 cpu0: self.in_progress += 1 [in_progress: 0 -> 1]
. 4 cpu0: self.spte[page] = None
. 5 cpu0: self.tlb.flush()
. 6 cpu0: mmu_lock.release [mmu_lock.owner: cpu0 -> None]
* 7 cpu0: frame = mm.clear_pte(page) [mm.pte[0]: frame A -> None]
. 8 cpu0: mmu_lock.acquire [mmu_lock.owner: None -> cpu0]
. 9 cpu0: self.seq += 1 [seq: 0 -> 1]
. 10 cpu0: self.in_progress -= 1 [in_progress: 1 -> 0]
. 11 cpu0: mmu_lock.release [mmu_lock.owner: cpu0 -> None]
* 12 cpu0: frame.put() [frame A.refcount: 2 -> 1] (1) (7)
. 13 vcpu0: mmu_lock.acquire [mmu_lock.owner: None -> vcpu0]
* 14 vcpu0: self.spte[page] = frame [spte[0]: None -> frame A] (1)
. 15 vcpu0: mmu_lock.release [mmu_lock.owner: vcpu0 -> None]
* 16 vcpu0: frame.put() [frame A.owner: page 0 -> nobody] [frame A.refcount: 1 -> 0] (1) (12)
* 17 dev: filled = self.tlb.walk(page) [tlb.frame[0]: None -> frame A] (14)
* 18 dev: self.use(page) (16) (17)"""


def test_the_classic_bug() -> None:
    """Without the recheck: every statement once, what it changed, whose values it used."""
    example = made(Kvm().build(), Kind.FAILURE, "no_stale_translation")
    assert "\n".join(lines(example)) == GOLDEN
    assert (example.steps, example.switches) == (19, 3)
    assert example.property == "no_stale_translation"
    assert example.message == "the device accesses frame A, which is free"
    assert example.trace.windows == [
        Window(
            kind="invalidation",
            lane=0,
            first=2,
            last=11,
            text="notifiers.invalidate_range_start(rng)",
        ),
        Window(kind="stale", lane=1, first=14, last=0, text="spte[0] still names frame A"),
    ]


def test_columns_are_what_changes_side_by_side() -> None:
    """Page tables first; frame B never changes."""
    example = made(Kvm().build(), Kind.FAILURE, "no_stale_translation")
    assert example.trace.header.columns == [
        Column(name="mm.pte[0]", initial="frame A", group="pte"),
        Column(name="spte[0]", initial="None", group="spte"),
        Column(name="tlb.frame[0]", initial="None", group="tlb"),
        Column(name="frame A.owner", initial="page 0", group="frame"),
        Column(name="frame A.refcount", initial="1", group="frame"),
        Column(name="mmu_lock.owner", initial="None", group="lock"),
        Column(name="in_progress", initial="0", group="driver"),
        Column(name="seq", initial="0", group="driver"),
    ]


def test_where_leads_from_the_operation_to_the_primitive() -> None:
    """The whole chain of calls, innermost last."""
    example = made(Kvm().build(), Kind.FAILURE, "no_stale_translation")
    assert example.trace.events[1].where == [
        Line(
            file=OPERATION,
            line=10,
            function="munmap",
            text="notifiers.invalidate_range_start(rng)",
        ),
        Line(
            file=DRIVER,
            line=20,
            function="KvmLike.invalidate_range_start",
            text="with self.mmu_lock:",
        ),
        Line(file=SPINLOCK, line=36, function="SpinLock.__enter__", text="self.acquire()"),
        Line(file=SPINLOCK, line=28, function="SpinLock.acquire", text="self.owner = current()"),
    ]


def test_a_translation_that_is_kept_is_stale_from_the_clear() -> None:
    """The stale window begins where the primary entry goes."""
    example = made(Kvm(check=True, zap=False).build(), Kind.FAILURE, "no_stale_translation")
    stale = [w for w in example.trace.windows if w.kind == "stale"]
    clear = next(e for e in example.trace.events if e.text.endswith("clear_pte(page)"))
    assert [(w.lane, w.first, w.last) for w in stale] == [(1, clear.n, 0)]


def test_alternatives_are_the_others_that_could_move() -> None:
    """Under mmu_lock the fault has to wait, the device does not."""
    example = made(Kvm().build(), Kind.FAILURE, "no_stale_translation")
    assert example.trace.events[0].alternatives == [0, 2]
    assert example.trace.events[2].alternatives == [2]


def test_a_deadlock_shows_all_who_wait() -> None:
    """Also those that have not moved."""
    example = counterexample(abba(), [Move(0), Move(1)], LANES, (DRIVER,))
    assert lines(example) == [
        "* 1 cpu0: a_lock.acquire [a_lock.owner: None -> cpu0]",
        "* 2 vcpu0: b_lock.acquire [b_lock.owner: None -> vcpu0]",
    ]
    assert [lane.name for lane in example.trace.header.lanes] == ["cpu0", "vcpu0"]


def test_lanes_are_ordered_by_mmu() -> None:
    """Primary, secondary, device; threads that do not occur are left out."""
    lanes = (LANES[2], LANES[1], LANES[0])
    example = counterexample(Kvm().build(), [Move(0), Move(2)], lanes)
    assert [lane.name for lane in example.trace.header.lanes] == ["cpu0", "dev"]
    assert [event.lane for event in example.trace.events] == [1, 0]


def test_a_schedule_without_a_violation_is_told_as_well() -> None:
    """Nothing is in the slice then."""
    example = counterexample(Kvm().build(), [Move(0)] * 3)
    assert (example.property, example.message, example.why) == ("", "", "")
    assert [event.slice for event in example.trace.events] == [False, False]


def test_a_corrupted_schedule_is_refused() -> None:
    """It is never shown as if it had happened."""
    with pytest.raises(ScheduleError):
        counterexample(abba(), [Move(0), Move(1), Move(1)])


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (
            [("munmap.py", "run", "with mm.lock.write:"), (SPINLOCK, "A.__enter__", "")],
            "mm.lock.write.enter",
        ),
        ([(DRIVER, "K.f", "with self.a:  # why"), (SPINLOCK, "A.acquire", "x")], "a.acquire"),
        ([(DRIVER, "K.f", "x = 1  # why")], "x = 1"),
        ([(DRIVER, "K.f", "self.put()"), ("frame.py", "F.put", "self.n -= 1")], "self.put()"),
        ([("a.py", "run", "mm.put(f)"), ("frame.py", "F.put", "self.n -= 1")], "mm.put(f)"),
        ([("a.py", "run", "self.use()"), ("a.py", "D.use", 'require("p", x)')], "self.use()"),
        ([("a.py", "run", "self.use()"), ("a.py", "D.use", "x = 2")], "x = 2"),
    ],
)
def test_the_telling_line(frames: list[tuple[str, str, str]], text: str) -> None:
    """The driver's own line, else the call that led into the innermost file."""
    asm = Assembler()
    parent = -1
    for number, (file, function, statement) in enumerate(frames):
        parent = asm.place(file, number, function, statement, parent)
    places = Places(asm.program(), (DRIVER,))
    assert places.text(places.chain(parent)) == text


def test_places_without_source() -> None:
    """No location, no text."""
    places = Places(Assembler().program())
    assert places.chain(-1) == ()
    assert places.text(()) == ""
    assert places.function((Location("a.py", 1, 1, 2, "A.f", "x"),)) == "f"
