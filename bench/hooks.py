"""Who hears of what programs do: the memory hooks of UCX, and the monitors.

Everything of `bench.occasions` happens in a child process for each who listens, to memory that he
listens to.
Invariant: nobody has heard of anything before it happens.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bench import ucx
from bench.commands import failed
from bench.invalidations import Nothing, silent_auditor
from bench.occasions import OCCASIONS, Occasion
from bench.options import Options
from bench.table import Table

from mmunotify import AddressSpace, RegistrationCache
from mmunotify.errors import CannotError, DiagnosticError, Exit
from mmunotify.live.guarantee import Need
from mmunotify.live.memory import Extent
from mmunotify.live.operations import OPERATIONS
from mmunotify.live.registration import Registration
from mmunotify.live.scratch import NotFiredError

__all__ = ["CHILD", "child", "measure"]

CHILD = "--hooks"
_UCX = "UCX's hooks"
_ATTEMPTS = 3
_NOTES = (
    "default: AddressSpace(), which is explicit and userfaultfd. What they do not hear of is "
    "refused by a cache (E414) unless the caller allows it by name, as here",
    "validate is asked at each use. It takes private anonymous memory alone, and is used instead "
    "of userfaultfd, not beside it",
    "kvm needs root and tells some time later: it audits the others, no cache rests on it",
    "os.fork: the at-fork handler tells devices that translate; pages that are pinned stay theirs",
    "all of it was seen in the page tables: other pages behind the addresses, none, or another "
    "permission",
)


class Ear(Protocol):
    """Somebody who listens."""

    def listen(self, extent: Extent) -> None:
        """Begin anew, with other memory; raise `DiagnosticError` for what is not taken."""

    def heard(self) -> bool:
        """Tell whether anything was heard since."""


def measure(options: Options) -> Table:
    """Who hears of what. Who is not to be had here has no words, and a note says why."""
    table = Table("hooks", "who hears of it", ["what happens", "memory", *_EARS])
    heard = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for who in _EARS:
            if problem := _prepared(who, place, options) or _happened(who, place):
                table.notes.append(f"{who}: {problem}")
                heard[who] = dict[str, str]()
            else:
                heard[who] = json.loads(_result(place).read_text())
    for occasion in OCCASIONS:
        words = [heard[who].get(occasion.what) for who in _EARS]
        table.row(occasion.what, occasion.memory, *words)
    table.notes += _NOTES
    return table


def _prepared(who: str, place: Path, options: Options) -> str:
    if who != _UCX:
        return ""
    if options.quick:
        return f"left out by --quick: it fetches {ucx.PACKAGE}, 43 MB, from PyPI"
    return ucx.prepare(place)


def _happened(who: str, place: Path) -> str:
    script = Path(__file__).with_name("live.py")
    return failed([sys.executable, script, CHILD, place, who])


def _result(place: Path) -> Path:
    return place / "heard.json"


def child(place: Path, who: str) -> None:
    """Have everything happen in this process, and write down what was heard."""
    try:
        ear = _EARS[who](place)
    except (CannotError, DiagnosticError, OSError) as error:
        print(str(error).partition("\n")[0], file=sys.stderr, flush=True)
        os._exit(Exit.CANNOT)
    words = {occasion.what: _word(occasion, ear) for occasion in OCCASIONS}
    _result(place).write_text(json.dumps(words))
    os._exit(0)  # patched functions lead into libraries that are torn down in some order


def _word(occasion: Occasion, ear: Ear) -> str:
    """Say in a word whether it was heard of, or why not."""
    try:
        for _ in range(_ATTEMPTS):
            prepared = occasion.prepare()
            try:
                ear.listen(prepared.extent)
            except DiagnosticError:
                return "refused"
            if not ear.heard():
                occasion.happen(prepared)
                return "heard" if ear.heard() else "MISSED"
    except (NotFiredError, OSError) as error:
        return f"not to be done: {error}"
    return "not to be done: something else happens to the memory all the time"


class _Tables(Nothing):
    """A device that has to hear of forks, too."""

    need = Need.TRANSLATING


class Cached:
    """A registration cache on an address space with these monitors."""

    def __init__(self, mm: AddressSpace) -> None:
        everything = [operation.name for operation in OPERATIONS]
        self._mm = mm
        self._cache = RegistrationCache(mm, _Tables(), allow_uncovered=everything)
        self._held: Registration | None = None

    def listen(self, extent: Extent) -> None:
        """Register it, and hold it."""
        if self._held is not None:
            self._held.release()
            self._held = None
        span = extent.address, extent.length
        self._cache.invalidate(span)  # what was here before and nobody has told of
        self._held = self._cache.get(span)

    def heard(self) -> bool:
        """Tell whether a lookup would find it no more, when all that was reported is in."""
        assert self._held is not None
        extent = self._held.extent
        self._mm.space.settle()
        if self._mm.auditor is not None:
            self._mm.audit()
        kept = self._held.valid((extent.address, extent.length))
        return not (kept and all(one.unchanged(extent) for one in self._mm.validators))


_EARS: dict[str, Callable[[Path], Ear]] = {
    _UCX: ucx.Hooks,
    "default": lambda _: Cached(AddressSpace()),
    "validate": lambda _: Cached(AddressSpace(monitors=["validate"])),
    "kvm": lambda _: Cached(AddressSpace(monitors=[silent_auditor()])),
}
"""Who listens, and what makes him; the columns of the table."""
