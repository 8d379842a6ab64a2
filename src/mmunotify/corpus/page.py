"""docs/corpus.md, and the facts of one bug as text.

Invariant: the page depends on the corpus alone; times and the lengths of interleavings, which
differ from run to run, are not on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import fill

from mmunotify.corpus.bug import Bug
from mmunotify.corpus.omitted import OMITTED
from mmunotify.corpus.registry import bugs, module_of
from mmunotify.corpus.trial import Trial

__all__ = ["corpus_page", "facts"]

_WIDTH = 100
_INDENT = " " * 10
_HEAD = """\
# The corpus: bugs that Linux had

Each is a file in [src/mmunotify/corpus](../src/mmunotify/corpus), ordinary code as a user would
write it: a model with the bug and one without. `mmunotify corpus` checks all of them,
`mmunotify corpus C3` shows one with its interleaving and its fix. A bug counts as found if its
model violates the property that is named, and the model without it holds in all states. A hash is
given only where it was read; the entry says where. This page is written by `make docs`.

The classes: **SC** needs nothing but interleaved steps, **SC+G** two granularities, a range that is
wider than a page, **SC+L** somebody who waits.
"""
_GROUPS = {
    "A": "The list, registration, release",
    "B": "Pairing, non-blocking failure, interval notifiers",
    "C": "Order of clear, flush, notify and free; missing and wrong notifications",
    "D": "The retry check, missing or misplaced",
    "E": "Which translations does the hook reach?",
    "F": "Deadlock, reclaim recursion, lifetime",
}
_OMITTED = """\
## What is not here

Known bugs of the same family that a model of this kind does not express, or that this corpus does
not have.
"""


def corpus_page(trials: Sequence[Trial]) -> str:
    """Return docs/corpus.md, given the trials of all bugs in order."""
    every = bugs()
    parts = [_HEAD, _table(every, trials)]
    for group, title in _GROUPS.items():
        parts.append(f"## {group}. {title}\n")
        parts += [part for bug in every if bug.id[0] == group for part in _entry(bug)]
    parts.append(_OMITTED)
    parts += [_filled(f"**{one}.** {reason}") + "\n" for one, reason in OMITTED.items()]
    return "\n".join(parts)


def _table(every: Sequence[Bug], trials: Sequence[Trial]) -> str:
    lines = [
        "| bug | what | Linux | class | violates | the fix holds in |",
        "|---|---|---|---|---|---|",
    ]
    for bug, trial in zip(every, trials, strict=True):
        found = bug.property if trial.found else "**not found**"
        holds = f"{trial.states[1]:,} states" if trial.holds else "**violated**"
        lines.append(
            f"| [{bug.id}](#{bug.id.lower()}) | {bug.title} | {bug.versions} "
            f"| {bug.kind.value} | `{found}` | {holds} |"
        )
    return "\n".join(lines) + "\n"


def _entry(bug: Bug) -> Iterator[str]:
    yield f"### {bug.id}\n"
    yield _filled(f"**{bug.title[0].upper()}{bug.title[1:]}.** {bug.what}") + "\n"
    yield _filled(f"Fix: {bug.fix}") + "\n"
    sources = [_source(bug)] if bug.commits or bug.cve else []
    sources.append(f"Model: `{module_of(bug.id).__name__.replace('.', '/')}.py`.")
    yield _filled(" ".join(sources)) + "\n"
    if bug.note:
        yield _filled(bug.note) + "\n"


def _source(bug: Bug) -> str:
    return ", ".join([*([bug.cve] if bug.cve else []), *_commits(bug)]) + "."


def _commits(bug: Bug) -> Iterator[str]:
    for commit in bug.commits:
        subject = f' ("{commit.subject}")' if commit.subject else ""
        yield f"{commit.hash}{subject}, read in {commit.seen.value}"


def _filled(text: str) -> str:
    return fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def facts(bug: Bug, width: int) -> str:
    """Return what is known of a bug, as text in `width` columns."""
    rows = {
        "what": bug.what,
        "linux": bug.versions,
        "commit": "; ".join(_commits(bug)),
        "cve": bug.cve,
        "class": bug.kind.value,
        "note": bug.note,
    }
    lines = [
        fill(f"{label:7} {text}", width, initial_indent="  ", subsequent_indent=_INDENT)
        for label, text in rows.items()
        if text
    ]
    return "\n".join(lines) + "\n"
