"""`LastUserExits`: an address space that its last user tears down, whoever that is (`mmput`).

Invariant: `exit_mmap` runs once, in the thread whose `mmput` drops the last of `mm_users`.
"""

from __future__ import annotations

from mmunotify.lang import atomic
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["ExitTask", "LastUserExits"]


class LastUserExits(Mm):
    """The process is one user; a driver that holds the mm is another."""

    def __init__(self, pages: int = 2, frames: int = 3) -> None:
        super().__init__(pages, frames)
        self.exits = True

    def mmput(self) -> None:
        """Give a user's hold up; the last one tears everything down, here and now."""
        with atomic():
            self.users -= 1
            last = self.users == 0
        if last:
            self.notifiers.release()  # exit_mmap; what comes after it does not matter here


class ExitTask(Operation):
    """The process exits: it is a user of the mm no more (`exit_mm`)."""

    name = "exit_task"
    function = "exit_mm"
    foreign = True

    def run(self) -> None:
        """Drop the process's hold."""
        self.mm.mmput()
