"""The KVM protocol of the benchmark, built by hand as a front end would lower it.

Source lines are invented; `munmap.py` and `kvm_like.py` exist nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.check.handmade import DRIVER, Assembler, lock

from mmunotify.ir.ops import Op
from mmunotify.ir.program import PredicateKind, Program

OPERATION = "mmunotify/primary/munmap.py"
DEVICE = "mmunotify/primary/device.py"
OWNERS = ("nobody", "page 0")


@dataclass
class Kvm:
    """The protocol of the benchmark on one page and two frames, frame A mapped at the start.

    `check`: fault() rechecks the sequence. `zap`: the driver clears its table. `leak`: fault()
    keeps its reference.
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
