"""`forks`: what happens around `os.fork()` to the address spaces of this process.

Invariant: the section of a fork is open from before the page tables are copied until after, unless
the forking thread is inside of a section itself: a hook may start a program.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forking", "announce_forks"]


class Forking(Protocol):
    """What is told of forks."""

    def before_fork(self) -> None:
        """The process is about to be copied."""

    def after_fork_in_parent(self) -> None:
        """It was, and this is the original."""


_told: weakref.WeakSet[Forking] = weakref.WeakSet()
_open: list[Forking] = []  # sections of the fork that runs; forks exclude each other


def announce_forks(to: Forking) -> None:
    """Tell `to` of every `os.fork()` from now on, as long as it lives."""
    if not _told:
        _install()
    _told.add(to)


def _before() -> None:
    for one in list(_told):
        one.before_fork()
        _open.append(one)


def _in_parent() -> None:
    while _open:
        _open.pop().after_fork_in_parent()


def _in_child() -> None:
    # Whoever is asked in the child finds that it is not the process it was made in.
    _open.clear()
    _told.clear()


_installed = False


def _install() -> None:
    global _installed
    if not _installed:
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
        _installed = True
