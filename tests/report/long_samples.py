"""Two large results made by hand: one of 46 steps, one with five lanes and long labels."""

from __future__ import annotations

from mmunotify.trace.record import (
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
    Window,
)

__all__ = ["five_lanes", "long_trace"]

_DRIVER = "drivers/odp.py"
_MM = "mmunotify/primary/wp_page_copy.py"

# lane, text, line of the driver (or minus the line of the operation), change, uses, in the slice
_Row = tuple[int, str, int, str, list[int], bool]


_PAGE = "0x7f32_1000_0000"


class _Rows:
    """The steps of a trace, numbered as they are added."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []

    def add(
        self, lane: int, line: int, text: str, change: str = "", *uses: int, on: bool = False
    ) -> int:
        """Add a step, in the causal slice if `on`, and return its number."""
        self.rows.append((lane, text, line, change, list(uses), on))
        return len(self.rows)


def _change(text: str) -> list[Change]:
    if not text:
        return []
    column, _, values = text.partition(": ")
    before, _, after = values.partition(" -> ")
    return [Change(column=column, before=before, after=after)]


def _events(rows: list[_Row], lanes: int) -> list[Event]:
    return [
        Event(
            n=n,
            lane=lane,
            text=text,
            where=[
                Line(file=_DRIVER, line=line, function="fault")
                if line > 0
                else Line(file=_MM, line=-line, function="wp_page_copy")
            ],
            changes=_change(change),
            uses=uses,
            slice=in_slice,
            alternatives=[other for other in range(lanes) if other != lane and n % (other + 2)],
        )
        for n, (lane, text, line, change, uses, in_slice) in enumerate(rows, 1)
    ]


def _result(trace: Trace, scenario: str, operations: list[str], message: str, why: str) -> Result:
    return Result(
        version="0.1.0",
        driver="OdpUmem",
        file=_DRIVER,
        verdict="VIOLATED",
        properties=["no_stale_translation", "no_stale_bytes"],
        property="no_stale_bytes",
        message=message,
        why=why,
        scenario=scenario,
        scenarios=[
            ScenarioResult(
                name=scenario,
                verdict="VIOLATED",
                property="no_stale_bytes",
                bounds=Bounds(
                    pages=2, frames=4, devices=1, operations=operations, protocol="interval"
                ),
                statistics=Statistics(
                    states=412_077,
                    transitions=990_412,
                    depth=58,
                    seconds=0.31,
                    bytes=31_000_000,
                    reduction="ample + dead locals",
                ),
            )
        ],
        replay="c4.v9.w6.v3.c11.w4.v2.c5.d.v",
        seconds=1.9,
        trace=trace,
    )


def long_trace() -> Result:
    """46 steps in three lanes, most of them outside of the causal slice."""
    rows = _Rows()
    add = rows.add
    for index in range(6):
        add(1, 40 + index, f"work.queue[{index}] = page 0x{index + 1}000", "")
    read = add(1, 52, "current_seq = self.umem.notifiers_seq.read()", on=True)
    pfn = add(
        1, 53, "pfn = hmm_range_fault(0x2000, write=False)", "frame B: 1 ref -> 2 refs", on=True
    )
    for index in range(7):
        add(0, -20 - index, f"anon_vma_prepare, part {index + 1} of 7")
    copied = add(0, -31, "new frame C = copy of B", "frame C: free -> 1 ref", on=True)
    start = add(0, -34, "range_start [0x2000, +1)", "", on=True)
    add(0, 18, "self.umem_mutex.acquire()", "umem_mutex: free -> cpu0")
    add(0, 21, "nothing mapped in [0x2000, +1), nothing to unmap")
    add(0, 26, "self.umem_mutex.release()", "umem_mutex: cpu0 -> free")
    clear = add(0, -36, "ptep_clear_flush_notify(0x2000)", "pte[0x2000]: B (ro) -> none", on=True)
    add(0, -37, "page_add_new_anon_rmap(C)")
    add(0, -38, "set_pte_at_notify(0x2000, C, writable)", "pte[0x2000]: none -> C", copied, on=True)
    add(0, -41, "page_remove_rmap(B)")
    for index in range(5):
        add(2, 70 + index, f"poll completion queue, entry {index}")
    end = add(0, -44, "range_end [0x2000, +1)", "", on=True)
    add(0, 30, "self.notifiers_seq += 1", "notifiers_seq: 4 -> 5")
    add(1, 55, "self.umem_mutex.acquire()", "umem_mutex: free -> odp0")
    mapped = add(
        1,
        58,
        "self.dma_list[0x2000] = dma_map_page(B)",
        "spte[0x2000]: . -> B",
        pfn,
        read,
        on=True,
    )
    add(1, 59, "self.npages += 1", "npages: 0 -> 1")
    add(1, 61, "self.umem_mutex.release()", "umem_mutex: odp0 -> free")
    add(1, 62, "put_page(B)", "frame B: 2 refs -> 1 ref")
    for index in range(8):
        add(0, -50 - index, f"return from the fault, level {index}")
    add(0, -60, "cpu write 0x2000 (version 2)", "contents C: 1 -> 2", on=True)
    add(2, 80, "tlb[0x2000] = B", "tlb[0x2000]: . -> B", mapped, on=True)
    add(2, 81, "read 0x2000 by spte: version 1", "", mapped, on=True)
    names = {
        "pte[0x2000]": ("B (ro)", "pte"),
        "spte[0x2000]": (".", "spte"),
        "tlb[0x2000]": (".", "tlb"),
        "frame B": ("1 ref", "frame"),
        "frame C": ("free", "frame"),
        "contents C": ("1", "frame"),
        "umem_mutex": ("free", "lock"),
        "notifiers_seq": ("4", "driver"),
        "npages": ("0", "driver"),
    }
    trace = Trace(
        header=Header(
            subject="OdpUmem",
            lanes=[
                Lane(name="cpu0", role="copy on write", mmu="primary"),
                Lane(name="odp0", role="page fault of the HCA", mmu="secondary"),
                Lane(name="hca", role="RDMA read", mmu="device"),
            ],
            columns=[
                Column(name=name, initial=initial, group=group)
                for name, (initial, group) in names.items()
            ],
        ),
        events=_events(rows.rows, 3),
        windows=[
            Window(kind="invalidation", lane=0, first=start, last=end, text="[0x2000, +1)"),
            Window(kind="invalidation", lane=0, first=clear, last=clear + 2, text="flush"),
            Window(kind="stale", lane=1, first=mapped, last=0, text="0x2000 -> B"),
        ],
    )
    return _result(
        trace,
        "cow_fault_read",
        ["1 copy on write", "1 fault", "1 RDMA read"],
        "page 0x2000: the CPU has written version 2 to frame C, but the device reads version 1 "
        f"from frame B, which the page left at step {clear}.",
        f"Step {mapped} maps the frame that step {pfn} found, although the section of steps "
        f"{start}-{end} has replaced it in between; the sequence read at step {read} is never "
        "compared.",
    )


def five_lanes() -> Result:
    """Five lanes, labels longer than any lane is wide, windows that nest and stay open."""
    rows = _Rows()
    rows.add(
        2, 31, f"frame = mm.get_user_page({_PAGE}, write=True)", "frame A: 1 ref -> 2 refs", on=True
    )
    rows.add(0, -21, f"range_start [{_PAGE}, +512) MMU_NOTIFY_CLEAR", on=True)
    rows.add(0, 11, "mmu_lock.acquire()", "mmu_lock: free -> cpu0")
    rows.add(1, -62, f"range_start [{_PAGE}, +1) MMU_NOTIFY_UNMAP, waits in mmu_lock", on=True)
    rows.add(0, 14, "self.spte[page] = None for page in rng, five hundred and twelve times over")
    rows.add(0, 17, "mmu_lock.release()", "mmu_lock: cpu0 -> free", 3)
    rows.add(1, 11, "mmu_lock.acquire()", "mmu_lock: free -> ksmd", 6)
    rows.add(3, 28, "seq = self.seq.read()")
    rows.add(3, 31, f"frame = mm.get_user_page({_PAGE}, write=False)", "frame A: 2 refs -> 3 refs")
    rows.add(
        3, 34, "in_progress is 2: frame.put(); return RETRY", "frame A: 3 refs -> 2 refs", 2, 4
    )
    rows.add(1, 17, "mmu_lock.release()", "mmu_lock: ksmd -> free")
    rows.add(1, -70, f"pte[{_PAGE}] = K (ro)", f"pte[{_PAGE}]: A -> K (ro)", on=True)
    rows.add(1, -74, f"range_end [{_PAGE}, +1)", on=True)
    rows.add(2, 38, f"spte[{_PAGE}] = A, writable", f"spte[{_PAGE}]: . -> A", 1, on=True)
    rows.add(
        4, 90, "a_label_without_any_space_that_is_longer_than_every_lane_and_must_be_broken", "", 14
    )
    rows.add(0, -44, f"range_end [{_PAGE}, +512)", on=True)
    rows.add(2, 39, "put_page(A)", "frame A: 2 refs -> 1 ref")
    rows.add(1, -80, "put_page(A)", "frame A: 1 ref -> free", 12, on=True)
    rows.add(4, 91, f"write {_PAGE} by spte", f"tlb[{_PAGE}]: . -> A", 14, 18, on=True)
    trace = Trace(
        header=Header(
            subject="OdpUmem",
            lanes=[
                Lane(name="cpu0", role="madvise", mmu="primary"),
                Lane(name="ksmd", role="merge", mmu="primary"),
                Lane(name="vcpu0", role="write fault", mmu="secondary"),
                Lane(name="vcpu1", role="read fault", mmu="secondary"),
                Lane(name="dev", role="guest access", mmu="device"),
            ],
            columns=[
                Column(name=f"pte[{_PAGE}]", initial="A", group="pte"),
                Column(name=f"spte[{_PAGE}]", initial=".", group="spte"),
                Column(name=f"tlb[{_PAGE}]", initial=".", group="tlb"),
                Column(name="frame A", initial="1 ref", group="frame"),
                Column(name="mmu_lock", initial="free", group="lock"),
            ],
        ),
        events=_events(rows.rows, 5),
        windows=[
            Window(kind="invalidation", lane=0, first=2, last=16, text="[.., +512)"),
            Window(kind="invalidation", lane=1, first=4, last=13, text="[.., +1)"),
            Window(kind="stale", lane=2, first=14, last=0, text="-> A"),
            Window(kind="stale", lane=4, first=19, last=0, text="-> A"),
        ],
    )
    return _result(
        trace,
        "madvise_ksm_fault_fault",
        ["1 madvise", "1 ksm merge", "2 faults"],
        f"page {_PAGE}: the spte maps frame A for writing, but ksmd has merged the page "
        "and freed A.",
        "Step 14 installs the frame that step 1 found; steps 12-13 replaced it in between.",
    )
