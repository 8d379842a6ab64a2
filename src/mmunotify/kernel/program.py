"""`Program`: a command whose processes each get an empty VM, and with it KVM's notifier.

A VM belongs to the mm of its creator and does not survive exec, so it has to be created inside: by
ptrace, right after exec and in every child that fork has made, three system calls are put in.
Invariant: a process whose tracer is killed runs on undisturbed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from typing import Final

from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.kernel.tracee import Tracee, trace_me

__all__ = ["Program", "create_notifier", "require_program"]

_CREATE_VM: Final = 0xAE01
_OPEN, _CLOSE, _IOCTL, _FCNTL = 2, 3, 16, 72
_DUPFD_CLOEXEC: Final = 1030
_HIGH: Final = 700  # descriptors of the program's own stay below
_ALL_NOHANG: Final = 0x40000000 | os.WNOHANG
_FORK, _VFORK, _CLONE, _EXEC, _EXIT = 1, 2, 3, 4, 6


def create_notifier(tracee: Tracee) -> int:
    """Create an empty VM inside a stopped process; return its descriptor there.

    Raises `OSError` where the process may not: its user, or a filter of its system calls.
    """
    with tracee.calls() as call:
        kvm = call(_OPEN, call.text(b"/dev/kvm"), os.O_RDWR | os.O_CLOEXEC)
        try:
            vm = call(_IOCTL, kvm, _CREATE_VM, 0)
        finally:
            call(_CLOSE, kvm)
        try:
            high = call(_FCNTL, vm, _DUPFD_CLOEXEC, _HIGH)
        except OSError:
            return vm  # the limit of descriptors is lower: keep the one there is
        call(_CLOSE, vm)
        return high


class Program:
    """A command that runs under the eyes of this thread; call `attend` often.

    `processes` are the pids that have a notifier, `blind` those that could not get one, with the
    reason. `seen` is told of a process as soon as it has one (True), and before it ends
    (False).
    """

    def __init__(
        self,
        command: Sequence[str],
        seen: Callable[[int, bool], None],
        *,
        follow: bool = True,
    ) -> None:
        self.processes: list[int] = []
        self.blind: dict[int, str] = {}
        self.status: int | None = None
        self._seen = seen
        self._follow = follow
        self.pid = _start(command)
        self._tracees = {self.pid: Tracee(self.pid)}
        self._strangers: set[int] = set()
        self._shares: set[int] = set()  # threads, and children of vfork: in their parent's mm
        first = self._tracees[self.pid]
        first.wait_for(signal.SIGSTOP)
        first.follow()
        first.go_on()

    @property
    def running(self) -> bool:
        """Whether any process of the command is still followed."""
        return bool(self._tracees)

    def attend(self) -> None:
        """Deal with what the processes have done since the last call."""
        again = True
        while again:
            again = False
            for pid in [*self._tracees, *self._strangers]:
                with contextlib.suppress(ChildProcessError):
                    found, status = os.waitpid(pid, _ALL_NOHANG)
                    if found:
                        again = True
                        with contextlib.suppress(ProcessLookupError):
                            self._attend(pid, status)

    def signal(self, number: int) -> None:
        """Send a signal to the command."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def detach(self) -> None:
        """Let every process run on by itself; their VMs end with them."""
        for tracee in self._tracees.values():
            with contextlib.suppress(OSError):
                os.kill(tracee.pid, signal.SIGSTOP)
                tracee.wait_for(signal.SIGSTOP)
                tracee.detach()
        self._tracees = {}

    def _attend(self, pid: int, status: int) -> None:
        if not os.WIFSTOPPED(status):
            self._tracees.pop(pid, None)
            self._strangers.discard(pid)
            if pid == self.pid:
                self.status = os.waitstatus_to_exitcode(status)
            return
        tracee = self._tracees.get(pid)
        if tracee is None:
            self._born(pid)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        if event in (_FORK, _VFORK, _CLONE):
            self._expect(tracee.event_message(), shares=event != _FORK)
        elif event == _EXEC:
            former = tracee.event_message()  # a thread that executes takes the first one's place
            if former != pid:
                self._tracees.pop(former, None)
            self._shares.discard(pid)
            tracee.finish_call()
            self._give_notifier(tracee)
        elif event == _EXIT and pid in self.processes:
            self._seen(pid, False)
        tracee.go_on(0 if event or number == signal.SIGTRAP else number)

    def _expect(self, pid: int, *, shares: bool) -> None:
        """A child or thread is about to stop for the first time."""
        self._strangers.add(pid)
        if shares:
            self._shares.add(pid)

    def _born(self, pid: int) -> None:
        """A child or thread has stopped for the first time, before its first instruction."""
        self._strangers.discard(pid)
        tracee = Tracee(pid)
        if not self._follow:
            tracee.detach()
            return
        self._tracees[pid] = tracee
        if pid not in self._shares:
            self._give_notifier(tracee)
        tracee.go_on()

    def _give_notifier(self, tracee: Tracee) -> None:
        try:
            create_notifier(tracee)
        except ProcessLookupError:
            raise
        except OSError as error:
            self.blind[tracee.pid] = error.strerror or str(error)
            return
        if tracee.pid not in self.processes:
            self.processes.append(tracee.pid)
        self._seen(tracee.pid, True)


def require_program(command: Sequence[str]) -> None:
    """Raise `DiagnosticError` E321 if there is no such program."""
    if shutil.which(command[0]) is None:
        what = f"there is no program {command[0]}"
        raise DiagnosticError(Diagnostic("E321", None, what, fix="name one that the shell finds"))


def _start(command: Sequence[str]) -> int:
    """Start the command, stopped before its exec."""
    pid = os.fork()
    if pid == 0:
        try:
            trace_me()
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execvp(command[0], list(command))
        finally:  # whatever goes wrong, it must not unwind what is the parent's
            os._exit(127)
    return pid
