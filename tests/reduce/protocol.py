"""The benchmark protocol, a KVM-like secondary MMU, in two grains, with any effect left out.

Virtual CPUs fault pages in under a lock with a sequence check, walk and access; invalidators zap,
flush, clear the pte, free the frame and map the page again. `fine` makes every statement a step,
with a page table lock; `coarse` has one step a transition and no page table lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.reduce.builder import Code, Programs, Scratch

from mmunotify.ir.ops import Op
from mmunotify.ir.program import Program, SymmetryKind

__all__ = ["Config", "build", "effects"]

NONE = -1


@dataclass(frozen=True)
class Config:
    """How many of what; `drop` is the effect that is left out; `epoch` makes `seq` an epoch."""

    vcpus: int = 2
    invalidators: int = 1
    pages: int = 2
    frames: int = 2
    loops: int = 1
    epoch: bool = False
    drop: str = ""


@dataclass
class _World:
    """The shared cells, and the statements both kinds of threads use."""

    config: Config
    b: Programs = field(default_factory=Programs)
    tags: dict[str, None] = field(default_factory=dict)
    columns: dict[str, list[list[int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        c, b = self.config, self.b
        rounds = c.loops * c.invalidators
        self.lck = b.lock("lck", c.vcpus + c.invalidators)
        self.ptl = b.lock("ptl", c.vcpus + c.invalidators)
        self.inprog = b.cell("inprog", 0, c.invalidators)
        self.seq = -1 if c.epoch else b.cell("seq", 0, rounds)
        if c.epoch:
            b.epochs.append([])
        self.pte = b.array("pte", c.pages, NONE, c.frames - 1, NONE, "frame")
        self.spte = b.array("spte", c.pages, NONE, c.frames - 1, NONE, "frame")
        self.owner = b.array("owner", c.frames, NONE, c.pages - 1, NONE, "page")
        self.ref = b.array("ref", c.frames, 0, 1 + c.vcpus * 2)
        self.free = b.cell("nfree", 0, c.frames, c.frames)
        self.tlb = b.array("tlb", c.vcpus, NONE, c.frames - 1, NONE, "frame")
        self.bad = b.failure("index")
        self.columns["page"] = [[self.pte + p, self.spte + p] for p in range(c.pages)]
        self.columns["frame"] = [[self.owner + f, self.ref + f] for f in range(c.frames)]

    def keep(self, tag: str) -> bool:
        """Tell whether the effect `tag` is in the program."""
        self.tags[tag] = None
        return tag != self.config.drop

    def lock(self, t: Code, lock: int, section: str) -> None:
        if self.keep(f"{section}.section") and self.keep(f"{section}.lock"):
            t.acquire(lock, t.number)
            t.step()

    def unlock(self, t: Code, lock: int, section: str, tag: str = "unlock") -> None:
        if self.keep(f"{section}.section") and self.keep(f"{section}.{tag}"):
            t.release(lock, t.number)
            t.step()

    def load(self, t: Code, to: int | Scratch, base: int, index: int, length: int) -> None:
        t.emit(Op.LDX, to, base, index, length, self.bad)

    def store(self, t: Code, base: int, index: int, value: int | Scratch, length: int) -> None:
        t.emit(Op.STX, base, index, value, length, self.bad)

    def add(self, t: Code, frame: int, by: int) -> None:
        count = self.b.scratch(name="count")
        self.load(t, count, self.ref, frame, self.config.frames)
        t.emit(Op.ADDK, count, count, by)
        t.emit(Op.RANGE, count, 0, 1 + self.config.vcpus * 2, self.b.failure("refs"))
        self.store(t, self.ref, frame, count, self.config.frames)

    def bump(self, t: Code, cell: int, by: int) -> None:
        t.emit(Op.ADDK, cell, cell, by)
        known = self.b.cells[cell]
        t.emit(Op.RANGE, cell, known.low, known.high, self.b.failure("bounds"))

    def release_frame(self, t: Code, frame: int) -> None:
        none = self.b.scratch("page", "nopage")
        t.emit(Op.CONST, none, NONE)
        self.store(t, self.owner, frame, none, self.config.frames)
        self.bump(t, self.free, 1)

    def take(self, t: Code, page: int, frame: int, refs: int, tag: str) -> None:
        """Choose a free frame for `page`, in one step."""
        owner, count = self.b.scratch("page", "owner"), self.b.scratch(name="count")
        none, test = self.b.scratch("page", "nopage"), self.b.scratch()
        t.emit(Op.CHOOSE, frame, 0, self.config.frames)
        self.load(t, owner, self.owner, frame, self.config.frames)
        t.emit(Op.CONST, none, NONE)
        t.emit(Op.EQ, test, owner, none)
        t.emit(Op.WAIT, test)
        if self.keep(f"{tag}.owner"):
            self.store(t, self.owner, frame, page, self.config.frames)
            self.bump(t, self.free, -1)
        if self.keep(f"{tag}.ref"):
            t.emit(Op.CONST, count, refs)
            self.store(t, self.ref, frame, count, self.config.frames)

    def again(self, t: Code, n: int, page: int) -> None:
        """Start again as often as the configuration says; 0 means for ever."""
        t.emit(Op.CONST, page, NONE)
        if self.config.loops != 1:
            if self.config.loops:
                t.emit(Op.ADDK, n, n, 1)
                t.emit(Op.JEQK, n, self.config.loops, "end")
            t.back(0)
        t.label("end")
        t.emit(Op.END)

    def local(self, t: Code, name: str, low: int, high: int, initial: int, label: str = "") -> int:
        return self.b.cell(f"{t.name}.{name}", low, high, initial, label, t.number)

    def snapshot(self, t: Code, cell: int) -> None:
        if self.config.epoch:
            t.emit(Op.CONST, cell, 1)
        else:
            t.emit(Op.MOV, cell, self.seq)

    def moved(self, t: Code, cell: int, label: str) -> None:
        """Go to `label` if the sequence is no longer what `cell` says."""
        if self.config.epoch:
            t.emit(Op.JEQK, cell, 2, label)
        else:
            t.emit(Op.JNE, self.seq, cell, label)

    def advance(self, t: Code) -> None:
        if self.config.epoch:
            t.emit(Op.BUMP, 0)
        else:
            self.bump(t, self.seq, 1)

    def flush(self, t: Code) -> None:
        for cpu in range(self.config.vcpus):
            t.emit(Op.CONST, self.tlb + cpu, NONE)

    def check_access(self, t: Code, page: int, tlb: int) -> None:
        owner, test = self.b.scratch("page", "owner"), self.b.scratch()
        skip = t.fresh()
        t.emit(Op.JEQK, tlb, NONE, skip)
        self.load(t, owner, self.owner, tlb, self.config.frames)
        t.emit(Op.EQ, test, owner, page)
        t.emit(Op.ASSERT, test, self.b.failure("no_stale_translation"))
        t.label(skip)
        t.emit(Op.CONST, tlb, NONE)

    def program(self, locals_of: list[list[int]]) -> Program:
        c = self.config
        threads = self.b.threads
        split = {"vcpu": range(c.vcpus), "inval": range(c.vcpus, c.vcpus + c.invalidators)}
        for name, numbers in split.items():
            columns = []
            for t in numbers:
                extra = [self.tlb + t] if name == "vcpu" else []
                columns.append((threads[t].pc, threads[t].pc + 1, *locals_of[t], *extra))
            self.b.kinds.append(
                SymmetryKind(
                    name,
                    len(columns),
                    tuple(columns),
                    (("thread", tuple(numbers)),),
                    tuple(numbers),
                )
            )
        for name in ("page", "frame"):
            things = tuple(tuple(column) for column in self.columns[name])
            values = ((name, tuple(range(len(things)))),)
            self.b.kinds.append(SymmetryKind(name, len(things), things, values))
        return self.b.build()


def _put(w: _World, t: Code, frame: int, zero: int, tag: str, then: int = -1) -> None:
    """Put a reference, free the frame at zero; two steps, a local one between, then `then`."""
    skip, count = t.fresh(), w.b.scratch(name="count")
    if w.keep(f"{tag}.dec"):
        w.add(t, frame, -1)
    w.load(t, count, w.ref, frame, w.config.frames)
    t.emit(Op.NOT, zero, count)
    t.step()
    t.emit(Op.JZ, zero, skip)
    t.emit(Op.CONST, zero, 0)
    t.step()
    if w.keep(f"{tag}.free"):
        w.release_frame(t, frame)
    t.label(skip)
    t.emit(Op.CONST, zero, 0)
    t.emit(Op.CONST, frame, NONE)
    if then < 0:
        t.step()
    else:
        t.back(then)


def _fine_vcpu(w: _World, t: Code) -> list[int]:
    c = w.config
    n = w.local(t, "n", 0, max(c.loops, 1), 0)
    v = w.local(t, "v", NONE, c.pages - 1, NONE, "page")
    f = w.local(t, "f", NONE, c.frames - 1, NONE, "frame")
    x = w.local(t, "x", NONE, c.frames - 1, NONE, "frame")
    a = w.local(t, "a", 0, 1, 0)
    s = w.local(t, "s", 0, 2 if c.epoch else c.loops * c.invalidators, 0)
    if c.epoch:
        w.b.epochs[0].append(s)
    tlb = w.tlb + t.number
    t.emit(Op.CHOOSE, v, 0, c.pages)
    start = t.step()
    if w.keep("vcpu.snapshot"):
        w.snapshot(t, s)
    t.step()
    w.lock(t, w.ptl, "vcpu.ptl")
    w.load(t, x, w.pte, v, c.pages)
    t.step()
    t.emit(Op.JNEK, x, NONE, "mapped")
    t.step()
    w.take(t, v, x, 1, "vcpu.take")
    t.step()
    if w.keep("vcpu.pte"):
        w.store(t, w.pte, v, x, c.pages)
    t.step()
    t.label("mapped")
    if w.keep("vcpu.get"):
        w.add(t, x, 1)
    t.step()
    t.emit(Op.MOV, f, x)
    t.emit(Op.CONST, x, NONE)
    t.step()
    w.unlock(t, w.ptl, "vcpu.ptl")
    w.lock(t, w.lck, "vcpu.lck")
    if w.keep("vcpu.check_inprog"):
        t.emit(Op.CONST, a, 0)
        t.emit(Op.JEQK, w.inprog, 0, "idle")
        t.emit(Op.CONST, a, 1)
        t.label("idle")
        t.step()
        t.emit(Op.JNZ, a, "L7")
        t.step()
    if w.keep("vcpu.check_seq"):
        t.emit(Op.CONST, a, 1)
        w.moved(t, s, "moved")
        t.emit(Op.CONST, a, 0)
        t.label("moved")
        t.step()
        t.emit(Op.JNZ, a, "L7")
        t.step()
    if w.keep("vcpu.install"):
        w.store(t, w.spte, v, f, c.pages)
    t.step()
    w.unlock(t, w.lck, "vcpu.lck")
    t.emit(Op.JMP, "L9")
    t.label("L7")
    t.emit(Op.CONST, a, 0)
    t.step()
    w.unlock(t, w.lck, "vcpu.lck", "unlock_retry")
    _put(w, t, f, a, "vcpu.put_retry", start)
    t.label("L9")
    _put(w, t, f, a, "vcpu.put")
    if w.keep("vcpu.walk"):
        w.load(t, tlb, w.spte, v, c.pages)
    t.step()
    w.check_access(t, v, tlb)
    t.step()
    w.again(t, n, v)
    return [n, v, f, x, a, s]


def _fine_inval(w: _World, t: Code) -> list[int]:
    c = w.config
    n = w.local(t, "n", 0, max(c.loops, 1), 0)
    v = w.local(t, "v", NONE, c.pages - 1, NONE, "page")
    old = w.local(t, "old", NONE, c.frames - 1, NONE, "frame")
    x = w.local(t, "x", NONE, c.frames - 1, NONE, "frame")
    a = w.local(t, "a", 0, 1, 0)
    none = w.b.scratch("frame", "noframe")
    t.emit(Op.CHOOSE, v, 0, c.pages)
    t.step()
    w.lock(t, w.lck, "inval.start")
    if w.keep("inval.begin"):
        w.bump(t, w.inprog, 1)
    t.step()
    if w.keep("inval.zap"):
        t.emit(Op.CONST, none, NONE)
        w.store(t, w.spte, v, none, c.pages)
    t.step()
    if w.keep("inval.flush"):
        w.flush(t)
    t.step()
    w.unlock(t, w.lck, "inval.start")
    w.lock(t, w.ptl, "inval.ptl")
    w.load(t, old, w.pte, v, c.pages)
    t.step()
    if w.keep("inval.clear"):
        t.emit(Op.CONST, none, NONE)
        w.store(t, w.pte, v, none, c.pages)
    t.step()
    w.unlock(t, w.ptl, "inval.ptl")
    t.emit(Op.JEQK, old, NONE, "unmapped")
    _put(w, t, old, a, "inval.put")
    t.label("unmapped")
    t.step()
    w.lock(t, w.lck, "inval.finish")
    if w.keep("inval.seq"):
        w.advance(t)
    t.step()
    if w.keep("inval.end"):
        w.bump(t, w.inprog, -1)
    t.step()
    w.unlock(t, w.lck, "inval.finish")
    w.lock(t, w.ptl, "inval.map")
    w.load(t, x, w.pte, v, c.pages)
    t.step()
    t.emit(Op.JNEK, x, NONE, "present")
    t.emit(Op.JEQK, w.free, 0, "present")
    t.step()
    w.take(t, v, x, 1, "inval.take")
    t.step()
    if w.keep("inval.pte"):
        w.store(t, w.pte, v, x, c.pages)
    t.label("present")
    t.emit(Op.CONST, x, NONE)
    t.step()
    w.unlock(t, w.ptl, "inval.map")
    w.again(t, n, v)
    return [n, v, old, x, a]


def _coarse_put(w: _World, t: Code, frame: int, tag: str) -> None:
    skip, count = t.fresh(), w.b.scratch(name="count")
    if w.keep(f"{tag}.dec"):
        w.add(t, frame, -1)
    if w.keep(f"{tag}.free"):
        w.load(t, count, w.ref, frame, w.config.frames)
        t.emit(Op.JNZ, count, skip)
        w.release_frame(t, frame)
        t.label(skip)
    t.emit(Op.CONST, frame, NONE)


def _coarse_vcpu(w: _World, t: Code) -> list[int]:
    c = w.config
    n = w.local(t, "n", 0, max(c.loops, 1), 0)
    v = w.local(t, "v", NONE, c.pages - 1, NONE, "page")
    f = w.local(t, "f", NONE, c.frames - 1, NONE, "frame")
    s = w.local(t, "s", 0, 2 if c.epoch else c.loops * c.invalidators, 0)
    if c.epoch:
        w.b.epochs[0].append(s)
    tlb = w.tlb + t.number
    t.emit(Op.CHOOSE, v, 0, c.pages)
    start = t.step()
    if w.keep("vcpu.snapshot"):
        w.snapshot(t, s)
    t.step()
    w.load(t, f, w.pte, v, c.pages)
    t.emit(Op.JEQK, f, NONE, "alloc")
    if w.keep("vcpu.get"):
        w.add(t, f, 1)
    t.emit(Op.JMP, "gup")
    t.label("alloc")
    w.take(t, v, f, 2, "vcpu.take")
    if w.keep("vcpu.pte"):
        w.store(t, w.pte, v, f, c.pages)
    t.label("gup")
    t.step()
    w.lock(t, w.lck, "vcpu.lck")
    if w.keep("vcpu.check"):
        t.emit(Op.JNEK, w.inprog, 0, "L7")
        w.moved(t, s, "L7")
    t.step()
    if w.keep("vcpu.install"):
        w.store(t, w.spte, v, f, c.pages)
    t.step()
    w.unlock(t, w.lck, "vcpu.lck")
    t.emit(Op.JMP, "L9")
    t.label("L7")
    t.step()
    w.unlock(t, w.lck, "vcpu.lck", "unlock_retry")
    _coarse_put(w, t, f, "vcpu.put_retry")
    t.emit(Op.CONST, s, 0)
    t.back(start)
    t.label("L9")
    _coarse_put(w, t, f, "vcpu.put")
    t.emit(Op.CONST, s, 0)
    t.step()
    if w.keep("vcpu.walk"):
        w.load(t, tlb, w.spte, v, c.pages)
    t.step()
    w.check_access(t, v, tlb)
    w.again(t, n, v)
    return [n, v, f, s]


def _coarse_inval(w: _World, t: Code) -> list[int]:
    c = w.config
    n = w.local(t, "n", 0, max(c.loops, 1), 0)
    v = w.local(t, "v", NONE, c.pages - 1, NONE, "page")
    old = w.local(t, "old", NONE, c.frames - 1, NONE, "frame")
    none = w.b.scratch("frame", "noframe")
    t.emit(Op.CHOOSE, v, 0, c.pages)
    t.step()
    w.lock(t, w.lck, "inval.start")
    if w.keep("inval.begin"):
        w.bump(t, w.inprog, 1)
    t.step()
    if w.keep("inval.zap"):
        t.emit(Op.CONST, none, NONE)
        w.store(t, w.spte, v, none, c.pages)
    t.step()
    if w.keep("inval.flush"):
        w.flush(t)
    t.step()
    w.unlock(t, w.lck, "inval.start")
    w.load(t, old, w.pte, v, c.pages)
    if w.keep("inval.clear"):
        t.emit(Op.CONST, none, NONE)
        w.store(t, w.pte, v, none, c.pages)
    t.step()
    t.emit(Op.JEQK, old, NONE, "unmapped")
    _coarse_put(w, t, old, "inval.put")
    t.label("unmapped")
    t.step()
    w.lock(t, w.lck, "inval.finish")
    if w.keep("inval.seq"):
        w.advance(t)
    t.step()
    if w.keep("inval.end"):
        w.bump(t, w.inprog, -1)
    t.step()
    w.unlock(t, w.lck, "inval.finish")
    w.load(t, old, w.pte, v, c.pages)
    t.emit(Op.JNEK, old, NONE, "present")
    t.emit(Op.JEQK, w.free, 0, "present")
    w.take(t, v, old, 1, "inval.take")
    if w.keep("inval.pte"):
        w.store(t, w.pte, v, old, c.pages)
    t.label("present")
    t.emit(Op.CONST, old, NONE)
    w.again(t, n, v)
    return [n, v, old]


def _make(config: Config, grain: str) -> tuple[Program, list[str]]:
    w = _World(config)
    vcpu, inval = (_fine_vcpu, _fine_inval) if grain == "fine" else (_coarse_vcpu, _coarse_inval)
    columns = [vcpu(w, w.b.thread(f"vcpu{n}", "vcpu")) for n in range(config.vcpus)]
    columns += [inval(w, w.b.thread(f"inval{n}", "inval")) for n in range(config.invalidators)]
    return w.program(columns), list(w.tags)


def build(grain: str, config: Config) -> Program:
    """Return the program with a step a statement ("fine") or a transition ("coarse")."""
    return _make(config, grain)[0]


def effects(grain: str, config: Config) -> list[str]:
    """Return the effects and critical sections that can be left out."""
    return _make(config, grain)[1]
