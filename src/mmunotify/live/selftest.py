"""The self-test: what each monitor really reports on this machine, operation by operation.

Every operation is done to scratch memory, past mmunotify, and the monitor is watched: a table that
misses when the operation has returned makes it `ordered`, one that misses some time later
`observed`. Invariant: a cell says what was measured; what a monitor promises and does not keep is
marked as broken, what could not be tried says why.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mmunotify import _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.live.address_space import AddressSpace
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent, MemoryRange
from mmunotify.live.monitors import Kvm, Monitor, Userfaultfd, Validate
from mmunotify.live.operations import OPERATIONS, Kind, Operation
from mmunotify.live.scratch import (
    FIRED,
    PREPARED,
    NotFiredError,
    Scratch,
    page_table_entry,
    scratch,
)
from mmunotify.live.supervised import Supervised

__all__ = ["Finding", "certify"]

_PATIENCE = 0.3  # seconds to wait for a report that comes afterwards


@dataclass(frozen=True)
class Finding:
    """What was measured of one monitor and one operation.

    `measured` None: it could not be tried, `note` says why. `promised` is what the monitor's table
    says, or what `AddressSpace` promises of its own operations (`explicit`).
    """

    operation: str
    memory: Kind
    monitor: str
    promised: Guarantee
    measured: Guarantee | None
    note: str = ""

    @property
    def broken(self) -> bool:
        """Whether the monitor keeps less than it promises."""
        return self.measured is not None and self.measured < self.promised


class Probe(Protocol):
    """A monitor under test."""

    name: str

    def promises(self, operation: str) -> Guarantee:
        """What it promises."""

    def measure(self, operation: str, memory: Scratch) -> Guarantee:
        """Do an operation and find out; raise `NotFiredError`."""

    def close(self) -> None:
        """Let go of everything."""


def certify(kinds: Iterable[Kind] = (Kind.ANONYMOUS, Kind.SHARED)) -> Iterator[Finding]:
    """Yield a finding for each monitor of this process, kind of memory and operation on it."""
    wanted = tuple(kinds)
    for name, make in _PROBES.items():
        try:
            probe = make()
        except DiagnosticError as error:
            yield from _refused(name, error.diagnostics[0].what, wanted)
            continue
        except OSError as error:
            yield from _refused(name, str(error), wanted)
            continue
        try:
            for kind in wanted:
                for operation in OPERATIONS:
                    if kind in operation.memory:
                        yield _tried(probe, operation, kind)
        finally:
            probe.close()


def _tried(probe: Probe, operation: Operation, kind: Kind) -> Finding:
    name = operation.name
    promised = probe.promises(name)
    try:
        with scratch(kind) as memory:
            PREPARED.get(name, _nothing)(memory)
            measured = probe.measure(name, memory)
    except NotFiredError as error:
        return Finding(name, kind, probe.name, promised, None, str(error))
    return Finding(name, kind, probe.name, promised, measured)


def _refused(name: str, note: str, kinds: Iterable[Kind]) -> Iterator[Finding]:
    for kind in kinds:
        for operation in OPERATIONS:
            if kind in operation.memory:
                yield Finding(operation.name, kind, name, Guarantee.NONE, None, note)


class Reported:
    """A monitor that reports what others do: seen in a table over the scratch memory."""

    def __init__(self, monitor: Monitor) -> None:
        self.name = monitor.name
        self.monitor = monitor
        self.space = _monitor.Space()
        monitor.start(self.space)
        self.table = _monitor.Table(self.space, 4)

    def promises(self, operation: str) -> Guarantee:
        """What its table of guarantees says."""
        return self.monitor.guarantees.get(operation, Guarantee.NONE)

    def measure(self, operation: str, memory: Scratch) -> Guarantee:
        """Do it, and look the memory up."""
        extent = memory.extent
        self.monitor.watch(extent)
        self._keep(extent)
        try:
            FIRED[operation](memory)
            return self._look(extent)
        finally:
            self.table.invalidate(extent.address, extent.end)
            for slot in self.table.reap():
                self.table.forget(slot)
            self.monitor.unwatch(extent)

    def _keep(self, extent: Extent) -> None:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            slot = self.table.reserve(extent.address, extent.end)
            kept = self.table.commit(slot) == "done"
            self.table.leave(slot)
            # What the monitor still has to tell of before must not count.
            time.sleep(0.02 if self.name == "kvm" else 0)
            if kept and self._hit(extent):
                return
            self.table.forget(slot)
            for dead in self.table.reap():
                self.table.forget(dead)
        raise NotFiredError("the scratch memory is invalidated all the time")

    def _look(self, extent: Extent) -> Guarantee:
        if not self._hit(extent):
            return Guarantee.ORDERED if self.name != "kvm" else Guarantee.OBSERVED
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            time.sleep(0.005)
            if not self._hit(extent):
                return Guarantee.OBSERVED
        return Guarantee.NONE

    def _hit(self, extent: Extent) -> bool:
        while (slot := self.table.hit_range(extent.address, extent.end)) == _monitor.BUSY:
            self.space.settle()
        if slot >= 0:
            self.table.leave(slot)
        return slot >= 0

    def close(self) -> None:
        """Stop the monitor."""
        self.monitor.stop()


class Through:
    """Operations through an `AddressSpace`: the start hook must come before their effect."""

    name = "explicit"

    def __init__(self) -> None:
        self.mm = AddressSpace(monitors=["explicit"])
        self.done: dict[str, Callable[[Scratch], object]] = {
            "munmap": lambda memory: self.mm.unmap(_span(memory)),
            "mremap": lambda memory: self.mm.remap(_span(memory), onto=memory.more().address),
            "mremap_onto": self._onto,
            "mremap_shrink": lambda memory: self.mm.remap(_span(memory), length=1),
            "madv_dontneed": lambda memory: self.mm.discard(_span(memory)),
            "madv_pageout": lambda memory: self.mm.pageout(_span(memory)),
            "mprotect": lambda memory: self.mm.protect(_span(memory), 1),
            "fork": lambda memory: FIRED["fork"](memory),
        }

    def promises(self, operation: str) -> Guarantee:
        """Before, for what it offers."""
        return Guarantee.BEFORE if operation in self.done else Guarantee.NONE

    def measure(self, operation: str, memory: Scratch) -> Guarantee:
        """Do it, and see whether the hook still found the old page table entry."""
        if operation not in self.done:
            return Guarantee.NONE
        witness = _Witness(memory.extent)
        self.mm.register(witness, ranges=[_span(memory)])
        try:
            self.done[operation](memory)
        finally:
            self.mm.unregister(witness)
        return Guarantee.BEFORE if witness.came_first else Guarantee.NONE

    def _onto(self, memory: Scratch) -> None:
        source = memory.more()
        self.mm.remap((source.address, source.length), onto=memory.extent.address)

    def close(self) -> None:
        """Close the address space."""
        self.mm.close()


_PROGRAM = """
import sys
from mmunotify.live.operations import Kind
from mmunotify.live.scratch import FIRED, PREPARED, NotFiredError, scratch

def answer(*words):
    print(*words, flush=True)
    return sys.stdin.readline()

line = sys.stdin.readline()
while line:
    operation, kind = line.split()
    with scratch(Kind(kind)) as memory:
        if operation in PREPARED:
            PREPARED[operation](memory)
        answer(memory.extent.address, memory.extent.length)
        try:
            FIRED[operation](memory)
            said = "done"
        except NotFiredError as error:
            said = f"not {error}"
        line = answer(said)  # before the memory goes
"""


class Stopping:
    """A program under `Supervised`, which does the operations to scratch memory of its own."""

    name = "seccomp"

    def __init__(self) -> None:
        self.witness = _Witness(Extent(0, 0))
        self.program = Supervised(
            [sys.executable, "-c", _PROGRAM],
            self.witness,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def promises(self, operation: str) -> Guarantee:
        """What its table of guarantees says."""
        return self.program.guarantees.get(operation, Guarantee.NONE)

    def measure(self, operation: str, memory: Scratch) -> Guarantee:
        """Have the program do it, and see whether the hook still found the old entry."""
        address, length = map(int, self._say(f"{operation} {memory.kind}").split())
        self.witness.look_at(Extent(address, length), self.program.process.pid)
        said = self._say("go")
        if said != "done":
            raise NotFiredError(said.removeprefix("not "))
        return Guarantee.BEFORE if self.witness.came_first else Guarantee.NONE

    def _say(self, line: str) -> str:
        streams = self.program.process
        assert streams.stdin is not None
        assert streams.stdout is not None
        print(line, file=streams.stdin, flush=True)
        return str(streams.stdout.readline()).strip()

    def close(self) -> None:
        """End the program."""
        streams = self.program.process
        for stream in (streams.stdin, streams.stdout):
            if stream is not None:
                stream.close()
        self.program.wait()


class Asked:
    """A monitor that is asked whether anything has happened."""

    def __init__(self) -> None:
        self.monitor = Validate()
        self.name = self.monitor.name
        self.monitor.start(_monitor.Space())

    def promises(self, operation: str) -> Guarantee:
        """What its table of guarantees says, which is of private anonymous memory."""
        return self.monitor.guarantees.get(operation, Guarantee.NONE)

    def measure(self, operation: str, memory: Scratch) -> Guarantee:
        """Do it, and ask."""
        try:
            self.monitor.remember(memory.extent)
        except DiagnosticError as error:
            raise NotFiredError(error.diagnostics[0].what) from error
        FIRED[operation](memory)
        same = self.monitor.unchanged(memory.extent)
        return Guarantee.NONE if same else Guarantee.VALIDATED

    def close(self) -> None:
        """Stop the monitor."""
        self.monitor.stop()


class _Witness:
    """A notifier that compares the page table entry in its start hook with the one before."""

    def __init__(self, extent: Extent) -> None:
        self.look_at(extent, os.getpid())

    def look_at(self, extent: Extent, process: int) -> None:
        """Begin anew with other memory."""
        self.extent = Extent(0, 0)
        self.process = process
        self.came_first = False
        self.before = page_table_entry(extent.address, process)
        self.extent = extent

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """The operation is about to happen; the allocator's calls do not count."""
        extent = self.extent
        mine = rng.address < extent.end and extent.address < rng.address + rng.length
        if mine and rng.operation != "brk":
            entry = page_table_entry(extent.address, self.process)
            self.came_first = self.came_first or entry == self.before


_PROBES: dict[str, Callable[[], Probe]] = {
    "explicit": Through,
    "userfaultfd": lambda: Reported(Userfaultfd()),
    "validate": Asked,
    "seccomp": Stopping,
    "kvm": lambda: Reported(Kvm()),
}


def _nothing(memory: Scratch) -> None:
    """Most operations need no preparation."""


def _span(memory: Scratch) -> tuple[int, int]:
    return memory.extent.address, memory.extent.length
