"""What is told when a program ends, or becomes another one by execve.

All its memory goes, and with it the monitors and devices that it has itself. So this is measured
from outside, on a program of its own. Invariant: the program is gone when the answer is there.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from mmunotify.live.guarantee import Guarantee
from mmunotify.live.memory import Extent, MemoryRange
from mmunotify.live.operations import Kind
from mmunotify.live.scratch import NotFiredError, entries_of
from mmunotify.live.supervised import Supervised
from mmunotify.live.ways import WAYS, Way

__all__ = ["answer_of", "told_of_end"]

_SECONDS = 60  # that a program gets to end, or to answer
_PATIENCE = 0.2  # seconds for what is told after an execve
_PROGRAM = """
import os, sys
from mmunotify import AddressSpace
from mmunotify.live.operations import Kind
from mmunotify.live.scratch import Scratch
from mmunotify.live.ways import WAYS

monitor, number, kind, told = sys.argv[1:]

class Witness:
    def invalidate_range_start(self, rng):
        os.write(int(told), b"b")

    def release(self):
        os.write(int(told), b"r")

memory = Scratch(Kind(kind))
if monitor != "seccomp":
    mm = AddressSpace(monitors=[monitor])
    mm.register(Witness(), ranges=[memory.span])
print(*memory.span, flush=True)
sys.stdin.readline()
WAYS[int(number)].fire(memory)
"""


class _Witness:
    """A notifier in this process, of a program under `Supervised`."""

    def __init__(self, told: int) -> None:
        self.told = told
        self.extent = Extent(0, 0)

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """Something is about to happen; only the scratch memory counts."""
        if rng.address < self.extent.end and self.extent.address < rng.address + rng.length:
            os.write(self.told, b"b")

    def release(self) -> None:
        """The program has ended."""
        os.write(self.told, b"r")


def told_of_end(monitor: str, way: Way, kind: Kind) -> Guarantee:
    """Have a program do it to itself; return when the monitor, by its name, has told of that."""
    told, tell = os.pipe()
    os.set_blocking(told, False)
    try:
        with _started(monitor, way, kind, tell) as (process, witness, finish):
            if _run(process, witness):
                time.sleep(_PATIENCE)
            else:
                process.wait(_SECONDS)
                finish()
            with contextlib.suppress(BlockingIOError):
                return Guarantee.BEFORE if b"b" in os.read(told, 4096) else Guarantee.OBSERVED
            return Guarantee.NONE
    finally:
        os.close(tell)
        os.close(told)


@contextlib.contextmanager
def _started(
    monitor: str, way: Way, kind: Kind, tell: int
) -> Iterator[tuple[subprocess.Popen[str], _Witness, Callable[[], object]]]:
    """Start the program with the monitor in it or around it; see to it that it ends.

    The third is what waits until everything is told that is told from outside.
    """
    words = (monitor, str(WAYS.index(way)), str(kind), str(tell))
    command = [sys.executable, "-c", _PROGRAM, *words]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    witness = _Witness(tell)
    finish: Callable[[], object]
    if monitor == "seccomp":
        supervised = Supervised(command, witness, text=True, **pipes)
        process, finish = supervised.process, supervised.wait
    else:
        process = subprocess.Popen(command, text=True, pass_fds=[tell], **pipes)
        finish = process.wait
    with process:
        try:
            yield process, witness, finish
        finally:
            process.kill()
            finish()


def _run(process: subprocess.Popen[str], witness: _Witness) -> bool:
    """Have the program do it; tell whether it has become another one, without the memory."""
    assert process.stdin is not None
    assert process.stderr is not None
    line = answer_of(process)
    if not line:
        problem = (process.stderr.read().strip().splitlines() or ["it has ended"])[-1]
        raise NotFiredError(f"a program with this monitor: {problem}")
    address, length = map(int, line.split())
    witness.extent = Extent(address, length)
    before = entries_of(witness.extent, process.pid)
    print("go", file=process.stdin, flush=True)
    if not answer_of(process):
        return False
    if not any(before) or any(entries_of(witness.extent, process.pid)):
        raise NotFiredError("the memory is still there")
    return True


def answer_of(process: subprocess.Popen[str]) -> str:
    """Return a program's next line, "" if it has ended; kill one that says nothing for a minute."""
    assert process.stdout is not None
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    if not poll.poll(_SECONDS * 1000):
        process.kill()
        raise NotFiredError(f"the program has not answered within {_SECONDS} s")
    return process.stdout.readline()
