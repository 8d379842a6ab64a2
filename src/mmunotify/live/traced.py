"""`Traced`: a program and its children, each stopped before and after every memory operation.

A filter (`live.seccomp`) stops a call before it begins, and ptrace stops the thread again when the
call has ended. Each thread's hooks run in a thread of their own, so that one may wait for another.
Invariant: every stopped thread is let go once, whatever the hooks do. What is traced dies with the
tracer: without one the filter refuses its calls.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from mmunotify.kernel.interrupts import Interrupts
from mmunotify.kernel.tracee import Event, Tracee, shares_memory
from mmunotify.live.guarded import HookError
from mmunotify.live.memory import MemoryRange
from mmunotify.live.seccomp import described

__all__ = ["Attach", "Notified", "Traced"]

_LAUNCH = (
    "import os, sys\n"
    "from mmunotify.live.seccomp import install_filter\n"
    "gate = int(sys.argv[1])\n"
    "os.set_inheritable(gate, False)\n"
    "os.write(gate, b'r')\n"
    "os.read(gate, 1)\n"  # until somebody traces us
    "install_filter(traced=True)\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)
_STEP: Final = os.WNOHANG | 0x40000000  # __WALL
_SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
_PATIENCE: Final = 2.0  # seconds that a program has to end after an interrupt


class Notified(Protocol):
    """Who is told of one address space."""

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """Before the operation; the thread waits."""

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """After it; the thread waits."""

    def release(self) -> None:
        """The last thread is about to end, or has executed another program."""

    def gives_up(self, found: HookError) -> None:
        """A hook has not returned in time: nothing more is told."""


Attach = Callable[[int, str], Notified | None]
"""Given the number and name of a process with new memory; None: nobody wants to know."""


@dataclass(eq=False)
class _Space:
    """An address space, and the threads that use it."""

    notified: Notified
    users: set[int]
    lost: bool = False  # a hook has not returned, or failed in a way that nobody foresaw
    lock: threading.Lock = field(default_factory=threading.Lock)

    def leave(self, tid: int) -> None:
        """A thread uses it no more; with the last one it is released."""
        with self.lock:
            self.users.discard(tid)
            last = not self.users
        if last and not self.lost:
            self.notified.release()


@dataclass(eq=False)
class _Job:
    """Hooks that run while a thread is stopped, and how it goes on when they have returned."""

    task: _Task
    space: _Space | None
    hook: str
    body: Callable[[], None]
    then: Callable[[], None]
    deadline: float
    error: Exception | None = None


@dataclass(eq=False)
class _Task:
    """A thread of the program or of a child."""

    tracee: Tracee
    process: int
    space: _Space | None = None
    fresh: bool = False  # it has not stopped for the first time
    attaches: bool = False  # it has memory of its own then
    in_call: bool = False
    open: list[MemoryRange] = field(default_factory=list)
    hand: _Hand | None = None

    def go_on(self, signal_number: int = 0) -> None:
        """Let it run to the end of the call that is watched, or freely."""
        self.tracee.go_on(signal_number, to_end_of_call=self.in_call)


class _Hand:
    """The thread that runs the hooks of one task."""

    def __init__(self, done: Callable[[_Job], None]) -> None:
        self._work: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._done = done
        threading.Thread(target=self._run, name="mmunotify-hooks", daemon=True).start()

    def take(self, job: _Job | None) -> None:
        """Run the hooks of a job; None: that was all."""
        self._work.put(job)

    def _run(self) -> None:
        while (job := self._work.get()) is not None:
            try:
                job.body()
            except Exception as error:  # whatever it is, somebody waits
                job.error = error
            self._done(job)


class Traced:
    """A running program; call `run`, in the main thread, which has made this.

    `attach` says who is told of a process: the program, and every child that has memory of its own.
    `processes` are their numbers. `debuggers` counts calls of ptrace, which fail as somebody traces
    already. Raises OSError where ptrace is not permitted, and nothing has been started then.
    """

    def __init__(
        self, command: Sequence[str], attach: Attach, *, hook_timeout: float, **popen: Any
    ) -> None:
        self.status = 0
        self.processes: set[int] = set()
        self.debuggers = 0
        self.interrupted = False
        self._attach, self._seconds = attach, hook_timeout
        self._tasks: dict[int, _Task] = {}
        self._jobs: set[_Job] = set()
        self._finished: deque[_Job] = deque()
        self._interrupts = Interrupts()
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                launched = [sys.executable, "-c", _LAUNCH, str(theirs.fileno()), *command]
                self._popen = subprocess.Popen(launched, pass_fds=[theirs.fileno()], **popen)
            self.pid = self._popen.pid
            try:
                if not ours.recv(1):
                    raise OSError(errno.ECHILD, "the launcher has ended")
                self._tasks[self.pid] = _Task(Tracee.seize(self.pid), self.pid)
            except BaseException:
                self._popen.kill()
                self._popen.wait()
                raise
            ours.send(b"g")

    def run(self) -> int:
        """Tell what happens until everything has ended; return the program's exit code."""
        with self._interrupts as interrupts:
            deadline = None
            while self._tasks or self._jobs:
                self._attend()
                self._finish()
                self._expire()
                if interrupts.count and (deadline is None or self._is_over(deadline)):
                    deadline = self._interrupt(deadline is None)
                if self._tasks or self._jobs:
                    interrupts.wait(self._until_next(deadline))
        self._popen.returncode = self.status  # somebody else has waited for it
        return self.status

    # -- what the loop does ---------------------------------------------------------------------

    def _attend(self) -> None:
        """Deal with what the threads have done."""
        again = True
        while again:
            again = False
            for tid, task in list(self._tasks.items()):
                try:
                    found, status = os.waitpid(tid, _STEP)
                except ChildProcessError:
                    found, status = tid, 0  # another thread has executed a program
                if found:
                    again = True
                    with contextlib.suppress(ProcessLookupError):  # killed meanwhile
                        self._attend_to(task, status)

    def _finish(self) -> None:
        """Let go whose hooks have returned."""
        while self._finished:
            job = self._finished.popleft()
            if job not in self._jobs:
                continue  # too late: it has been let go
            self._jobs.discard(job)
            if job.error is not None:
                self._lose(job, job.error)
            with contextlib.suppress(ProcessLookupError):
                job.then()

    def _expire(self) -> None:
        """Let go, with all threads of its process, whose hooks have not returned in time."""
        now = time.monotonic()
        for job in [one for one in self._jobs if one.deadline < now]:
            self._lose(job, TimeoutError(f"the hook has not returned within {self._seconds:g} s"))
            for stuck in [one for one in self._jobs if one is job or one.space is job.space]:
                stuck.task.hand = None  # it is still at it
                self._finished.append(stuck)
        self._finish()

    def _lose(self, job: _Job, error: Exception) -> None:
        """Tell an address space nothing more."""
        space = job.space
        if space is not None and not space.lost:
            space.lost = True
            rng = job.task.open[0] if job.task.open else None
            space.notified.gives_up(HookError(space.notified, job.hook, rng, error))

    def _until_next(self, deadline: float | None) -> float | None:
        """How long nothing has to be done by itself."""
        times = [job.deadline for job in self._jobs]
        if deadline is not None:
            times.append(deadline)
        return max(0.0, min(times) - time.monotonic()) + 0.001 if times else None

    def _is_over(self, deadline: float) -> bool:
        passed = time.monotonic() > deadline
        return passed or self._interrupts.count > 1 or self.pid not in self._tasks

    def _interrupt(self, first: bool) -> float:
        """Pass an interrupt on; kill what is there still after some time."""
        self.interrupted = True
        for pid in {self.pid} if first else {task.process for task in self._tasks.values()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT if first else signal.SIGKILL)
        return time.monotonic() + _PATIENCE

    # -- what a thread has done -----------------------------------------------------------------

    def _attend_to(self, task: _Task, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        if not os.WIFSTOPPED(status):
            self._gone(task, status)
        elif event == Event.SECCOMP:
            self._calls(task)
        elif number == _SYSCALL_STOP:
            self._has_returned(task)
        elif event in (Event.FORK, Event.VFORK, Event.CLONE):
            self._has_child(task, event)
        elif event == Event.EXEC:
            self._has_executed(task)
        elif event == Event.EXIT:
            self._leave(task, task.go_on)
        elif event == Event.STOP and task.fresh:
            self._begins(task)
        elif event == Event.STOP and number != signal.SIGTRAP:
            task.tracee.listen()  # stopped by a signal, as it would be without us
        else:
            task.go_on(0 if event else number)

    def _calls(self, task: _Task) -> None:
        """It is about to make a call that the filter knows."""
        space, tid = task.space, task.tracee.pid
        found = described(*task.tracee.call(), tid)
        if found is None:
            self.debuggers += 1
        if found is None or space is None or space.lost or not found[1]:
            task.go_on()
            return
        call, ranges = found
        task.open = [
            MemoryRange.around(start, end, call.event, call.name, tid) for start, end in ranges
        ]

        def body() -> None:
            for rng in task.open:
                if not space.lost:
                    space.notified.invalidate_range_start(rng)

        def then() -> None:
            task.in_call = True
            task.go_on()

        self._do(task, space, "invalidate_range_start", body, then)

    def _has_returned(self, task: _Task) -> None:
        """The call is over; it waits to go on."""
        task.in_call = False
        space = task.space
        self._do(task, space, "invalidate_range_end", lambda: _end(task, space), task.go_on)

    def _has_child(self, task: _Task, event: int) -> None:
        """A child or thread is there, and will stop before its first instruction."""
        tid = task.tracee.event_message()
        shares = shares_memory(task.tracee.pid, tid, event != Event.FORK)
        own = event != Event.CLONE or _process_of(tid) != task.process
        born = _Task(Tracee(tid), tid if own else task.process, fresh=True, attaches=not shares)
        if shares and task.space is not None:
            born.space = task.space
            born.space.users.add(tid)
        self._tasks[tid] = born
        task.go_on()

    def _begins(self, task: _Task) -> None:
        """It has stopped for the first time."""
        task.fresh = False
        if task.attaches:
            self._begin_space(task)
        else:
            task.go_on()

    def _has_executed(self, task: _Task) -> None:
        """Its memory is that of another program; it has taken the place of the first thread."""
        former = self._tasks.get(task.tracee.event_message())
        if former is not None and former is not task:
            del self._tasks[former.tracee.pid]
            self._leave(former, lambda: None)
        self._leave(task, lambda: self._begin_space(task))

    def _begin_space(self, task: _Task) -> None:
        """A process has memory of its own."""
        self.processes.add(task.process)
        found: list[Notified | None] = []

        def then() -> None:
            if found and found[0] is not None:
                task.space = _Space(found[0], {task.tracee.pid})
            task.go_on()

        def body() -> None:
            found.append(self._attach(task.process, _name_of(task.process)))

        self._do(task, None, "__init__", body, then)

    def _leave(self, task: _Task, then: Callable[[], None]) -> None:
        """It uses its memory no more; the last one releases it."""
        space, tid = task.space, task.tracee.pid
        if space is None:
            then()
            return
        task.space, task.in_call = None, False

        def body() -> None:
            _end(task, space)
            space.leave(tid)

        self._do(task, space, "release", body, then)

    def _gone(self, task: _Task, status: int) -> None:
        self._tasks.pop(task.tracee.pid, None)
        if task.tracee.pid == self.pid:
            self.status = os.waitstatus_to_exitcode(status)
        self._leave(task, lambda: None)
        if task.hand is not None:
            task.hand.take(None)

    def _do(
        self,
        task: _Task,
        space: _Space | None,
        hook: str,
        body: Callable[[], None],
        then: Callable[[], None],
    ) -> None:
        """Run hooks elsewhere, then let the task go on here."""
        if task.hand is None:
            task.hand = _Hand(self._is_done)
        job = _Job(task, space, hook, body, then, time.monotonic() + self._seconds)
        self._jobs.add(job)
        task.hand.take(job)

    def _is_done(self, job: _Job) -> None:
        """In the hand's thread: have the loop go on."""
        self._finished.append(job)
        self._interrupts.wake()


def _end(task: _Task, space: _Space | None) -> None:
    """End the sections of a task."""
    ranges, task.open = task.open, []
    for rng in reversed(ranges):
        if space is not None and not space.lost:
            space.notified.invalidate_range_end(rng)


def _process_of(tid: int) -> int:
    """The process that a thread belongs to."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{tid}/status").read_text().splitlines():
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return tid


def _name_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text(errors="replace").strip()
    except OSError:
        return "process"
