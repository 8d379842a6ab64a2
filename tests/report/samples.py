"""Results made by hand, one of each kind that a report must be able to show.

They hold what the checker would fill in, so a report can be tested without running a check.
"""

from __future__ import annotations

from tests.report.long_samples import five_lanes, long_trace

from mmunotify.trace.record import (
    Blocked,
    Bounds,
    Change,
    Column,
    Event,
    Header,
    Lane,
    Line,
    Result,
    ScenarioResult,
    Statistics,
    Trace,
    Unused,
    Window,
)

__all__ = ["SAMPLES", "deadlock", "incomplete", "nine_steps", "passed"]

DRIVER = "drivers/kvm_like.py"
SOURCE = '''\
"""A shadow page table that forgets to look whether its page was invalidated meanwhile."""

from mmunotify import Driver
from mmunotify.lang import SpinLock, Table


class KvmLike(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.mmu_lock = SpinLock()
        self.spte = Table(mm.pages)

    def invalidate_range_start(self, rng):
        with self.mmu_lock:
            for page in rng:
                if self.spte[page] is not None:
                    self.spte[page] = None
                    self.tlb.flush()

    def invalidate_range_end(self, rng):
        pass

    def age(self, rng):
        young = False
        for page in rng:
            young = self.young[page] or young
            self.young[page] = False
        return young

    def fault(self, page, write):
        pfn = self.mm.get_user_page(page, write)

        # What is missing here:
        #     if self.invalidate_seq.read() != seq:
        #         return RETRY

        with self.mmu_lock:
            self.spte[page] = pfn
        pfn.put()
'''
_LINES = SOURCE.splitlines()
_UNMAP = "mmunotify/primary/unmap.py"


def _at(line: int, function: str) -> Line:
    return Line(file=DRIVER, line=line, function=function, text=_LINES[line - 1].strip())


def _mm(line: int, function: str) -> Line:
    return Line(file=_UNMAP, line=line, function=function)


def _change(column: str, before: str, after: str) -> Change:
    return Change(column=column, before=before, after=after)


def _scenario(name: str, states: int, seconds: float, **facts: object) -> ScenarioResult:
    fields: dict[str, object] = {"verdict": "HOLDS", "operations": ["1 munmap", "1 vcpu fault"]}
    fields |= facts
    bounds = Bounds(
        pages=2,
        frames=3,
        devices=1,
        operations=fields.pop("operations"),  # type: ignore[arg-type]
        protocol="interval",
    )
    statistics = Statistics(
        states=states,
        transitions=3 * states,
        depth=31 + states % 17,
        seconds=seconds,
        bytes=41 * states + 2_000_000,
        reduction="ample",
    )
    return ScenarioResult(
        name=name,
        bounds=bounds,
        statistics=statistics,
        **fields,  # type: ignore[arg-type]
    )


def nine_steps() -> Result:
    """The example of the design: a fault installs a translation that was invalidated."""
    return Result(
        version="0.1.0",
        driver="KvmLike",
        file=DRIVER,
        verdict="VIOLATED",
        properties=["no_stale_translation", "aging_not_lost", "no_deadlock"],
        scenarios=[
            _scenario("age_fault", 412, 0.01),
            _scenario(
                "munmap_fault",
                1204,
                0.02,
                verdict="VIOLATED",
                property="no_stale_translation",
            ),
        ],
        property="no_stale_translation",
        message="page 0x1000: the spte maps frame A, but the primary MMU has freed A.",
        scenario="munmap_fault",
        why="Step 6 installs the pfn read at step 1. Steps 2-5 invalidated that page in between, "
        "and fault() does not check for it.",
        fix="Take seq = self.invalidate_seq before gup() and recheck it under mmu_lock "
        "(E301: mmunotify explain E301).",
        place=_at(38, "fault"),
        replay="v.c4.v2.c.d",
        command="mmunotify check drivers/kvm_like.py --replay v.c4.v2.c.d",
        shortest=True,
        seconds=0.61,
        trace=_nine_steps_trace(),
    )


def _nine_steps_trace() -> Trace:
    def event(n: int, lane: int, text: str, *where: Line, **facts: object) -> Event:
        slice_ = n not in (3, 7)
        return Event(n=n, lane=lane, text=text, where=list(where), slice=slice_, **facts)  # type: ignore[arg-type]

    start = _mm(31, "munmap")
    events = [
        event(
            1,
            1,
            "pfn = gup(0x1000)",
            _at(31, "fault"),
            changes=[_change("frame A", "1 ref", "2 refs")],
            alternatives=[0],
        ),
        event(2, 0, "range_start [0x1000, +1)", start, alternatives=[1]),
        event(3, 0, "nothing to zap", start, _at(16, "invalidate_range_start"), alternatives=[1]),
        event(
            4,
            0,
            "pte[0x1000] = none",
            _mm(38, "munmap"),
            changes=[_change("pte[0x1000]", "A", "none")],
            alternatives=[1],
        ),
        event(5, 0, "range_end", _mm(44, "munmap"), alternatives=[1]),
        event(
            6,
            1,
            "spte[0x1000] = A",
            _at(38, "fault"),
            changes=[_change("spte[0x1000]", ".", "A")],
            uses=[1],
            alternatives=[0],
        ),
        event(
            7,
            1,
            "put_page(A)",
            _at(39, "fault"),
            changes=[_change("frame A", "2 refs", "1 ref")],
            alternatives=[0, 2],
        ),
        event(
            8,
            0,
            "put_page(A)",
            _mm(47, "munmap"),
            changes=[_change("frame A", "1 ref", "free")],
            alternatives=[2],
        ),
        event(
            9,
            2,
            "write 0x1000 by spte",
            changes=[_change("tlb[0x1000]", ".", "A")],
            uses=[6],
        ),
    ]
    return Trace(
        header=Header(
            subject="KvmLike",
            lanes=[
                Lane(name="cpu0", role="munmap", mmu="primary"),
                Lane(name="vcpu0", role="fault", mmu="secondary"),
                Lane(name="dev", role="guest access", mmu="device"),
            ],
            columns=[
                Column(name="pte[0x1000]", initial="A", group="pte"),
                Column(name="spte[0x1000]", initial=".", group="spte"),
                Column(name="tlb[0x1000]", initial=".", group="tlb"),
                Column(name="frame A", initial="1 ref", group="frame"),
            ],
        ),
        events=events,
        windows=[
            Window(kind="invalidation", lane=0, first=2, last=5, text="[0x1000, +1)"),
            Window(kind="stale", lane=1, first=6, last=0, text="0x1000 -> A"),
        ],
        sources={DRIVER: SOURCE},
    )


def passed() -> Result:
    """A check that holds in every scenario, with lines that no state executed."""
    sizes = [1_204_118, 96_400, 81_233, 51_002, 30_771, 12_090, 4_118, 2_204, 870, 124]
    names = "munmap_fault cow_fault age_fault munmap_age cow_age mprotect_fault madvise_fault "
    names += "fork_fault oom_reaper exit"
    return Result(
        version="0.1.0",
        driver="KvmSeq",
        file="drivers/kvm_seq.py",
        verdict="HOLDS",
        properties=["no_stale_translation", "aging_not_lost", "paired", "no_deadlock"],
        scenarios=[
            _scenario(
                name,
                states,
                states / 1_650_000,
                operations=[f"1 {name.split('_')[0]}", "2 vcpu faults"],
                unreached=["retry_taken"] if name == "exit" else [],
            )
            for name, states in zip(names.split(), sizes, strict=True)
        ],
        unused=[
            Unused(
                file="drivers/kvm_seq.py",
                first=52,
                last=54,
                function="invalidate_range_start",
                text="            if not rng.blockable:\n                "
                "self.deferred = True\n                return EAGAIN",
            ),
            Unused(file="drivers/kvm_seq.py", first=88, last=88, function="release"),
        ],
        seconds=1.34,
    )


def incomplete() -> Result:
    """A search that ran out of memory in one scenario and of time in another."""
    return Result(
        version="0.1.0",
        driver="OdpUmem",
        file="drivers/odp.py",
        verdict="INCOMPLETE",
        properties=["no_stale_translation", "no_stale_bytes", "no_deadlock"],
        scenarios=[
            _scenario("munmap_fault", 812_004, 0.6),
            _scenario(
                "cow_fault_fault",
                48_210_377,
                29.1,
                verdict="INCOMPLETE",
                reason="the memory limit of 4.0 GB was reached",
            ),
            _scenario(
                "migrate_fault_age",
                31_004_112,
                21.4,
                verdict="INCOMPLETE",
                reason="the time limit of 60 s was reached",
            ),
        ],
        seconds=60.2,
    )


def deadlock() -> Result:
    """Two lanes that take two locks in opposite order."""
    lock, other = "mmap_lock", "umem_rwsem"
    xpmem = "drivers/xpmem.py"

    def at(line: int, function: str) -> Line:
        return Line(file=xpmem, line=line, function=function)

    return Result(
        version="0.1.0",
        driver="Xpmem",
        file=xpmem,
        verdict="VIOLATED",
        properties=["no_deadlock"],
        scenarios=[
            _scenario("munmap_fault", 77, 0.001, verdict="VIOLATED", property="no_deadlock")
        ],
        property="no_deadlock",
        message="cpu0 and fault0 wait for each other for ever.",
        scenario="munmap_fault",
        why="fault() takes umem_rwsem before mmap_lock; munmap holds mmap_lock when it calls "
        "invalidate_range_start(), which takes umem_rwsem.",
        replay="c.f.c.f",
        shortest=True,
        seconds=0.2,
        trace=Trace(
            header=Header(
                subject="Xpmem",
                lanes=[
                    Lane(name="cpu0", role="munmap", mmu="primary"),
                    Lane(name="fault0", role="fault", mmu="secondary"),
                ],
                columns=[
                    Column(name=lock, initial="free", group="lock"),
                    Column(name=other, initial="free", group="lock"),
                ],
            ),
            events=[
                Event(
                    n=1,
                    lane=0,
                    text="mmap_lock.acquire()",
                    where=[_mm(22, "munmap")],
                    changes=[_change(lock, "free", "cpu0")],
                    slice=True,
                    alternatives=[1],
                ),
                Event(
                    n=2,
                    lane=1,
                    text="umem_rwsem.acquire()",
                    where=[at(61, "fault")],
                    changes=[_change(other, "free", "fault0")],
                    slice=True,
                    alternatives=[0],
                ),
                Event(
                    n=3,
                    lane=0,
                    text="range_start [0x1000, +1)",
                    where=[_mm(31, "munmap")],
                    slice=True,
                ),
            ],
            windows=[Window(kind="invalidation", lane=0, first=3, last=0, text="[0x1000, +1)")],
            blocked=[
                Blocked(
                    lane=0,
                    text="waits for umem_rwsem, held by fault0",
                    where=[_mm(31, "munmap"), at(40, "invalidate_range_start")],
                    uses=[2],
                ),
                Blocked(
                    lane=1,
                    text="waits for mmap_lock, held by cpu0",
                    where=[at(63, "fault")],
                    uses=[1],
                ),
            ],
        ),
    )


SAMPLES = {
    "nine_steps": nine_steps,
    "long_trace": long_trace,
    "five_lanes": five_lanes,
    "passed": passed,
    "incomplete": incomplete,
    "deadlock": deadlock,
}
