"""`Row`: what the model and the running kernel say in one case, and whether they agree.

Invariant: every case is performed on real memory with a real notifier, and each side's list is
shown as it was recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mmunotify.conform.case import PAGES, Case
from mmunotify.conform.cases import CASES
from mmunotify.conform.model import model_tells
from mmunotify.conform.told import EVERYTHING, Told, covers, shown
from mmunotify.errors import CannotError
from mmunotify.kernel.cause import cause_of
from mmunotify.kernel.kvm import Vm
from mmunotify.kernel.memory import PAGE, Memory
from mmunotify.kernel.notifications import Notification, Notifications

__all__ = ["Row", "Verdict", "conform"]

_AT_ANY_TIME = ("DAMON", "idle tracking")
_BACKGROUND = (
    "reclaim",
    "compaction",
    "migration",
    "collapse",
)  # if a thread of the kernel does it


class Verdict(StrEnum):
    """How the two lists relate."""

    AGREE = "agree"
    FINER = "kernel finer"  # all that the model says, in its order, and more calls or pages
    DIFFERS = "differs"
    NOT_MODELLED = "not modelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Row:
    """One case; `because` explains the verdict, or says why the case was skipped.

    `surprising`: it is not the verdict that the case has been found to have.
    """

    name: str
    call: str
    model: str
    kernel: str
    verdict: Verdict
    because: str
    causes: tuple[str, ...] = ()
    surprising: bool = False


def conform(names: Iterable[str] = ()) -> Iterator[Row]:
    """Perform the cases of these names, or all; raise `CannotError` where nothing can be."""
    with Vm(), Notifications(prompt=False) as notifications:
        for name in list(names) or list(CASES):
            yield _perform(CASES[name], notifications)


def _perform(case: Case, notifications: Notifications) -> Row:
    expected = model_tells(case.model, PAGES) if case.model else []
    lost = notifications.lost
    try:
        with case.scene() as scene:
            memory = scene.memory
            notifications.take()  # of the preparation
            case.run(scene)
            found = [one for one in notifications.take() if _counts(one, memory)]
        told = [_told(one, memory) for one in found]
    except CannotError as error:
        reason = error.diagnostics[0].what
        return Row(case.name, case.call, shown(expected), "", Verdict.SKIPPED, reason)
    except OSError as error:
        reason = f"this kernel refuses the call: {error.strerror}"
        return Row(case.name, case.call, shown(expected), "", Verdict.SKIPPED, reason)
    verdict = _verdict(case, expected, told)
    because = case.because
    lost = notifications.lost - lost
    surprising = verdict != case.expected or lost > 0
    if surprising:
        because = f"not understood: {case.expected} was found before" + f"; {lost} lost" * (
            lost > 0
        )
    return Row(
        case.name,
        case.call,
        shown(expected) if case.model else "",
        shown(told),
        verdict,
        because,
        tuple(dict.fromkeys(cause_of(one.stack) for one in found)),
        surprising,
    )


def _counts(one: Notification, memory: Memory) -> bool:
    """Whether a notification is about the memory of a case, and is the operation's."""
    cause = cause_of(one.stack)
    if cause in _AT_ANY_TIME or (cause in _BACKGROUND and one.pid != os.getpid()):
        return False
    return one.start < memory.end and one.end > memory.start


def _verdict(case: Case, model: list[Told], kernel: list[Told]) -> Verdict:
    if not case.model:
        return Verdict.NOT_MODELLED
    audible = [one for one in model if one.kind != "release"]
    if audible == kernel:
        return Verdict.AGREE
    if covers(kernel, audible):
        return Verdict.FINER
    return Verdict.DIFFERS


def _told(one: Notification, memory: Memory) -> Told:
    start, end = (one.start - memory.start) // PAGE, -(-(one.end - memory.start) // PAGE)
    if start < -(2**20) and end > memory.size // PAGE + 2**20:
        start, end = EVERYTHING
    return Told(one.kind, start, end)
