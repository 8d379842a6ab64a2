"""Programs built by hand: an assembler, and the KVM protocol as a front end would lower it.

Source lines are invented; `munmap.py` and `kvm_like.py` exist nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from mmunotify.check.schedule import Schedule
from mmunotify.check.shorten import explore
from mmunotify.check.violation import Kind, Violation
from mmunotify.ir.ops import Op
from mmunotify.ir.program import (
    Cell,
    CellKind,
    Failure,
    Instr,
    Location,
    Predicate,
    PredicateKind,
    Program,
    Thread,
)

DRIVER = "drivers/kvm_like.py"
OPERATION = "mmunotify/primary/munmap.py"
DEVICE = "mmunotify/primary/device.py"
SPINLOCK = "mmunotify/lang/spinlock.py"
FRAMES = ("None", "frame A", "frame B")
OWNERS = ("nobody", "page 0")
BOTH = (0, 1)


def _instr(op: Op, fields: Sequence[int], location: int) -> Instr:
    a, b, c, d, e = (*fields, 0, 0, 0, 0, 0)[:5]
    return Instr(op, a, b, c, d, e, location)


@dataclass
class Assembler:
    """Collects cells, threads and instructions; slots of scratch come after all cells."""

    cells: list[Cell] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    code: list[Instr] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    predicates: list[Predicate] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    at: int = -1
    scratch: int = 120  # more than there will be cells

    def cell(self, name: str, low: int = 0, high: int = 9, initial: int = 0, **more: object) -> int:
        """Add a shared cell, or a local with `thread=`."""
        kind = CellKind.LOCAL if "thread" in more else CellKind.SHARED
        label = str(more.pop("label", ""))
        self.cells.append(Cell(name, low, high, initial, kind, **more))  # type: ignore[arg-type]
        self.labels.append(label)
        return len(self.cells) - 1

    def reference(self, name: str, initial: int = -1, **more: object) -> int:
        """Add a cell that holds a frame or None."""
        return self.cell(name, -1, 1, initial, names=FRAMES, label="Frame", **more)

    def place(self, file: str, line: int, function: str, text: str, parent: int = -1) -> int:
        """Add a location and make it the current one."""
        self.locations.append(Location(file, line, 1, 2, function, text, parent))
        self.at = len(self.locations) - 1
        return self.at

    def emit(self, op: Op, *fields: int) -> int:
        """Append an instruction at the current location."""
        self.code.append(_instr(op, fields, self.at))
        return len(self.code) - 1

    def jump(self, op: Op, *fields: int) -> int:
        """Append a jump whose target, the last field, comes later (`land`)."""
        return self.emit(op, *fields, 0)

    def land(self, jump: int) -> None:
        """Let `jump` go to the next instruction."""
        old = self.code[jump]
        roles = {Op.JMP: "a", Op.JZ: "b", Op.JNZ: "b", Op.JEQK: "c", Op.JNEK: "c", Op.JNE: "c"}
        fields = list(old.fields)
        fields["abcde".index(roles[old.op])] = len(self.code)
        self.code[jump] = _instr(old.op, fields, old.location)

    def step(self) -> None:
        """End the step; the next instruction begins another."""
        self.emit(Op.STEP, len(self.entries))
        self.entries.append(len(self.code))

    def begin(self) -> None:
        """Begin a thread."""
        self.entries = [len(self.code)]

    def finish(self, name: str, role: str = "", daemon: bool = False) -> None:
        """End the thread."""
        self.emit(Op.END)
        self.cells += [Cell(f"{name}.pc", 0, 127, 0, CellKind.PC, len(self.threads))] * 2
        self.labels += ["", ""]
        pc = len(self.cells) - 2
        self.threads.append(Thread(name, tuple(self.entries), pc, daemon, role))

    def fails(self, property: str, template: str, *slots: int) -> int:
        """Add a failure that shows `slots` as the cells' names do."""
        shown = [self.cells[slot] for slot in slots]
        lows, names = tuple(c.low for c in shown), tuple(c.names for c in shown)
        self.failures.append(Failure(property, template, slots, lows, names, self.at))
        return len(self.failures) - 1

    def must(self, name: str, kind: PredicateKind, cell: int, value: int, failure: int) -> None:
        """Add the predicate that `cell` has `value`."""
        entry = self.emit(Op.CONST, self.scratch, value)
        self.emit(Op.EQ, self.scratch, self.scratch, cell)
        self.emit(Op.END)
        self.predicates.append(Predicate(name, kind, entry, self.scratch, failure))

    def program(self) -> Program:
        """Return the program."""
        return Program(
            tuple(self.cells),
            128,
            tuple(self.code),
            tuple(self.threads),
            tuple(self.failures),
            tuple(self.predicates),
            locations=tuple(self.locations),
            labels=tuple(self.labels),
        )


@dataclass
class Lock:
    """A spinlock in the manner of `mmunotify.lang.spinlock`."""

    asm: Assembler
    owner: int
    recursion: int = -1

    def acquire(self, thread: int, caller: int) -> None:
        """Take the lock at the `with` statement `caller`."""
        asm, s = self.asm, self.asm.scratch
        enter = asm.place(SPINLOCK, 36, "SpinLock.__enter__", "self.acquire()", caller)
        asm.place(SPINLOCK, 27, "SpinLock.acquire", "wait_until(lambda: self.owner is None)", enter)
        asm.emit(Op.CONST, s, -1)
        asm.emit(Op.EQ, s, s, self.owner)
        asm.emit(Op.WAIT, s)
        asm.place(SPINLOCK, 28, "SpinLock.acquire", "self.owner = current()", enter)
        asm.emit(Op.CONST, self.owner, thread)
        asm.step()

    def release(self, caller: int) -> None:
        """Give the lock back at the `with` statement `caller`."""
        leave = self.asm.place(SPINLOCK, 39, "SpinLock.__exit__", "self.release()", caller)
        self.asm.place(SPINLOCK, 33, "SpinLock.release", "self.owner = None", leave)
        self.asm.emit(Op.CONST, self.owner, -1)
        self.asm.step()


def lock(asm: Assembler, name: str) -> Lock:
    """Add a lock that nobody holds."""
    owner = asm.cell(f"{name}.owner", -1, 3, -1, names=("None", "cpu0", "vcpu0", "dev", "cpu1"))
    return Lock(asm, owner)


@dataclass
class Kvm:
    """The protocol of the benchmark on one page and two frames, frame A mapped at the start.

    `check`: fault() rechecks the sequence. `zap`: the driver clears its table. `leak`: fault()
    keeps its reference. `atomic_device`: the device walks and accesses in one step.
    """

    check: bool = False
    zap: bool = True
    leak: bool = False

    def build(self) -> Program:
        """Return the program."""
        asm = self.asm = Assembler()
        self.pte = asm.reference("mm.pte[0]", 0, array="mm.pte", index=0)
        self.spte = asm.reference("spte[0]", array="spte", index=0)
        self.tlb = asm.reference("tlb.frame[0]", array="tlb.frame", index=0)
        self.owner = [
            asm.cell(f"frame {n}.owner", -1, 0, o, names=OWNERS, array="owner", index=i)
            for i, (n, o) in enumerate((("A", 0), ("B", -1)))
        ]
        self.refs = [
            asm.cell(f"frame {n}.refcount", 0, 7, r, array="refcount", index=i)
            for i, (n, r) in enumerate((("A", 1), ("B", 0)))
        ]
        self.lock = lock(asm, "mmu_lock")
        self.in_progress = asm.cell("in_progress", 0, 3)
        self.seq = asm.cell("seq", 0, 3)
        self.index = asm.fails("bounds", "index out of range")
        self.munmap()
        self.fault()
        self.device()
        if self.leak:
            asm.at = -1
            text = "frame A has {0} references in the end"
            failure = asm.fails("quiescent", text, self.refs[0])
            asm.must("quiescent", PredicateKind.FINAL, self.refs[0], 0, failure)
        return asm.program()

    def put(self, frame: int, caller: int) -> None:
        """Drop a reference; the last one frees the frame."""
        asm, s = self.asm, self.asm.scratch
        asm.place("mmunotify/primary/frame.py", 50, "Frame.put", "self.refcount -= 1", caller)
        asm.emit(Op.LDX, s, self.refs[0], frame, 2, self.index)
        asm.emit(Op.ADDK, s, s, -1)
        asm.emit(Op.STX, self.refs[0], frame, s, 2, self.index)
        skip = asm.jump(Op.JNZ, s)
        asm.place("mmunotify/primary/frame.py", 52, "Frame.put", "self.free()", caller)
        asm.emit(Op.CONST, s, -1)
        asm.emit(Op.STX, self.owner[0], frame, s, 2, self.index)
        asm.land(skip)
        asm.step()

    def munmap(self) -> None:
        """range_start, clear the pte, range_end, put the page."""
        asm, s = self.asm, self.asm.scratch
        old = asm.reference("munmap.frame", thread=0)
        asm.begin()

        def at(line: int, text: str) -> int:
            return asm.place(OPERATION, line, "munmap", text)

        def hook(line: int, text: str, name: str, parent: int) -> int:
            return asm.place(DRIVER, line, f"KvmLike.{name}", text, parent)

        start, name = at(10, "notifiers.invalidate_range_start(rng)"), "invalidate_range_start"
        guard = hook(20, "with self.mmu_lock:", name, start)
        self.lock.acquire(0, guard)
        hook(21, "self.in_progress += 1", name, start)
        asm.emit(Op.MOV, s, self.in_progress)
        asm.step()
        asm.emit(Op.MOV, s, self.in_progress)
        asm.emit(Op.ADDK, self.in_progress, s, 1)
        asm.step()
        if self.zap:
            hook(23, "self.spte[page] = None", name, start)
            asm.emit(Op.CONST, self.spte, -1)
            asm.step()
        hook(24, "self.tlb.flush()", name, start)
        asm.emit(Op.CONST, self.tlb, -1)
        asm.step()
        self.lock.release(guard)
        at(11, "frame = mm.clear_pte(page)")
        asm.emit(Op.MOV, old, self.pte)
        asm.emit(Op.CONST, self.pte, -1)
        asm.step()
        end, name = at(12, "notifiers.invalidate_range_end(rng)"), "invalidate_range_end"
        guard = hook(28, "with self.mmu_lock:", name, end)
        self.lock.acquire(0, guard)
        hook(29, "self.seq += 1", name, end)
        asm.emit(Op.ADDK, self.seq, self.seq, 1)
        asm.step()
        hook(30, "self.in_progress -= 1", name, end)
        asm.emit(Op.ADDK, self.in_progress, self.in_progress, -1)
        asm.step()
        self.lock.release(guard)
        self.put(old, at(13, "frame.put()"))
        asm.finish("cpu0", "munmap")

    def fault(self) -> None:
        """Look the page up, take the lock, install it."""
        asm, s = self.asm, self.asm.scratch
        frame = asm.reference("vcpu0.frame", thread=1)
        seq = asm.cell("vcpu0.seq", 0, 3, thread=1)
        asm.begin()

        def at(line: int, text: str) -> int:
            return asm.place(DRIVER, line, "KvmLike.fault", text)

        if self.check:
            at(33, "seq = self.seq.read()")
            asm.emit(Op.MOV, seq, self.seq)
            asm.step()
        gup = at(34, "frame = self.mm.get_user_page(page, write)")
        asm.place("mmunotify/primary/gup.py", 5, "get_user_page", "frame = mm.pte[page]", gup)
        asm.emit(Op.MOV, frame, self.pte)
        none = asm.jump(Op.JEQK, frame, -1)
        asm.place("mmunotify/primary/gup.py", 6, "get_user_page", "frame.get()", gup)
        asm.emit(Op.LDX, s, self.refs[0], frame, 2, self.index)
        asm.emit(Op.ADDK, s, s, 1)
        asm.emit(Op.STX, self.refs[0], frame, s, 2, self.index)
        asm.step()
        guard = at(35, "with self.mmu_lock:")
        self.lock.acquire(1, guard)
        retry = []
        if self.check:
            at(36, "if self.in_progress or self.seq.read() != seq:")
            asm.emit(Op.MOV, s, self.in_progress)
            retry.append(asm.jump(Op.JNZ, s))
            asm.step()
            asm.emit(Op.MOV, s, self.seq)
            retry.append(asm.jump(Op.JNE, s, seq))
            asm.step()
        at(38, "self.spte[page] = frame")
        asm.emit(Op.MOV, self.spte, frame)
        asm.step()
        for jump in retry:
            asm.land(jump)
        self.lock.release(guard)
        if not self.leak:
            self.put(frame, at(39, "frame.put()"))
        asm.land(none)
        asm.finish("vcpu0", "fault")

    def device(self) -> None:
        """Walk the driver's table, access the frame."""
        asm, s = self.asm, self.asm.scratch
        asm.begin()

        def at(line: int, text: str) -> int:
            return asm.place(DEVICE, line, "Device.access", text)

        at(60, "filled = self.tlb.walk(page)")
        asm.emit(Op.MOV, s, self.spte)
        none = asm.jump(Op.JEQK, s, -1)
        asm.emit(Op.MOV, self.tlb, s)
        asm.step()
        at(62, "self.use(page)")
        asm.emit(Op.MOV, s, self.tlb)
        flushed = asm.jump(Op.JEQK, s, -1)
        asm.emit(Op.LDX, s + 1, self.owner[0], s, 2, self.index)
        asm.emit(Op.CONST, s + 2, 0)
        asm.emit(Op.EQ, s + 1, s + 1, s + 2)
        failure = asm.fails(
            "no_stale_translation", "the device accesses {0}, which is free", self.tlb
        )
        asm.emit(Op.ASSERT, s + 1, failure)
        asm.land(none)
        asm.land(flushed)
        asm.finish("dev", "access")


def abba(first: Sequence[str] = ("a", "b"), second: Sequence[str] = ("b", "a")) -> Program:
    """Two threads that take two locks in these orders."""
    asm = Assembler()
    locks = {name: lock(asm, f"{name}_lock") for name in ("a", "b")}
    for number, order in enumerate((first, second)):
        asm.begin()
        function = ("invalidate", "fault")[number]
        guards = [
            asm.place(DRIVER, 10 + 10 * number + n, function, f"with self.{name}_lock:")
            for n, name in enumerate(order)
        ]
        for name, guard in zip(order, guards, strict=True):
            locks[name].acquire(number, guard)
        for name, guard in reversed(list(zip(order, guards, strict=True))):
            locks[name].release(guard)
        asm.finish(("cpu0", "vcpu0")[number])
    return asm.program()


def found(program: Program, kind: Kind, property: str) -> Schedule:
    """Return a shortest schedule to the first violation of `property` that can be found."""
    goals = []
    if kind is Kind.FAILURE:
        for at, i in enumerate(program.code):
            if i.op is Op.ASSERT and program.failures[i.b].property == property:
                goals.append(Violation(kind, property, (), i.b, -1, at))
    elif kind is Kind.PREDICATE:
        failures = [(n, p.failure) for n, p in enumerate(program.predicates)]
        goals = [Violation(kind, property, (), f, n) for n, f in failures]
    else:
        goals = [Violation(kind, property, ())]
    for goal, depth in product(goals, (60,)):
        schedule = explore(
            program, goal, range(len(program.threads)), depth, 500_000, 60.0
        ).schedule
        if schedule is not None:
            return schedule
    raise AssertionError(f"{property} cannot be violated")
