"""What the model allows in a litmus test: the outcomes of all its interleavings.

The search of `mmunotify check` explores a world of the case's threads with KVM's driver; each
possible outcome is a predicate, and those that some state satisfies are allowed. Invariant: the
answer is exhaustive, or there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from mmunotify.check.search import Search, Verdict
from mmunotify.check.world import World
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import reduce
from mmunotify.drivers.kvm import Kvm
from mmunotify.ir.reduction import Reduction
from mmunotify.lang.thread import Thread
from mmunotify.litmus.case import PAGES, Case, Outcome, Statement
from mmunotify.litmus.threads import (
    Age,
    CpuRead,
    CpuWrite,
    Ending,
    Equal,
    Flag,
    FlagRead,
    FlagWrite,
    Register,
    Script,
    Step,
    ValueMm,
    VcpuRead,
    VcpuWrite,
)
from mmunotify.primary import OPERATIONS
from mmunotify.primary.cpu import Cpu
from mmunotify.primary.fork import Child
from mmunotify.primary.secondary_tlb import SecondaryTlb
from mmunotify.protocols import PROTOCOLS

__all__ = ["Allowed", "allowed"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """The outcomes that some interleaving has; `states` were explored for that."""

    outcomes: frozenset[Outcome]
    states: int
    seconds: float


def allowed(
    case: Case,
    *,
    driver: type[Kvm] = Kvm,
    reduced: bool = True,
    seconds: float | None = None,
) -> Allowed:
    """Explore a case; raise `RuntimeError` if the search cannot be finished.

    `driver`: the guest's MMU, KVM's or a variant of it.
    """
    built = _Built(case, driver)
    world = built.world()
    program = compile_world(world, properties=frozenset())
    reduction = reduce(program) if reduced else Reduction()
    found = Search(program, reduction).run(walks=False, max_seconds=seconds)
    if found.verdict is not Verdict.HOLDS:
        raise RuntimeError(f"{case.name}: the search is {found.verdict}, {found.reason}")
    outcomes = frozenset(
        built.outcomes[program.predicates[number].name] for number in found.reached
    )
    return Allowed(outcomes, found.states, found.seconds)


class _Built:
    """The world of a case."""

    def __init__(self, case: Case, driver: type[Kvm]) -> None:
        self.case = case
        pages = 2 if _uses_second_page(case) else 1
        self.mm = ValueMm(pages, pages + 2 + len(case.host))
        self.registers = {name: Register(name) for name in case.registers}
        self.flags = {name: Flag(name) for name in case.flags}
        self.outcomes: dict[str, Outcome] = {}
        self._set_memory()
        self.driver = driver(self.mm)
        self.driver.tlb = SecondaryTlb(self.driver, max(1, len(case.guest)))
        self.mm.drivers = (self.driver,)
        self.mm.notifiers = PROTOCOLS["srcu"](self.mm, (self.driver,), True)
        self.mm.notifiers.changes = False
        if case.touched:
            self._touch()

    def world(self) -> World:
        """The threads and, as predicates, the outcomes that could be."""
        hosts = [self._host(statements) for statements in self.case.host]
        guests = [self._guest(n, statements) for n, statements in enumerate(self.case.guest)]
        threads = [Thread(f"host{n}", one.run) for n, one in enumerate(hosts)]
        threads += [Thread(f"vcpu{n}", one.run, mmu="secondary") for n, one in enumerate(guests)]
        world = World(self.mm, (self.driver,), threads)
        world.finals.clear()  # outcomes are asked for here, not what holds
        scripts = (*hosts, *guests)
        for values in product(self.case.values, repeat=len(self.registers)):
            parts = tuple(
                Equal(register, value)
                for register, value in zip(self.registers.values(), values, strict=True)
            )
            name = " ".join(map(str, values))
            self.outcomes[name] = values
            world.reachable[name] = Ending(scripts, parts).holds
        return world

    # -- set-up ---------------------------------------------------------------------------------

    def _set_memory(self) -> None:
        case, mm = self.case, self.mm
        for name, value in case.init.items():
            frame = mm.populate(PAGES.index(name))
            mm.contents[frame] = value
        mm.ghost.watches_copies = True
        first = mm.pte[0]
        if first is None:
            return
        if case.prepared == "child":
            mm.child = Child(mm)
            mm.child.pte[0] = first
            first.refcount.set(2)
            mm.pte_write[0] = False
        elif case.prepared == "merged":
            first.merged = True
            first.refcount.set(2)
            mm.pte_write[0] = False

    def _touch(self) -> None:
        """Give the driver a translation for each page that is there."""
        for page in self.mm.pages:
            frame = self.mm.pte[page]
            if frame is not None:
                self.driver.set_spte(page, frame, self.mm.pte_write[page])

    def _host(self, statements: Sequence[Statement]) -> Script:
        cpu = Cpu(self.mm)
        return Script(tuple(self._host_step(cpu, one) for one in statements))

    def _host_step(self, cpu: Cpu, one: Statement) -> Step:
        if one.kind == "operation":
            return OPERATIONS[one.name](self.mm, PAGES.index(one.place))
        if one.place in self.flags:
            return self._flag_step(one)
        page = PAGES.index(one.place)
        if one.kind == "age":
            return Age(self.mm, page, self.registers[one.register])
        if one.kind == "read":
            return CpuRead(cpu, page, self.registers[one.register])
        return CpuWrite(cpu, page, one.value, self._result(one))

    def _guest(self, number: int, statements: Sequence[Statement]) -> Script:
        return Script(tuple(self._guest_step(number, one) for one in statements))

    def _guest_step(self, number: int, one: Statement) -> Step:
        if one.place in self.flags:
            return self._flag_step(one)
        page = PAGES.index(one.place)
        if one.kind == "read":
            return VcpuRead(self.driver, number, page, self.registers[one.register])
        return VcpuWrite(self.driver, number, page, one.value, self._result(one))

    def _flag_step(self, one: Statement) -> Step:
        flag = self.flags[one.place]
        if one.kind == "read":
            return FlagRead(flag, self.registers[one.register])
        return FlagWrite(flag, one.value)

    def _result(self, one: Statement) -> Register:
        """The register of a write; one that nobody looks at where the case has none."""
        return self.registers[one.register] if one.register else Register("none")


def _uses_second_page(case: Case) -> bool:
    return any(one.place == "y" or one.name == "mremap" for one in case.statements())
