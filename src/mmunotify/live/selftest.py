"""The self-test: what each monitor really reports on this machine, way by way.

Every way of `live.ways` is done to scratch memory and the monitor is watched: a table that misses
when the operation has returned makes it `ordered`, one that misses some time later `observed`.
Invariant: a finding says what was measured; what a monitor promises and does not keep is broken,
and what could not be tried says why.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mmunotify import _monitor
from mmunotify.errors import DiagnosticError
from mmunotify.live.ending import answer_of, told_of_end
from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent, MemoryRange
from mmunotify.live.monitors import Explicit, Kvm, Monitor, Userfaultfd, Validate
from mmunotify.live.operations import Agent, Kind
from mmunotify.live.scratch import NotFiredError, Scratch, entries_of, scratch
from mmunotify.live.supervised import Supervised
from mmunotify.live.ways import HARMLESS, SETTINGS, WAYS, Way, perform

__all__ = ["PROBES", "Finding", "Probe", "Reported", "State", "Stopping", "certify"]

_RETRIES = 2  # of what could not be done


class State(Enum):
    """What became of the measurement."""

    MEASURED = "measured"
    REFUSED = "refused"  # the monitor does not take such memory
    PREVENTED = "prevented"  # the kernel does not do it to memory that the monitor watches
    UNTRIED = "untried"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Finding:
    """What was measured of one monitor and one way.

    `measured` is None unless `state` is MEASURED; `note` says why. `promised` is what the monitor
    promises of this way; where it promises more of the operation otherwise, `note` says why not of
    this way.
    """

    way: Way
    memory: Kind
    monitor: str
    promised: Guarantee
    measured: Guarantee | None
    note: str = ""
    state: State = State.MEASURED

    @property
    def operation(self) -> str:
        """The name of the operation, "" if it is harmless."""
        return self.way.operation

    @property
    def broken(self) -> bool:
        """Whether the monitor keeps less than it promises."""
        return self.measured is not None and self.measured < self.promised


class ExemptError(Exception):
    """There is nothing to measure, by the monitor's nature; says why."""

    def __init__(self, state: State, why: str) -> None:
        super().__init__(why)
        self.state = state


class Probe(Protocol):
    """A monitor under test. `reach` are the agents whose doing it promises to report."""

    name: str
    reach: frozenset[Agent]

    def promises(self, operation: str) -> Guarantee:
        """What it promises of an operation that an agent in its reach does."""

    def measure(self, way: Way, memory: Scratch) -> Guarantee:
        """Do it and find out; raise `NotFiredError` or `ExemptError`."""

    def close(self) -> None:
        """Let go of everything."""


def certify(
    kinds: Iterable[Kind] = tuple(Kind),
    *,
    ways: Iterable[Way] | None = None,
    probes: Mapping[str, Callable[[], Probe]] | None = None,
    may_change_settings: bool = False,
) -> Iterator[Finding]:
    """Yield a finding for each monitor, way and kind of memory.

    `may_change_settings`: where the machine has no swap space, some is made for the moments that
    need it, and ksmd runs while it is to merge. Both are undone, whatever happens.
    """
    wanted = tuple(kinds)
    # One setting after the other: each is changed once for a monitor.
    ordered = sorted(WAYS if ways is None else ways, key=lambda way: way.setting)
    for name, make in (PROBES if probes is None else probes).items():
        try:
            probe = make()
        except (DiagnosticError, OSError) as error:
            yield from _without(name, _words(error), ordered, wanted)
            continue
        with contextlib.closing(probe):
            for setting, group in itertools.groupby(ordered, lambda way: way.setting):
                yield from _tried_with(setting, probe, list(group), wanted, may_change_settings)


def _tried_with(
    setting: str, probe: Probe, ways: list[Way], kinds: tuple[Kind, ...], may_change: bool
) -> Iterator[Finding]:
    note = ""
    with contextlib.ExitStack() as stack:
        if setting and not may_change:
            note = f"a setting of the machine would have to be changed for a while: {setting}"
        elif setting:
            try:
                stack.enter_context(SETTINGS[setting]())
            except DiagnosticError as error:
                note = f"{_words(error)}; {error.diagnostics[0].fix}"
        for way, kind in _pairs(ways, kinds):
            yield _found(probe, way, kind, note)


def _found(probe: Probe, way: Way, kind: Kind, note: str) -> Finding:
    promised, beyond = _promise(probe, way)
    state, measured = State.UNTRIED, None
    if not note:
        try:
            measured, note = _measured(probe, way, kind), beyond
            state = State.MEASURED
        except ExemptError as error:
            state, note = error.state, str(error)
        except (NotFiredError, DiagnosticError, OSError) as error:
            note = _words(error)
    return Finding(way, kind, probe.name, promised, measured, note, state)


def _measured(probe: Probe, way: Way, kind: Kind) -> Guarantee:
    if way.ends:
        return told_of_end(probe.name, way, kind)
    with contextlib.ExitStack() as kept:
        # Others may come first: khugepaged, the allocator of the heap; and what is compacted is the
        # kernel's choice. The memory is kept meanwhile, so that the next has other frames.
        for _ in range(_RETRIES):
            with contextlib.suppress(NotFiredError):
                return _once(probe, way, kind, kept)
        return _once(probe, way, kind, kept)


def _once(probe: Probe, way: Way, kind: Kind, kept: contextlib.ExitStack) -> Guarantee:
    memory = kept.enter_context(scratch(kind, way.shape))
    way.prepare(memory)
    return probe.measure(way, memory)


def _promise(probe: Probe, way: Way) -> tuple[Guarantee, str]:
    """Return what is promised of a way, and why that is less than is promised of others."""
    if way.operation == HARMLESS:
        return Guarantee.NONE, ""
    promised = probe.promises(way.operation)
    if promised and way.agent not in probe.reach:
        return Guarantee.NONE, f"the agent is {way.agent}"
    return promised, ""


def _without(
    name: str, note: str, ways: Iterable[Way], kinds: tuple[Kind, ...]
) -> Iterator[Finding]:
    for way, kind in _pairs(ways, kinds):
        yield Finding(way, kind, name, Guarantee.NONE, None, note, State.UNTRIED)


def _pairs(ways: Iterable[Way], kinds: tuple[Kind, ...]) -> Iterator[tuple[Way, Kind]]:
    return ((way, kind) for way in ways for kind in kinds if kind in way.memory)


def _words(error: Exception) -> str:
    if isinstance(error, DiagnosticError):
        return error.diagnostics[0].what
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _perform_watched(way: Way, memory: Scratch, unwatch: Callable[[Extent], None]) -> None:
    """Do it to memory that is watched; find out whether that is why the kernel refuses."""
    try:
        perform(way, memory)
    except OSError as error:
        unwatch(memory.target)
        perform(way, memory)
        why = f"the kernel refuses it where the memory is watched: {error.strerror}"
        raise ExemptError(State.PREVENTED, why) from error


class Reported:
    """A monitor that reports what others do: seen in a table over the scratch memory.

    `best` is what it can be: a report by a thread for which nobody waits may come in time, or not.
    """

    def __init__(self, monitor: Monitor, best: Guarantee = Guarantee.ORDERED) -> None:
        self.name = monitor.name
        self.reach = monitor.reach
        self.best = best
        self.monitor = monitor
        self.space = _monitor.Space()
        monitor.start(self.space)
        self.table = _monitor.Table(self.space, 8)

    def promises(self, operation: str) -> Guarantee:
        """What its table of guarantees says."""
        return self.monitor.guarantees.get(operation, Guarantee.NONE)

    def measure(self, way: Way, memory: Scratch) -> Guarantee:
        """Do it, and look the memory up."""
        self._catch_up()  # what it still has to tell of before must not count
        with self._kept(memory.target):
            _perform_watched(way, memory, self.monitor.unwatch)
            if not self._hit(memory.target):
                return self.best
            self._catch_up()
            return Guarantee.NONE if self._hit(memory.target) else Guarantee.OBSERVED

    def _catch_up(self) -> None:
        """Wait until everything is reported that was to be."""
        if isinstance(self.monitor, Kvm):
            self.monitor.catch_up()
        self.space.settle()

    @contextlib.contextmanager
    def _kept(self, extent: Extent) -> Iterator[None]:
        """Have the memory watched and in the table."""
        try:
            self.monitor.watch(extent)
        except DiagnosticError as error:
            raise ExemptError(State.REFUSED, _words(error)) from error
        try:
            self._keep(extent)
            yield
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
            if kept and self._hit(extent):
                return
            time.sleep(0.005)
            self.table.forget(slot)
            for dead in self.table.reap():
                self.table.forget(dead)
        raise NotFiredError("the scratch memory is invalidated all the time")

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

    name = Explicit.name
    reach = Explicit.reach

    def promises(self, operation: str) -> Guarantee:
        """Before, for what goes through it."""
        return Guarantee.BEFORE if operation in _THROUGH else Guarantee.NONE

    def measure(self, way: Way, memory: Scratch) -> Guarantee:
        """Do it, and see whether the hook still found the old page table entries."""
        witness = _Witness(way, memory.target)
        memory.mm.register(witness, ranges=[memory.span])
        try:
            perform(way, memory)
        finally:
            memory.mm.unregister(witness)
        return witness.measured

    def close(self) -> None:
        """There is nothing to let go of: each scratch memory has an address space."""


_PROGRAM = """
import sys
from mmunotify.live.operations import Agent, Kind
from mmunotify.live.scratch import NotFiredError, scratch
from mmunotify.live.ways import WAYS, perform

def answer(*words):
    print(*words, flush=True)
    return sys.stdin.readline()

line = sys.stdin.readline()
while line:
    number, kind = line.split()
    way = WAYS[int(number)]
    try:
        with scratch(Kind(kind), way.shape) as memory:
            way.prepare(memory)
            answer("ready", *memory.span)
            perform(way, memory)
            line = answer("done")  # before the memory goes
    except (NotFiredError, OSError) as error:
        line = answer("not", error)
"""


class Stopping:
    """A program under `Supervised`, which does the operations to scratch memory of its own."""

    name = "seccomp"
    reach = Supervised.reach

    def __init__(self) -> None:
        self.witness = _Witness(WAYS[0], Extent(0, 0))
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

    def measure(self, way: Way, memory: Scratch) -> Guarantee:
        """Have the program do it, and see whether the hook still found the old entries."""
        address, length = map(int, self._say(f"{WAYS.index(way)} {memory.kind}", "ready").split())
        self.witness.look_at(way, Extent(address, length), self.program.process.pid)
        self._say("go", "done")
        return self.witness.measured

    def _say(self, line: str, expected: str) -> str:
        """Say something to the program; return what follows the expected word of its answer."""
        process = self.program.process
        assert process.stdin is not None
        print(line, file=process.stdin, flush=True)
        answer = answer_of(process).strip()
        word, _, rest = answer.partition(" ")
        if word != expected:
            raise NotFiredError(rest or "the program under the filter has ended")
        return rest

    def close(self) -> None:
        """End the program."""
        streams = self.program.process
        for stream in (streams.stdin, streams.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # the program has gone before
                    stream.close()
        self.program.wait()


class Asked:
    """A monitor that is asked whether anything has happened."""

    reach = Validate.reach

    def __init__(self) -> None:
        self.monitor = Validate()
        self.name = self.monitor.name
        self.monitor.start(_monitor.Space())

    def promises(self, operation: str) -> Guarantee:
        """What its table of guarantees says, which is of private anonymous memory."""
        return self.monitor.guarantees.get(operation, Guarantee.NONE)

    def measure(self, way: Way, memory: Scratch) -> Guarantee:
        """Do it, and ask."""
        try:
            self.monitor.remember(memory.target)
        except DiagnosticError as error:
            raise ExemptError(State.REFUSED, _words(error)) from error
        if not self.monitor.unchanged(memory.target):
            raise NotFiredError("the scratch memory is changed all the time")
        _perform_watched(way, memory, lambda _: self._forget())
        same = self.monitor.unchanged(memory.target)
        return Guarantee.NONE if same else Guarantee.VALIDATED

    def close(self) -> None:
        """Stop the monitor."""
        self.monitor.stop()

    def _forget(self) -> None:
        self.monitor.stop()
        self.monitor.start(_monitor.Space())


class _Witness:
    """A notifier that compares the page table entries in its start hook with those before."""

    def __init__(self, way: Way, extent: Extent) -> None:
        self.look_at(way, extent, os.getpid())

    def look_at(self, way: Way, extent: Extent, process: int) -> None:
        """Begin anew with other memory."""
        self.extent = Extent(0, 0)
        self.way = way
        self.process = process
        self.measured = Guarantee.NONE
        self.before = entries_of(extent, process)
        self.extent = extent

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """The operation is about to happen, or has happened."""
        extent = self.extent
        if rng.operation == "brk" and self.way.operation != "brk":
            return  # the allocator's own
        if rng.address < extent.end and extent.address < rng.address + rng.length:
            first = entries_of(extent, self.process) == self.before
            found = Guarantee.BEFORE if first else Guarantee.OBSERVED
            self.measured = max(self.measured, found)


_THROUGH = {way.operation for way in WAYS if way.agent is Agent.THROUGH}

PROBES: Mapping[str, Callable[[], Probe]] = {
    "explicit": Through,
    "userfaultfd": lambda: Reported(Userfaultfd()),
    "validate": Asked,
    "seccomp": Stopping,
    "kvm": lambda: Reported(Kvm(period=0.002), Guarantee.OBSERVED),
}
"""What makes a probe of each monitor, by the monitor's name."""
