"""`Pool`: scenarios decided by several processes, with the answers in the order of the scenarios.

Scenarios have nothing in common, and compiling them takes most of the time, in Python.
Invariant: the answers are those that one process would give, up to and including the first
violation; when the pool is closed no process is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec

from mmunotify.check.job import Answer
from mmunotify.check.messages import Begin, Broken, Done, Far, FromWorker, Refused, Stop, Task
from mmunotify.check.options import Options
from mmunotify.check.scenario import Scenario
from mmunotify.check.search import Progress
from mmunotify.check.subject import Origin
from mmunotify.errors import DiagnosticError

__all__ = ["Pool", "WorkerError"]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mmunotify.check.worker import main; main(int(sys.argv[2]))"
)
_PATIENCE = 3.0  # seconds for interrupted workers to say how far they are
_GRACE = 0.0  # seconds that a worker has to end by itself
_LOOK = 0.2  # seconds between looks at the clock


class WorkerError(RuntimeError):
    """A worker met an exception that is no diagnostic, or died; `text` is its traceback, if any."""

    def __init__(self, what: str, text: str = "") -> None:
        super().__init__(what)
        self.text = text


class _Process:
    """One worker process, and what it is at."""

    def __init__(self, begin: Begin) -> None:
        reading, writing = os.pipe()
        command = [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(writing)]
        self.python = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # what the driver's file prints was seen already
            pass_fds=[writing],
            process_group=0,  # a terminal's Ctrl-C is for this process, which tells the workers
        )
        os.close(writing)
        self.reading = reading
        self.rest = b""
        self.at = -1  # number of its scenario, -1 for none
        self.progress: Progress | None = None
        self.say(begin)

    def say(self, message: Begin | Task | Stop) -> None:
        assert self.python.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is noticed when reading
            self.python.stdin.write(msgspec.json.encode(message) + b"\n")
            self.python.stdin.flush()

    def lines(self) -> list[bytes]:
        """Return the whole lines that can be read now; raise `EOFError` at the end."""
        data = os.read(self.reading, 1 << 16)
        if not data:
            raise EOFError
        *whole, self.rest = (self.rest + data).split(b"\n")
        return whole

    def close(self) -> None:
        assert self.python.stdin is not None
        with contextlib.suppress(OSError):
            self.python.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.python.wait(_GRACE)
        self.python.kill()
        self.python.wait()
        os.close(self.reading)


class Pool:
    """Up to `options.workers` processes for `scenarios`; use it in a `with` statement."""

    def __init__(
        self, origin: Origin, file: str, options: Options, scenarios: Sequence[Scenario]
    ) -> None:
        self.scenarios = scenarios
        self.keep_going = options.keep_going
        self.decoder = msgspec.json.Decoder(FromWorker)
        self.results: dict[int, Answer | Exception] = {}
        self.given = 0  # scenarios that some process was given
        self.end = len(scenarios)  # those from here on are not wanted any more
        self.selector = selectors.DefaultSelector()
        self.processes: list[_Process] = []
        count = min(options.workers, len(scenarios))
        begin = Begin(origin, file, replace(options, share=count))
        try:
            for _ in range(count):
                process = _Process(begin)
                self.processes.append(process)
                self.selector.register(process.reading, selectors.EVENT_READ, process)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.close()
        self.processes.clear()
        self.selector.close()

    @property
    def progress(self) -> Progress:
        """How far the searches that run are, together."""
        found = [p.progress for p in self.processes if p.progress is not None and p.at >= 0]
        return Progress(
            states=sum(p.states for p in found),
            transitions=sum(p.transitions for p in found),
            depth=max((p.depth for p in found), default=0),
            frontier=sum(p.frontier for p in found),
            bytes=sum(p.bytes for p in found),
            seconds=max((p.seconds for p in found), default=0.0),
        )

    @property
    def running(self) -> list[str]:
        """The names of the scenarios that are searched now."""
        numbers = sorted(p.at for p in self.processes if p.at >= 0)
        return [self.scenarios[at].name for at in numbers]

    def answers(self) -> Iterator[Answer | None]:
        """Yield the answers in order, and None now and then while there is none yet.

        Raise what the first scenario that raised did, in the order of the scenarios.
        """
        at = 0
        while at < self.end:
            if at in self.results:
                found = self.results.pop(at)
                if isinstance(found, Exception):
                    raise found
                at += 1
                yield found
                continue
            self._give()
            self._listen()
            yield None

    def interrupted(self) -> list[Answer]:
        """Stop all searches; return what was covered since the last answer, in order."""
        for process in self.processes:
            process.say(Stop())
        until = time.monotonic() + _PATIENCE
        while any(p.at >= 0 for p in self.processes) and time.monotonic() < until:
            self._listen()
        found = (self.results[at] for at in sorted(self.results))
        return [answer for answer in found if isinstance(answer, Answer)]

    def _give(self) -> None:
        """Give the next scenarios to processes that have none."""
        if not self.processes:
            raise WorkerError("no worker process is left")
        for process in self.processes:
            if process.at < 0 and self.given < self.end:
                process.at, process.progress = self.given, None
                process.say(Task(self.given, self.scenarios[self.given].name))
                self.given += 1

    def _listen(self) -> None:
        for key, _ in self.selector.select(_LOOK):
            process: _Process = key.data
            try:
                lines = process.lines()
            except EOFError:
                self._lost(process)
                continue
            for line in lines:
                self._hear(process, self.decoder.decode(line))

    def _hear(self, process: _Process, message: FromWorker) -> None:
        if isinstance(message, Far):
            process.progress = message.progress
            return
        process.at = -1
        if isinstance(message, Done):
            self.results[message.at] = message.answer
            if message.answer.told is None or self.keep_going:
                return
        elif isinstance(message, Refused):
            self.results[message.at] = DiagnosticError(message.diagnostics)
        elif isinstance(message, Broken):
            error = WorkerError(f"{message.kind}: {message.what}", message.text)
            self.results[message.at] = error
        self.end = min(self.end, message.at + 1)  # what comes later is not asked for any more

    def _lost(self, process: _Process) -> None:
        """Note that a process has died."""
        self.selector.unregister(process.reading)
        self.processes.remove(process)
        process.close()
        if process.at < 0:
            return
        code = process.python.returncode
        name = self.scenarios[process.at].name
        end = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        self.results[process.at] = WorkerError(f"the process that searched {name} {end}")
        self.end = min(self.end, process.at + 1)
