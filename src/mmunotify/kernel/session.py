"""A trace of the running kernel from beginning to end: of a command, or of a running process.

Invariant: whatever ends it, the events are closed, the processes are let go, and what was recorded
so far is returned.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from mmunotify.errors import CannotError, Diagnostic, DiagnosticError
from mmunotify.kernel.interrupts import Interrupts
from mmunotify.kernel.notifications import Notifications
from mmunotify.kernel.program import Program, create_notifier, require_program
from mmunotify.kernel.recorder import LIMIT, Recorder
from mmunotify.kernel.repeats import vms_of
from mmunotify.kernel.tracee import Tracee
from mmunotify.trace.record import Notified, Trace

__all__ = ["Told", "trace_command", "trace_process"]

Told = Callable[[Notified, Recorder], None]
"""Given each notification as it is recorded."""

_TICK: Final = 0.02  # seconds between two drains; a ring holds many times what comes meanwhile
_PATIENCE: Final = 2.0  # seconds that a command has to end after an interrupt
_RINGS: Final = 32_768  # pages of the rings of all CPUs together


def trace_command(
    command: Sequence[str],
    *,
    limit: int = LIMIT,
    follow: bool = True,
    seconds: float | None = None,
    told: Told | None = None,
) -> tuple[Trace, bool]:
    """Run `command` with a notifier in it; return the trace, and whether it was interrupted.

    With `follow` its children get one each. After `seconds` the command is left to itself.
    """
    require_program(command)
    with _listening() as notifications, Interrupts() as interrupts:
        recorder = _recorder(notifications, limit, told)
        program = Program(command, recorder.watch, follow=follow)
        deadline = time.monotonic() + seconds if seconds else None
        try:
            while program.running:
                interrupts.wait(_TICK)
                program.attend()
                recorder.take()
                if interrupts.count or (deadline and time.monotonic() > deadline):
                    break
            if interrupts.count:
                _end(program, recorder, interrupts)
        finally:
            program.detach()
        recorder.take()
        recorder.notes += _notes(program)
        return recorder.trace(" ".join(command)), bool(interrupts.count)


def trace_process(
    pid: int,
    *,
    limit: int = LIMIT,
    inject: bool = False,
    seconds: float | None = None,
    told: Told | None = None,
) -> tuple[Trace, bool]:
    """Record what is about process `pid` until it ends, or for `seconds`, or until Ctrl-C.

    It must run a VM; `inject` puts an empty one into it, and takes it out again. Raises
    `DiagnosticError` E322 or E323.
    """
    _require_process(pid)
    if not inject and not vms_of(pid):
        what = f"process {pid} runs no VM, so KVM's notifier is not on its memory"
        fix = f"mmunotify trace --pid {pid} --inject   # puts an empty VM into it for the time"
        raise DiagnosticError(Diagnostic("E323", None, what, fix=fix))
    with _listening() as notifications, Interrupts() as interrupts:
        recorder = _recorder(notifications, limit, told)
        with _injected(pid) if inject else contextlib.nullcontext():
            recorder.watch(pid)
            vms = vms_of(pid)
            deadline = time.monotonic() + seconds if seconds else None
            while not interrupts.count and _is_alive(pid):
                interrupts.wait(_TICK)
                recorder.take()
                if deadline and time.monotonic() > deadline:
                    break
            recorder.watch(pid)
            recorder.take()
        if vms > 1:
            recorder.notes.append(f"{vms} VMs report each invalidation; counted once")
        return recorder.trace(f"process {pid}"), bool(interrupts.count)


def _recorder(notifications: Notifications, limit: int, told: Told | None) -> Recorder:
    recorder = Recorder(
        notifications, limit=limit, told=(lambda one: told(one, recorder)) if told else None
    )
    return recorder


def _end(program: Program, recorder: Recorder, interrupts: Interrupts) -> None:
    """End a command that was interrupted; on a terminal it has got the signal itself."""
    program.signal(signal.SIGINT)
    deadline = time.monotonic() + _PATIENCE
    while program.running and time.monotonic() < deadline and interrupts.count < 2:
        interrupts.wait(_TICK)
        program.attend()
        recorder.take()


def _notes(program: Program) -> Iterator[str]:
    for pid, reason in program.blind.items():
        yield f"process {pid} could not get a notifier and is not in the trace: {reason}"
    if program.status is None:
        yield "the command runs on"
    elif program.status < 0:
        yield f"the command was ended by {signal.Signals(-program.status).name}"
    else:
        yield f"the command exited with {program.status}"


@contextlib.contextmanager
def _injected(pid: int) -> Iterator[None]:
    """An empty VM in a running process, for as long as the block lasts."""
    try:
        tracee = Tracee.attach(pid)
        try:
            vm = create_notifier(tracee)
        finally:
            tracee.detach()
    except OSError as error:
        what = f"no VM can be put into process {pid}: {error.strerror}"
        fix = "run it as root; no debugger may be attached"
        raise CannotError(Diagnostic("E401", None, what, fix=fix)) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            tracee = Tracee.attach(pid)
            with tracee.calls() as call:
                call(3, vm)  # close
            tracee.detach()


def _require_process(pid: int) -> None:
    if not Path(f"/proc/{pid}").exists():
        what = f"there is no process {pid}"
        raise DiagnosticError(Diagnostic("E322", None, what, fix="see ps"))


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _listening() -> Notifications:
    """Listen with rings as large as all of them may be together, a power of two each."""
    each = _RINGS // (os.cpu_count() or 1)
    return Notifications(pages=max(64, min(8192, 1 << each.bit_length() - 1)), prompt=False)
