"""A worker process: it decides one scenario after another for the process that started it.

Invariant: it ends when its standard input does, so no worker outlives the process it works for.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback

import msgspec

from mmunotify.check.choice import chosen_scenarios
from mmunotify.check.job import Job
from mmunotify.check.messages import Begin, Broken, Done, Far, FromWorker, Refused, Task, ToWorker
from mmunotify.check.scenario import Scenario
from mmunotify.check.search import Progress
from mmunotify.check.subject import Subject, imported
from mmunotify.errors import DiagnosticError

__all__ = ["main"]


def main(descriptor: int) -> None:
    """Take messages from standard input and write the answers to `descriptor`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    _Worker(descriptor).run()


class _Worker:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self.stopped = threading.Event()
        self.decoder = msgspec.json.Decoder(ToWorker)
        self.subject: Subject | None = None
        self.scenarios: dict[str, Scenario] = {}

    def run(self) -> None:
        """Decide tasks until the input ends, which ends the process."""
        begin = self.decoder.decode(sys.stdin.buffer.readline())
        assert isinstance(begin, Begin)
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            task = self.tasks.get()
            self._say(self._decided(begin, task))

    def _listen(self) -> None:
        """Take messages; at their end, end the process, whatever the search is at."""
        try:
            for line in sys.stdin.buffer:
                message = self.decoder.decode(line)
                if isinstance(message, Task):
                    self.tasks.put(message)
                else:
                    self.stopped.set()
        except msgspec.MsgspecError:  # from another version of this file
            os._exit(1)
        os._exit(0)

    def _decided(self, begin: Begin, task: Task) -> FromWorker:
        def report(progress: Progress) -> bool:
            self._say(Far(task.at, progress))
            return not self.stopped.is_set()

        try:
            if self.subject is None:
                self.subject = imported(begin.origin, begin.file)
                every = chosen_scenarios(self.subject, begin.options)
                self.scenarios = {scenario.name: scenario for scenario in every}
            job = Job(self.subject, self.scenarios[task.name], begin.options)
            return Done(task.at, job.answer(report))
        except DiagnosticError as error:
            return Refused(task.at, list(error.diagnostics))
        except Exception as error:
            return Broken(task.at, type(error).__name__, str(error), traceback.format_exc())

    def _say(self, message: FromWorker) -> None:
        data = msgspec.json.encode(message) + b"\n"
        while data:
            data = data[os.write(self.descriptor, data) :]
