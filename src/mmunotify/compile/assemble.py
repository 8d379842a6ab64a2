"""From lowered threads to a `Program`: cells, slots, code, tables of locations and failures."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmunotify.compile.allocate import Allocation, Slot, allocate, label_of
from mmunotify.compile.cells import SharedCells, value_names
from mmunotify.compile.emit import Emitter, Item, Message
from mmunotify.compile.kinds import candidates
from mmunotify.compile.lower.context import Session
from mmunotify.compile.tidy import tidy, without_private_steps
from mmunotify.compile.types import Snapshot, bounds, resting
from mmunotify.compile.values import Address, Operand, Reg
from mmunotify.ir.interp import Stepped, steps
from mmunotify.ir.ops import OPS, Op, Role
from mmunotify.ir.program import (
    Cell,
    CellKind,
    Failure,
    Instr,
    Predicate,
    PredicateKind,
    Program,
    Thread,
)
from mmunotify.lang.counter import Epoch
from mmunotify.lang.thread import Thread as SourceThread

__all__ = ["Judge", "Lowered", "assemble"]


@dataclass
class Lowered:
    """One lowered thread; `covers` are the locations of each of its coverage marks."""

    thread: SourceThread
    emitter: Emitter
    covers: list[list[int]]


@dataclass
class Judge:
    """One lowered predicate: its value is in `result` at the end."""

    name: str
    kind: PredicateKind
    emitter: Emitter
    result: Reg
    message: Message
    covers: list[list[int]]


class _Assembler:
    def __init__(self, session: Session, shared: SharedCells) -> None:
        self.session = session
        self.shared = shared
        self.cells = list(shared.cells)
        self.labels = [""] * len(self.cells)
        for storage in shared.storages.all:
            if storage.key in shared.first:
                first = shared.first[storage.key]
                for cell in range(first, first + storage.length):
                    self.labels[cell] = label_of(storage.type)
        self.code: list[Instr] = []
        self.failures: dict[Failure, int] = {}
        self.table: list[int] = []
        self.tables: dict[tuple[int, ...], int] = {}
        self.epochs: dict[int, list[int]] = {}
        self._note_stored_snapshots()
        self.scratch: list[tuple[str, set[int]]] = []  # label, epochs
        self.covers: list[list[int]] = []
        self.first_cover = 0

    # -- cells --------------------------------------------------------------------------------

    def add_local(self, slot: Slot, thread: int, name: str) -> int:
        kind = slot.kind
        names = value_names(kind, self.session.objects)
        if names and slot.low < bounds(kind)[0]:
            names = (*("-",) * (bounds(kind)[0] - slot.low), *names)
        number = len(self.cells)
        self.cells.append(
            Cell(
                f"{name}.{slot.name or 'temporary'}",
                slot.low,
                slot.high,
                resting(slot.regs[0].type),
                CellKind.LOCAL,
                thread,
                names,
            )
        )
        self.labels.append(label_of(kind))
        self._note_epoch(slot, number)
        return number

    def add_pc(self, thread: int, name: str, count: int) -> int:
        number = len(self.cells)
        for part, high in (("pc", min(127, count)), ("pc high", count // 128)):
            self.cells.append(Cell(f"{name}.{part}", 0, high, 0, CellKind.PC, thread))
            self.labels.append("")
        return number

    def scratch_numbers(self, slots: list[Slot]) -> list[int]:
        """Return for each scratch slot the number it shares with other threads' slots."""
        numbers: list[int] = []
        for slot in slots:
            label = label_of(slot.kind)
            epochs = {r.type.epoch for r in slot.regs if isinstance(r.type, Snapshot)}
            number = next(
                (
                    n
                    for n, known in enumerate(self.scratch)
                    if known == (label, epochs) and n not in numbers
                ),
                None,
            )
            if number is None:
                number = len(self.scratch)
                self.scratch.append((label, epochs))
            numbers.append(number)
        return numbers

    def _note_stored_snapshots(self) -> None:
        """A bump reaches the snapshots in attributes and tables, too."""
        for storage in self.shared.storages.all:
            if isinstance(storage.type, Snapshot) and storage.key in self.shared.first:
                first = self.shared.first[storage.key]
                cells = range(first, first + storage.length)
                self.epochs.setdefault(storage.type.epoch, []).extend(cells)

    def _note_epoch(self, slot: Slot, number: int) -> None:
        for reg in slot.regs:
            if isinstance(reg.type, Snapshot):
                self.epochs.setdefault(reg.type.epoch, []).append(number)

    # -- operands -----------------------------------------------------------------------------

    def failure(self, message: Message, location: int, places: dict[int, int]) -> int:
        slots = tuple(self.slot(o, places) for o in message.operands)
        names = tuple(value_names(t, self.session.objects) for t in message.types)
        lows = tuple(bounds(t)[0] for t in message.types)
        failure = Failure(message.property, message.template, slots, lows, names, location)
        return self.failures.setdefault(failure, len(self.failures))

    def slot(self, operand: Operand, places: dict[int, int]) -> int:
        if isinstance(operand, Reg):
            return places[operand.number]
        return self.shared.first[operand.storage] + operand.index

    def constants(self, values: tuple[int, ...]) -> int:
        if values not in self.tables:
            self.tables[values] = len(self.table)
            self.table.extend(values)
        return self.tables[values]

    def instruction(self, item: Item, places: dict[int, int], starts: dict[int, int]) -> Instr:
        item = self._constant_load(item)
        assert item.op is not None
        fields = [0] * 5
        for n, (role, arg) in enumerate(zip(OPS[item.op].roles, item.args, strict=False)):
            if isinstance(arg, Reg | Address):
                fields[n] = self.slot(arg, places)
            elif isinstance(arg, Message):
                fields[n] = self.failure(arg, item.location, places)
            elif isinstance(arg, tuple):
                fields[n] = self.constants(arg)
            elif role is Role.TARGET:
                fields[n] = starts[arg.number]  # type: ignore[union-attr]
            elif role is Role.COVER:
                assert isinstance(arg, int)
                fields[n] = self.first_cover + arg
            elif role is Role.EPOCH:
                assert isinstance(arg, int)
                self.epochs.setdefault(arg, [])  # bumped, though nobody keeps a snapshot
                fields[n] = list(self.epochs).index(arg)
            else:
                assert isinstance(arg, int)
                fields[n] = arg
        a, b, c, d, e = fields
        return Instr(item.op, a, b, c, d, e, location=item.location)

    def _constant_load(self, item: Item) -> Item:
        """An indexed load of what no body changes reads the constant table."""
        if item.op is not Op.LDX or not isinstance(item.args[1], Address):
            return item
        address, length = item.args[1], item.args[3]
        storage = self.shared.storages.all[address.storage]
        if storage.mutable:
            return item
        assert isinstance(length, int)
        values = self.shared.constants(storage)[address.index : address.index + length]
        return Item(Op.LDT, (item.args[0], values, *item.args[2:]), item.location)

    # -- code ---------------------------------------------------------------------------------

    def thread_code(
        self, items: list[Item], places: dict[int, int], covers: list[list[int]]
    ) -> tuple[int, ...]:
        """Append the code of a thread; return its entries."""
        self.first_cover = len(self.covers)
        self.covers += covers
        starts, position, entries = {}, len(self.code), [len(self.code)]
        for item in items:
            if item.label is not None:
                starts[item.label.number] = position
            else:
                position += 1
                if item.op is Op.STEP:
                    entries.append(position)
        boundary = 0
        for item in items:
            if item.op is Op.STEP:
                boundary += 1
                self.code.append(Instr(Op.STEP, boundary, location=item.location))
            elif item.op is not None:
                self.code.append(self.instruction(item, places, starts))
        return tuple(entries)


def _touched(emitters: list[Emitter]) -> dict[int, set[int]]:
    """Return which emitters touch each storage."""
    touched: dict[int, set[int]] = {}
    for number, emitter in enumerate(emitters):
        for item in emitter.items:
            keys = {a.storage for a in item.args if isinstance(a, Address)} | item.touched
            if item.op is Op.BUMP:
                keys.add(item.args[0])  # type: ignore[arg-type]
            for key in keys:
                touched.setdefault(key, set()).add(number)
    return touched


def assemble(session: Session, lowered: list[Lowered], judges: list[Judge], pages: int) -> Program:
    """Return the program of all threads and predicates."""
    for one in lowered:
        one.emitter.items = tidy(one.emitter.items)
    for judge in judges:
        judge.emitter.items = tidy(judge.emitter.items, judge.result)
    watchers = [j.emitter for j in judges if j.kind is not PredicateKind.FINAL]
    finals = [j.emitter for j in judges if j.kind is PredicateKind.FINAL]
    emitters = [one.emitter for one in lowered]
    touched = _touched([*emitters, *watchers])
    everywhere = touched.keys() | _touched(finals).keys()
    shared_keys = {k for k, by in touched.items() if len(by) > 1 and _varies(session, k)}
    assembler = _Assembler(session, SharedCells.of(session.storages, set(everywhere)))
    allocations = []
    for one in lowered:
        fewer = without_private_steps(one.emitter.items, shared_keys)
        items = one.emitter.items if fewer is one.emitter.items else tidy(fewer)
        allocations.append(allocate(items, one.emitter.regs))
    return _finish(assembler, lowered, allocations, judges, pages)


def _varies(session: Session, key: int) -> bool:
    storage = session.storages.all[key]
    least, most = bounds(storage.type)
    return storage.mutable and (least < most or isinstance(storage.owners[0], Epoch))


def _finish(
    assembler: _Assembler,
    lowered: list[Lowered],
    allocations: list[Allocation],
    judges: list[Judge],
    pages: int,
) -> Program:
    stored, scratch, pcs = [], [], []
    for number, (one, found) in enumerate(zip(lowered, allocations, strict=True)):
        name = one.thread.name
        count = 1 + sum(i.op is Op.STEP for i in found.items)
        pcs.append(assembler.add_pc(number, name, count))
        stored.append([assembler.add_local(s, number, name) for s in found.stored])
        scratch.append(assembler.scratch_numbers(found.scratch))
    judged = [allocate(j.emitter.items, j.emitter.regs) for j in judges]
    judge_scratch = [assembler.scratch_numbers(a.scratch) for a in judged]
    base = len(assembler.cells)
    for n, (_, epochs) in enumerate(assembler.scratch):
        for epoch in sorted(epochs):
            assembler.epochs.setdefault(epoch, []).append(base + n)
    threads = []
    for number, (one, found) in enumerate(zip(lowered, allocations, strict=True)):
        places = _places(found, stored[number], [base + s for s in scratch[number]])
        entries = assembler.thread_code(found.items, places, one.covers)
        role = one.thread.role
        threads.append(Thread(one.thread.name, entries, pcs[number], one.thread.daemon, role))
    predicates = []
    for judge, found, numbers in zip(judges, judged, judge_scratch, strict=True):
        places = _places(found, [], [base + s for s in numbers])
        predicates.append(_predicate(assembler, judge, found, places))
    private = [(p, p + 1, *s) for p, s in zip(pcs, stored, strict=True)]
    labels = (*assembler.labels, *(label for label, _ in assembler.scratch))
    program = Program(
        cells=tuple(assembler.cells),
        slots=base + len(assembler.scratch),
        code=tuple(assembler.code),
        threads=tuple(threads),
        failures=tuple(assembler.failures),
        predicates=tuple(predicates),
        table=tuple(assembler.table),
        epochs=tuple(tuple(dict.fromkeys(slots)) for slots in assembler.epochs.values()),
        covers=tuple(tuple(c) for c in assembler.covers),
        locations=tuple(assembler.session.locations),
        labels=labels,
        symmetry=candidates(
            assembler.shared, [o.thread for o in lowered], private, pages, set(labels)
        ),
    )
    return _started(_with_used_locations(program))


def _places(found: Allocation, stored: list[int], scratch: list[int]) -> dict[int, int]:
    return {
        reg: stored[number] if kept else scratch[number]
        for reg, (kept, number) in found.place.items()
    }


def _with_used_locations(program: Program) -> Program:
    """Drop the locations that nothing refers to any more."""
    used = {i.location for i in program.code} | {f.location for f in program.failures}
    used.update(n for cover in program.covers for n in cover)
    todo = list(used)
    while todo:
        number = todo.pop()
        parent = program.locations[number].parent if number >= 0 else -1
        if parent not in used:
            used.add(parent)
            todo.append(parent)
    kept = sorted(used - {-1})
    new = {-1: -1, **{old: number for number, old in enumerate(kept)}}
    locations = [program.locations[n] for n in kept]
    return replace(
        program,
        code=tuple(replace(i, location=new[i.location]) for i in program.code),
        failures=tuple(replace(f, location=new[f.location]) for f in program.failures),
        covers=tuple(tuple(new[n] for n in cover) for cover in program.covers),
        locations=tuple(replace(at, parent=new[at.parent]) for at in locations),
    )


def _predicate(
    assembler: _Assembler, judge: Judge, found: Allocation, places: dict[int, int]
) -> Predicate:
    entry = len(assembler.code)
    assembler.thread_code(found.items, places, judge.covers)
    failure = assembler.failure(judge.message, -1, places)
    return Predicate(judge.name, judge.kind, entry, assembler.slot(judge.result, places), failure)


def _started(program: Program) -> Program:
    """Run every thread up to its first step: what only it can see happens during set-up."""
    cells = list(program.cells)
    covered: set[int] = set()
    for number, thread in enumerate(program.threads):
        ways = list(steps(program, tuple(c.initial for c in cells), number))
        prologue = program.code[thread.entries[0] :]
        if len(ways) != 1 or not isinstance(ways[0].result, Stepped) or _chooses(prologue):
            continue
        covered |= ways[0].covered
        cells = [replace(c, initial=v) for c, v in zip(cells, ways[0].result.state, strict=True)]
    return replace(program, cells=tuple(cells), started=tuple(sorted(covered)))


def _chooses(code: tuple[Instr, ...]) -> bool:
    for instruction in code:
        if instruction.op is Op.CHOOSE:
            return True
        if instruction.op in (Op.STEP, Op.END):
            return False
    return False
