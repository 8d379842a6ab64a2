"""`Bug`: what is known of one bug of Linux, and the two models of it, with the bug and without.

Invariant: the models differ in the bug alone, so that it is what the verdicts are about. A hash is
given only where it was read: in the kernel's history, in the text of a CVE, or in a mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mmunotify.check.scenario import Scenario
from mmunotify.lang.driver import Driver

__all__ = ["Bug", "Case", "Commit", "Kind", "Seen"]


class Kind(Enum):
    """What a model needs to show a bug: interleaved steps, two granularities, waiting."""

    SC = "SC"
    GRANULARITY = "SC+G"
    LIVENESS = "SC+L"


class Seen(Enum):
    """Where the hash of a commit was read."""

    HISTORY = "the kernel's history"
    CVE = "the CVE's text"
    MAIL = "a mail, a changelog or a comment"


@dataclass(frozen=True)
class Commit:
    """A commit of Linux that repaired the bug; `subject` is its first line, where it was read."""

    hash: str
    seen: Seen
    subject: str = ""


@dataclass(frozen=True)
class Case:
    """A model: `driver` in `scenario`, which is one of its file's `SCENARIOS`."""

    driver: type[Driver]
    scenario: Scenario


@dataclass(frozen=True, kw_only=True)
class Bug:
    """One bug.

    `id` is a group and a number: A list, registration and release; B pairing of sections and
    interval notifiers; C order and range of clear, flush, notify and free; D the retry check; E
    which sptes a hook reaches; F deadlock, reclaim recursion, lifetime. `versions` are those of
    Linux that have it. `what` happens is told as an interleaving, `fix` in a sentence. `property`
    is the one that `buggy` violates; `fixed` violates none. `note` says what is uncertain, or what
    the model leaves out.
    """

    id: str
    title: str
    versions: str
    kind: Kind
    property: str
    what: str
    fix: str
    buggy: Case
    fixed: Case
    commits: tuple[Commit, ...] = ()
    cve: str = ""
    note: str = ""
