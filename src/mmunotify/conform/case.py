"""`Case`: one operation on real memory, and the operations of the model it corresponds to.

Invariant: what a case needs from the machine it says by raising `CannotError`; it undoes what it
did to the machine itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mmunotify.kernel.memory import PAGE, Memory
from mmunotify.kernel.system_call import Syscall, system_call

__all__ = ["CASES", "PAGES", "Case", "Scene", "Step", "case"]

PAGES = (4, 8)
"""The real pages that the model's two pages stand for."""


@dataclass
class Scene:
    """The memory of a case, what has to be undone after it, and what its preparation kept."""

    memory: Memory
    fd: int = -1
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    kept: Any = None

    def page(self, number: int) -> int:
        """The address of a page."""
        return self.memory.page(number)

    def madvise(self, advice: int, page: int = PAGES[0], count: int = 1) -> None:
        """`madvise` on some pages."""
        system_call(Syscall.MADVISE, self.page(page), count * PAGE, advice)

    def mprotect(self, protection: int, page: int = PAGES[0], count: int = 1) -> None:
        """`mprotect` on some pages."""
        system_call(Syscall.MPROTECT, self.page(page), count * PAGE, protection)

    def alone(self) -> None:
        """Leave nothing but the page: a mapping of its own."""
        after = PAGES[0] + 1
        system_call(Syscall.MUNMAP, self.page(0), PAGES[0] * PAGE)
        system_call(Syscall.MUNMAP, self.page(after), (16 - after) * PAGE)

    def fork(self, body: Callable[[], None] | None = None) -> Child:
        """Fork a child that runs `body` when it is told to, and ends when the case does."""
        child = Child(body)
        self.undo.callback(child.end)
        return child


class Child:
    """A child of this process that does one thing when told, and waits for its end."""

    def __init__(self, body: Callable[[], None] | None = None) -> None:
        reading, self._order = os.pipe()
        self._answer, writing = os.pipe()
        self._alive = True
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._order)
            os.close(self._answer)
            _serve(reading, writing, body)
        os.close(reading)
        os.close(writing)

    def act(self) -> None:
        """Have it run its body, and wait until that is done."""
        os.write(self._order, b"x")
        os.read(self._answer, 1)

    def end(self) -> None:
        """Have it exit, and wait until it has gone."""
        if self._alive:
            self._alive = False
            os.close(self._order)
            os.waitpid(self.pid, 0)
            os.close(self._answer)


def _serve(reading: int, writing: int, body: Callable[[], None] | None) -> None:
    """What the child does; it never returns."""
    try:
        while os.read(reading, 1):
            if body:
                body()
            os.write(writing, b"x")
    finally:
        os._exit(0)


Step = Callable[[Scene], None]


@dataclass(frozen=True)
class Case:
    """One operation.

    `model` names operations of `mmunotify.primary`, run one after the other; empty means that none
    of them is this one. `prepare` is done before anything is recorded. `expected` and `because`:
    the verdict that is understood, and why it is so.
    """

    name: str
    call: str
    model: tuple[str, ...]
    run: Step
    prepare: Step | None = None
    memory: str = "anonymous"
    expected: str = "agree"
    because: str = ""

    @contextlib.contextmanager
    def scene(self) -> Iterator[Scene]:
        """The memory, touched, with a different word in every page."""
        huge = self.memory == "huge"
        fd = os.memfd_create("conform") if self.memory == "shared" else -1
        if fd >= 0:
            os.ftruncate(fd, 16 * PAGE)
        pages, align = (512, 512 * PAGE) if huge else (16, PAGE)
        with Memory(pages, align=align, fd=fd, shared=fd >= 0) as memory:
            scene = Scene(memory, fd)
            try:
                with scene.undo:
                    for number in range(pages):
                        memory.write(number, number + 1)
                    if self.prepare:
                        self.prepare(scene)
                    yield scene
            finally:
                if fd >= 0:
                    os.close(fd)


CASES: dict[str, Case] = {}
"""Every case by name, in the order of the report."""


def case(
    name: str,
    call: str,
    *model: str,
    prepare: Step | None = None,
    memory: str = "anonymous",
    expected: str = "agree",
    because: str = "",
) -> Callable[[Step], Step]:
    """Make the function below the case `name`."""

    def add(run: Step) -> Step:
        CASES[name] = Case(name, call, model, run, prepare, memory, expected, because)
        return run

    return add
