"""`Audit`: what the kernel did to watched memory, and who had told of it.

Invariant: every notification about watched memory is in a row once, or counted as lost or unjudged;
a finding is never inferred from what was lost.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mmunotify.live.guarantee import Guarantee

__all__ = ["Allowance", "Audit", "Fault", "Finding", "Happened", "print_finding"]


class Fault(Enum):
    """What is wrong."""

    BROKEN = "broken promise"
    """A monitor promises to report the operation, and no monitor did."""
    ALLOWED = "allowed, and happened"
    """A cache has it in `allow_uncovered`, and it happened to memory that the cache registers."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, eq=False)
class Allowance:
    """What the owner of a cache says that does not happen to its memory."""

    device: str
    operations: frozenset[str]


@dataclass(frozen=True)
class Finding:
    """One operation on watched memory that nobody told of, and somebody should have.

    `[start, end)` is what the kernel said, in bytes; `time` is in ns of CLOCK_MONOTONIC; `process`
    and `thread` did it; `stack` are the kernel's functions that led there, innermost first. `who`
    are the monitors that promise it, or the device of the cache that allows it.
    """

    fault: Fault
    operation: str
    start: int
    end: int
    time: int
    process: int
    thread: int
    who: tuple[str, ...]
    stack: tuple[str, ...]

    def __str__(self) -> str:
        where = f"{self.operation} of [{self.start:#x}, {self.end:#x}) by thread {self.thread}"
        who = ", ".join(self.who)
        if self.fault is Fault.BROKEN:
            return f"{where} at {self.time / 1e9:.6f} s: {who} promises it, and nobody reported it"
        return (
            f"{where} at {self.time / 1e9:.6f} s: {who} has it registered, "
            "and allow_uncovered says that this does not happen"
        )


@dataclass(frozen=True)
class Happened:
    """How often an operation happened to watched memory, in notifications of the kernel.

    `told` of them were reported, before or in time, `untold` not. `guarantee` is the best that the
    other monitors promise of it, `allowed` are the devices whose caches have it in
    `allow_uncovered`.
    """

    operation: str
    told: int
    untold: int
    guarantee: Guarantee
    allowed: tuple[str, ...]


@dataclass(frozen=True)
class Audit:
    """The result: `rows` by operation, and `findings`, the first ones in full and all counted.

    `lost`: notifications that the kernel had no room for; `unjudged`: those that came while reports
    were lost. Either makes the audit incomplete, and caches were told to forget everything.
    """

    rows: tuple[Happened, ...]
    findings: tuple[Finding, ...]
    found: int
    lost: int
    unjudged: int

    @property
    def complete(self) -> bool:
        """Whether nothing was lost."""
        return not (self.lost or self.unjudged)

    @property
    def clean(self) -> bool:
        """Whether everything was heard, and nothing is wrong."""
        return self.complete and not self.found

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterable[str]:
        yield f"{'operation':20} {'told':>8} {'untold':>8}  promised   allowed by"
        for row in self.rows:
            counts = f"{row.told:8,} {row.untold:8,}"
            line = f"{row.operation:20} {counts}  {row.guarantee!s:10} {', '.join(row.allowed)}"
            yield line.rstrip()
        if not self.complete:
            yield f"INCOMPLETE: {self.lost:,} notifications lost, {self.unjudged:,} not judged"
        for finding in self.findings:
            yield f"{str(finding.fault).upper()}: {finding}"
        if self.found > len(self.findings):
            yield f"and {self.found - len(self.findings):,} more"
        if self.clean:
            yield "nothing was missed"


def print_finding(finding: Finding) -> None:
    """Print a finding to standard error; never raise."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # None, full, closed
        sys.stderr.write(f"mmunotify: {finding.fault}: {finding}\n")
        sys.stderr.flush()
