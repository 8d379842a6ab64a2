"""Bodies of the subset with real threads."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mmunotify.lang
from mmunotify import Completion, Mutex, RwSem, SpinLock, WaitQueue, current
from mmunotify.live.runtime import Threads

LANG = Path(mmunotify.lang.__file__).parent


def together(*bodies: object) -> None:
    """Run bodies at once, each in a thread of its own, on one runtime."""
    threads = Threads()
    errors: list[BaseException] = []

    def run(body: object) -> None:
        try:
            with threads.running():
                assert callable(body)
                body()
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(body,)) for body in bodies]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    assert not errors
    assert not any(thread.is_alive() for thread in running)


LOCKS: dict[str, Callable[[], Any]] = {
    "spinlock": SpinLock,
    "mutex": Mutex,
    "rwsem": lambda: RwSem().write,
}


@pytest.mark.parametrize("kind", LOCKS)
def test_locks_exclude(kind: str) -> None:
    """A read and a later write under a lock are one."""
    lock = LOCKS[kind]()
    count = [0]

    def body() -> None:
        for _ in range(300):
            with lock:
                seen = count[0]
                for _ in range(10):
                    pass
                count[0] = seen + 1

    together(*[body] * 4)
    assert count == [1200]


def test_waiting() -> None:
    """Completions and wait queues wake across threads."""
    done, queue = Completion(), WaitQueue()
    order: list[str] = []

    def first() -> None:
        order.append("first")
        done.complete()

    def second() -> None:
        done.wait()
        order.append("second")
        queue.wake_up_all()

    together(first, second)
    assert order == ["first", "second"]


def test_each_thread_is_somebody() -> None:
    """`current()` is one object a thread, with counts of its own."""
    seen: set[int] = set()
    kept: list[object] = []

    def body() -> None:
        assert current() is current()
        kept.append(current())
        seen.add(id(current()))

    together(body, body, body)
    assert len(seen) == 3


def test_nothing_is_written_before_a_wait_in_the_same_step() -> None:
    """What live relies on: where a step waits, others may run; it has changed nothing by then."""
    wrong = []
    for path in sorted(LANG.glob("*.py")):
        for block in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(block, ast.With) and _is_atomic(block):
                wrong += [f"{path.name}:{line}" for line in _writes_before_wait(block)]
    assert not wrong


def _is_atomic(block: ast.With) -> bool:
    context = block.items[0].context_expr
    return isinstance(context, ast.Call) and getattr(context.func, "id", "") == "atomic"


def _writes_before_wait(block: ast.With) -> list[int]:
    writes: list[int] = []
    for statement in block.body:
        if "wait_until(" in ast.unparse(statement):
            return writes
        stores = (ast.Assign, ast.AugAssign)
        writes += [s.lineno for s in ast.walk(statement) if isinstance(s, stores)]
    return []
