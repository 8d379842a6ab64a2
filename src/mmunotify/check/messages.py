"""What the process of a check and its worker processes tell each other: one JSON object a line."""

from __future__ import annotations

import msgspec

from mmunotify.check.job import Answer
from mmunotify.check.options import Options
from mmunotify.check.search import Progress
from mmunotify.check.subject import Origin
from mmunotify.errors import Diagnostic

__all__ = ["Begin", "Broken", "Done", "Far", "FromWorker", "Refused", "Stop", "Task", "ToWorker"]


class Begin(msgspec.Struct, tag=True):
    """The first message: which driver, and what is asked of its check."""

    origin: Origin
    file: str
    options: Options


class Task(msgspec.Struct, tag=True):
    """Decide the scenario `name`, the one with the number `at`."""

    at: int
    name: str


class Stop(msgspec.Struct, tag=True):
    """End the search that runs and say how far it is."""


class Far(msgspec.Struct, tag=True):
    """How far the search is."""

    at: int
    progress: Progress


class Done(msgspec.Struct, tag=True):
    """The scenario is decided."""

    at: int
    answer: Answer


class Refused(msgspec.Struct, tag=True):
    """The driver cannot be checked."""

    at: int
    diagnostics: list[Diagnostic]


class Broken(msgspec.Struct, tag=True):
    """An exception that is nobody's fault but mmunotify's; `text` is its traceback."""

    at: int
    kind: str
    what: str
    text: str


ToWorker = Begin | Task | Stop
FromWorker = Far | Done | Refused | Broken
