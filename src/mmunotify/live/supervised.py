"""`Supervised`: a program whose memory operations wait until a notifier's start hook has returned.

Needs no privilege, and nothing of the program: a filter stops its system calls (seccomp user
notification). What happens without one of them - copy-on-write, reclaim, io_uring - is not seen.
Invariant: every stopped call is let go, whatever the hooks do.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmunotify.live.guarantee import Guarantee
from mmunotify.live.guarded import HookError, Worker, print_hook_error, tell
from mmunotify.live.memory import MemoryRange
from mmunotify.live.operations import Agent
from mmunotify.live.runtime import Threads
from mmunotify.live.seccomp import Stopped, fetch_listener, let_go, receive

__all__ = ["Supervised"]

_LAUNCH = (
    "import os, sys\n"
    "os.set_inheritable(int(sys.argv[1]), False)\n"
    "from mmunotify.live.seccomp import install_filter\n"
    "install_filter()\n"
    "os.read(int(sys.argv[1]), 1)\n"  # execve closes the listener: somebody must have a copy
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


class Supervised:
    """A running program. `notifier` has hooks of a driver; pages are the program's.

    `guarantees` are of what it does itself, by system calls, to its own memory (`reach`): not of
    what io_uring, another process or the kernel does to it, and not of execve. The end of a call is
    not reported: `invalidate_range_end` is called when the same thread is heard of again, or the
    program ends. Children of the program run undisturbed, and unseen. An `on_error` that raises is
    printed, and so is what it was told.
    """

    guarantees: Mapping[str, Guarantee] = dict.fromkeys(
        (
            *("munmap", "mmap_fixed", "brk", "shmdt", "mprotect", "process_madvise"),
            *("mremap", "mremap_onto", "mremap_dontunmap", "mremap_shrink"),
            *("madv_dontneed", "madv_remove", "madv_free", "madv_guard_install"),
            *("madv_pageout", "madv_collapse", "punch_hole", "ftruncate"),
        ),
        Guarantee.BEFORE,
    )
    reach = frozenset({Agent.PROGRAM, Agent.THROUGH, Agent.REMAP})

    def __init__(
        self,
        command: Sequence[str],
        notifier: Any,
        *,
        hook_timeout: float = 10.0,
        on_error: Callable[[HookError], None] = print_hook_error,
        **popen: Any,
    ) -> None:
        self.notifier = notifier
        self._seconds, self._on_error = hook_timeout, on_error
        self._open: dict[int, list[MemoryRange]] = {}
        self._threads = Threads()
        self._worker: Worker | None = Worker(self._threads)
        waits, goes = os.pipe()
        try:
            launched = [sys.executable, "-c", _LAUNCH, str(waits), *command]
            self.process = subprocess.Popen(launched, pass_fds=[waits], **popen)
            try:
                self._listener = fetch_listener(self.process.pid, 30)
            except BaseException:
                self.process.kill()
                self.process.wait()
                raise
            self._thread = threading.Thread(target=self._run, name="mmunotify-seccomp", daemon=True)
            self._thread.start()  # before the program goes on: it may be stopped already
            os.write(goes, b"g")
        finally:
            os.close(waits)
            os.close(goes)

    def wait(self) -> int:
        """Wait until the program has ended and everything is told; return its exit code."""
        code = self.process.wait()
        self._thread.join()
        return code

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        try:
            while True:
                [(_, events)] = poll.poll()
                if not events & select.POLLIN:  # POLLHUP: nobody is left under the filter
                    break
                stopped = receive(self._listener)
                if stopped is not None:
                    try:
                        self._tell(stopped)
                    finally:
                        let_go(self._listener, stopped)
        finally:
            os.close(self._listener)
            for tid in list(self._open):
                self._end(tid)
            self._call("release")
            if self._worker is not None:
                self._worker.stop()

    def _tell(self, stopped: Stopped) -> None:
        if not Path(f"/proc/{self.process.pid}/task/{stopped.tid}").exists():
            return  # a child of the program: another address space
        self._end(stopped.tid)
        name, event = stopped.call.name, stopped.call.event
        ranges = [
            MemoryRange.around(start, end, event, name, stopped.tid)
            for start, end in stopped.ranges
        ]
        self._open[stopped.tid] = ranges
        for rng in ranges:
            self._call("invalidate_range_start", rng)

    def _end(self, tid: int) -> None:
        for rng in reversed(self._open.pop(tid, [])):
            self._call("invalidate_range_end", rng)

    def _call(self, hook: str, *rng: MemoryRange) -> None:
        bound = getattr(self.notifier, hook, None)
        if bound is None or self._worker is None:
            return
        try:
            self._worker.call(lambda: bound(*rng), self._seconds)
        except TimeoutError as error:
            self._worker = None  # told nothing more: it is still at this
            self._report(hook, rng, error)
        except Exception as error:  # a hook may raise anything
            self._report(hook, rng, error)

    def _report(self, hook: str, rng: tuple[MemoryRange, ...], error: BaseException) -> None:
        tell(self._on_error, HookError(self.notifier, hook, rng[0] if rng else None, error))
