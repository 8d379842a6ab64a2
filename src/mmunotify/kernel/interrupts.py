"""`Interrupts`: what a loop that watches processes waits for.

Invariant: what comes between two waits is seen by the second; when the block ends, signals do what
they did before.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType

__all__ = ["Interrupts"]


class Interrupts:
    """SIGINT and SIGTERM as a flag, and SIGCHLD as something to wait for, while the block lasts.

    In the main thread, as Python has it with signals.
    """

    def __init__(self) -> None:
        self.count = 0
        self._reading, self._writing = os.pipe()
        self._before: dict[int, object] = {}

    def wait(self, seconds: float | None) -> None:
        """Wait for a signal or a call of `wake`, or until the time is over."""
        if select.select([self._reading], [], [], seconds)[0]:
            os.read(self._reading, 4096)

    def wake(self) -> None:
        """Have the wait return; for other threads."""
        with contextlib.suppress(OSError):  # full: there is enough to wake it; closed: nobody waits
            os.write(self._writing, b"w")

    def __enter__(self) -> Interrupts:
        for fd in (self._reading, self._writing):
            os.set_blocking(fd, False)
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reading)
        os.close(self._writing)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.count += number != signal.SIGCHLD
