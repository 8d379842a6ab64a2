"""The benchmark: a KVM-like secondary MMU in coarse steps, written directly in the IR.

`vcpus` map a page under a lock with a retry check, `invalidators` take pages away under
notification. Every tool that was measured on it agrees on its numbers of states.
"""

from __future__ import annotations

from tests.core.builder import Builder, ThreadBuilder

from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program, SymmetryKind

__all__ = ["protocol"]

NONE = -1


class _Protocol:
    """The program while it is written down."""

    def __init__(
        self, vcpus: int, invalidators: int, pages: int, frames: int, loops: int, bug: bool
    ) -> None:
        self.pages, self.frames, self.loops, self.bug = pages, frames, loops, bug
        b = self.b = Builder()
        self.lock = b.cell("lock", 0, 1, 0)
        self.in_progress = b.cell("in_progress", 0, invalidators, 0)
        self.seq = b.cell("seq", 0, invalidators * loops, 0)
        self.pte = b.array("pte", pages, NONE, frames - 1, NONE, "frame")
        self.spte = b.array("spte", pages, NONE, frames - 1, NONE, "frame")
        self.owner = b.array("owner", frames, NONE, pages - 1, NONE, "page")
        self.refs = b.array("refs", frames, 0, vcpus + 2, 0)
        self.stale = b.failure("no_stale_translation")
        self.bounds = b.failure("index")
        self.columns: dict[str, list[list[int]]] = {"vcpu": [], "invalidator": []}
        self.numbers: dict[str, list[int]] = {"vcpu": [], "invalidator": []}
        self.tlbs: list[int] = []
        threads = [self.declare("vcpu", n) for n in range(vcpus)]
        threads += [self.declare("invalidator", n) for n in range(invalidators)]
        for name, thread, cells in threads:
            (self.vcpu if name == "vcpu" else self.invalidator)(thread, cells)
        self.symmetry()

    def declare(self, name: str, number: int) -> tuple[str, ThreadBuilder, dict[str, int]]:
        done = 12 if name == "vcpu" else 13
        thread = self.b.thread(f"{name}{number}", done)
        cells = {
            "n": thread.local("n", 0, self.loops, 0),
            "page": thread.local("page", NONE, self.pages - 1, NONE, "page"),
            "frame": thread.local("frame", NONE, self.frames - 1, NONE, "frame"),
        }
        if name == "vcpu":
            cells["seq"] = thread.local("seq", 0, self.b.cells[self.seq].high, 0)
            cells["tlb"] = thread.local("tlb", NONE, self.frames - 1, NONE, "frame")
            self.tlbs.append(cells["tlb"])
        self.columns[name].append([thread.pc, thread.pc + 1, *cells.values()])
        self.numbers[name].append(len(self.b.threads) - 1)
        return name, thread, cells

    def load(self, to: str | int, array: int, index: int, size: int) -> None:
        self.b.emit(Op.LDX, to, array, index, size, self.bounds)

    def store(self, array: int, index: int, value: str | int, size: int) -> None:
        self.b.emit(Op.STX, array, index, value, size, self.bounds)

    def take_lock(self, thread: ThreadBuilder) -> None:
        next_ = thread.boundary() + 1
        self.b.emit(Op.NOT, "free", self.lock)
        self.b.emit(Op.WAIT, "free")
        self.b.emit(Op.CONST, self.lock, 1)
        self.b.emit(Op.STEP, next_)

    def simple(self, thread: ThreadBuilder, op: Op, *operands: int | str, to: int = -1) -> None:
        """Add a boundary with one instruction."""
        next_ = thread.boundary() + 1
        self.b.emit(op, *operands)
        self.b.emit(Op.STEP, next_ if to < 0 else to)

    def put(self, frame: int) -> None:
        after = self.b.label()
        self.load("refs", self.refs, frame, self.frames)
        self.b.emit(Op.ADDK, "refs", "refs", -1)
        self.store(self.refs, frame, "refs", self.frames)
        self.b.emit(Op.JNZ, "refs", after)
        self.b.emit(Op.CONST, "none", NONE)
        self.store(self.owner, frame, "none", self.frames)
        self.b.label(after)

    def allocate(self, frame: int | str, page: int, references: int) -> None:
        """Choose any free frame; there is no step if none is free."""
        self.b.emit(Op.CHOOSE, frame, 0, self.frames)
        self.b.emit(Op.LDX, "owner", self.owner, frame, self.frames, self.bounds)
        self.b.emit(Op.CONST, "none", NONE)
        self.b.emit(Op.EQ, "free", "owner", "none")
        self.b.emit(Op.WAIT, "free")
        self.b.emit(Op.STX, self.owner, frame, page, self.frames, self.bounds)
        self.b.emit(Op.CONST, "refs", references)
        self.b.emit(Op.STX, self.refs, frame, "refs", self.frames, self.bounds)
        self.b.emit(Op.STX, self.pte, page, frame, self.pages, self.bounds)

    def again(self, cells: dict[str, int]) -> None:
        """End a round: from the start, or done after the last."""
        end = self.b.label()
        self.b.emit(Op.CONST, cells["page"], NONE)
        self.b.emit(Op.ADDK, cells["n"], cells["n"], 1)
        self.b.emit(Op.JEQK, cells["n"], self.loops, end)
        self.b.emit(Op.STEP, 0)
        self.b.label(end)
        self.b.emit(Op.END)

    def vcpu(self, t: ThreadBuilder, c: dict[str, int]) -> None:
        b = self.b
        self.simple(t, Op.CHOOSE, c["page"], 0, self.pages)  # 0
        self.simple(t, Op.MOV, c["seq"], self.seq)  # 1
        self.get_user_page(t, c)  # 2
        self.take_lock(t)  # 3
        t.boundary()  # 4
        if not self.bug:
            retry = b.label()
            b.emit(Op.JNZ, self.in_progress, retry)
            b.emit(Op.JNE, self.seq, c["seq"], retry)
            b.emit(Op.STEP, 5)
            b.label(retry)
            b.emit(Op.STEP, 7)
        else:
            b.emit(Op.STEP, 5)
        t.boundary()  # 5
        self.store(self.spte, c["page"], c["frame"], self.pages)
        b.emit(Op.STEP, 6)
        self.simple(t, Op.CONST, self.lock, 0, to=9)  # 6
        self.simple(t, Op.CONST, self.lock, 0, to=8)  # 7
        for after in (1, 10):  # 8, 9
            t.boundary()
            self.put(c["frame"])
            b.emit(Op.CONST, c["frame"], NONE)
            b.emit(Op.CONST, c["seq"], 0)
            b.emit(Op.STEP, after)
        t.boundary()  # 10
        missing = b.label()
        self.load("found", self.spte, c["page"], self.pages)
        b.emit(Op.JEQK, "found", NONE, missing)
        b.emit(Op.MOV, c["tlb"], "found")
        b.emit(Op.STEP, 11)
        b.label(missing)
        self.again(c)
        t.boundary()  # 11
        good = b.label()
        b.emit(Op.JEQK, c["tlb"], NONE, good)
        self.load("owner", self.owner, c["tlb"], self.frames)
        b.emit(Op.JEQ, "owner", c["page"], good)
        b.emit(Op.FAIL, self.stale)
        b.label(good)
        b.emit(Op.CONST, c["tlb"], NONE)
        self.again(c)

    def get_user_page(self, t: ThreadBuilder, c: dict[str, int]) -> None:
        b, missing = self.b, self.b.label()
        t.boundary()
        self.load("found", self.pte, c["page"], self.pages)
        b.emit(Op.JEQK, "found", NONE, missing)
        b.emit(Op.MOV, c["frame"], "found")
        self.load("refs", self.refs, c["frame"], self.frames)
        b.emit(Op.ADDK, "refs", "refs", 1)
        self.store(self.refs, c["frame"], "refs", self.frames)
        b.emit(Op.STEP, 3)
        b.label(missing)
        self.allocate(c["frame"], c["page"], 2)
        b.emit(Op.STEP, 3)

    def invalidator(self, t: ThreadBuilder, c: dict[str, int]) -> None:
        b = self.b
        self.simple(t, Op.CHOOSE, c["page"], 0, self.pages)  # 0
        self.take_lock(t)  # 1
        self.simple(t, Op.ADDK, self.in_progress, self.in_progress, 1)  # 2
        t.boundary()  # 3
        b.emit(Op.CONST, "none", NONE)
        self.store(self.spte, c["page"], "none", self.pages)
        b.emit(Op.STEP, 4)
        t.boundary()  # 4
        for tlb in self.tlbs:
            b.emit(Op.CONST, tlb, NONE)
        b.emit(Op.STEP, 5)
        self.simple(t, Op.CONST, self.lock, 0)  # 5
        t.boundary()  # 6
        self.load(c["frame"], self.pte, c["page"], self.pages)
        b.emit(Op.CONST, "none", NONE)
        self.store(self.pte, c["page"], "none", self.pages)
        b.emit(Op.STEP, 7)
        t.boundary()  # 7
        unmapped = b.label()
        b.emit(Op.JEQK, c["frame"], NONE, unmapped)
        self.put(c["frame"])
        b.emit(Op.CONST, c["frame"], NONE)
        b.label(unmapped)
        b.emit(Op.STEP, 8)
        self.take_lock(t)  # 8
        self.simple(t, Op.ADDK, self.seq, self.seq, 1)  # 9
        self.simple(t, Op.ADDK, self.in_progress, self.in_progress, -1)  # 10
        self.simple(t, Op.CONST, self.lock, 0)  # 11
        t.boundary()  # 12
        skip, some = b.label(), b.label()
        self.load("found", self.pte, c["page"], self.pages)
        b.emit(Op.JNEK, "found", NONE, skip)
        for frame in range(self.frames):
            b.emit(Op.JEQK, self.owner + frame, NONE, some)
        b.emit(Op.JMP, skip)
        b.label(some)
        self.allocate("frame", c["page"], 1)
        b.label(skip)
        self.again(c)

    def symmetry(self) -> None:
        """Declare everything interchangeable: frames, pages, vcpus, invalidators."""
        b = self.b
        frames, pages = range(self.frames), range(self.pages)
        b.symmetry.append(
            SymmetryKind(
                "frame",
                self.frames,
                tuple((self.owner + f, self.refs + f) for f in frames),
                (("frame", tuple(frames)),),
            )
        )
        b.symmetry.append(
            SymmetryKind(
                "page",
                self.pages,
                tuple((self.pte + p, self.spte + p) for p in pages),
                (("page", tuple(pages)),),
            )
        )
        for name, columns in self.columns.items():
            b.symmetry.append(
                SymmetryKind(
                    name,
                    len(columns),
                    tuple(tuple(column) for column in columns),
                    (),
                    tuple(self.numbers[name]),
                )
            )


def protocol(
    vcpus: int, invalidators: int, pages: int, frames: int, loops: int, *, bug: bool = False
) -> Program:
    """Return the benchmark with so many of everything; `bug` leaves the retry check out."""
    return _Protocol(vcpus, invalidators, pages, frames, loops, bug).b.build()
