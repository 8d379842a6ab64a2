"""`forks`: what happens around `os.fork()` to the address spaces of this process.

Invariant: the section of a fork is open from before the page tables are copied until after, unless
the forking thread is inside of a section itself: a hook may start a program.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import ExitStack
from typing import Protocol

__all__ = ["Forking", "announce_forks"]


class Forking(Protocol):
    """What is told of forks."""

    def forking(self, until: ExitStack) -> None:
        """The process is about to be copied. `until` is closed when it was, in the original."""


class _Mine(threading.local):
    """What the forks of one thread have opened: in a hook, or a handler, there may be another."""

    def __init__(self) -> None:
        self.open: list[ExitStack] = []


_told: weakref.WeakSet[Forking] = weakref.WeakSet()
_mine = _Mine()  # other threads may be about to fork as well
_installed = False


def announce_forks(to: Forking) -> None:
    """Tell `to` of every `os.fork()` from now on, as long as it lives."""
    if not _told:
        _install()
    _told.add(to)


def _before() -> None:
    sections = ExitStack()
    _mine.open.append(sections)
    for one in list(_told):
        one.forking(sections)


def _in_parent() -> None:
    _mine.open.pop().close()


def _in_child() -> None:
    # Whoever is asked in the child finds that it is not the process it was made in. No section is
    # closed here: the locks may be held by threads that there are no more. Python drops what is
    # theirs, and an ExitStack that is dropped does nothing.
    _told.clear()


def _install() -> None:
    global _installed
    if not _installed:
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        _installed = True
