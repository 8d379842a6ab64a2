"""The rows that a trace is shown as: each event one step, or a run of events as one.

Invariant: every report shows these rows and no others, so that a step has the same number, text
and changes in the terminal, in the page and in a commit message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmunotify.report.prose import clean, count
from mmunotify.trace.record import Change, Event, Line, Trace

__all__ = [
    "Step",
    "blocked_steps",
    "change_text",
    "collapsed",
    "driver_line",
    "has_many_steps",
    "is_same_file",
    "net_changes",
    "place_of",
    "step_rows",
]

_MANY_LANES = 4
_MANY_STEPS = 40
_LANGUAGE = "mmunotify/lang/"  # locks and counters; a reader looks for who uses them


@dataclass(frozen=True, slots=True)
class Step:
    """One row. `first` and `last` are the numbers of its events; a blocked lane has none (0)."""

    first: int
    last: int
    lane: int
    text: str
    place: str = ""
    changes: tuple[Change, ...] = ()
    in_slice: bool = False

    @property
    def number(self) -> str:
        """The number as printed: `6`, `12-17`, or `end` for a blocked lane."""
        if not self.first:
            return "end"
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @property
    def is_run(self) -> bool:
        """Whether the row stands for more than one event."""
        return self.first != self.last


def step_rows(trace: Trace, file: str, *, unicode: bool = True) -> list[Step]:
    """Return one step for each event. Lines of `file`, the driver, are named by number only."""
    return [_step(event, file, unicode) for event in trace.events]


def blocked_steps(trace: Trace, file: str, *, unicode: bool = True) -> list[Step]:
    """Return one step for each lane that waits for ever at the end."""
    return [
        Step(
            first=0,
            last=0,
            lane=blocked.lane,
            text=clean(_with_uses(blocked.text, blocked.uses), unicode=unicode),
            place=clean(place_of(blocked.where, file), unicode=unicode),
            in_slice=True,
        )
        for blocked in trace.blocked
    ]


def has_many_steps(trace: Trace) -> bool:
    """Whether a trace is shown with its runs collapsed unless all steps are asked for."""
    many = len(trace.header.lanes) > _MANY_LANES or len(trace.events) > _MANY_STEPS
    return many and any(event.slice for event in trace.events)


def collapsed(steps: list[Step], trace: Trace) -> list[Step]:
    """Return the steps with each run of one lane outside of the causal slice as one row.

    A step at which a window begins or ends stays, and so does the last step.
    """
    kept = {steps[-1].first} if steps else set()
    for window in trace.windows:
        kept |= {window.first, window.last}
    kept.add(trace.cycle)
    rows: list[Step] = []
    run: list[Step] = []
    for step in steps:
        belongs = not step.in_slice and step.first not in kept
        if run and (not belongs or step.lane != run[0].lane):
            rows += _as_one(run)
            run = []
        if belongs:
            run.append(step)
        else:
            rows.append(step)
    return rows + _as_one(run)


def change_text(change: Change, *, unicode: bool = True) -> str:
    """Return `pte: A -> none`, or `frame A: 1 -> 2 refs` where both values have the same noun."""
    before, noun = _amount(change.before)
    if noun and noun == _amount(change.after)[1]:
        return clean(f"{change.column}: {before} -> {change.after}", unicode=unicode)
    return clean(f"{change.column}: {change.before} -> {change.after}", unicode=unicode)


def place_of(where: list[Line], file: str) -> str:
    """Return `:38` for a line of the driver, else `unmap.py:31`, or "" if there is no line."""
    line = driver_line(where, file)
    if line is None:
        return ""
    name = "" if is_same_file(line.file, file) else line.file.rpartition("/")[2]
    return f"{name}:{line.line}"


def driver_line(where: list[Line], file: str) -> Line | None:
    """Return the line to show: the innermost of the driver, else of the operation."""
    inner = [line for line in where if is_same_file(line.file, file)]
    inner = inner or [line for line in where if _LANGUAGE not in line.file] or where
    return inner[-1] if inner else None


def _amount(value: str) -> tuple[str, str]:
    """Return `2` and `ref` for `2 refs`, else the value and no noun."""
    number, _, noun = value.partition(" ")
    return (number, noun.rstrip("s")) if number.isdigit() else (value, "")


def is_same_file(one: str, other: str) -> bool:
    """Whether two names mean one file; either may lack the folders that lead to it."""
    return one == other or (
        bool(one and other) and (one.endswith(f"/{other}") or other.endswith(f"/{one}"))
    )


def _step(event: Event, file: str, unicode: bool) -> Step:
    return Step(
        first=event.n,
        last=event.n,
        lane=event.lane,
        text=clean(_with_uses(event.text, event.uses), unicode=unicode),
        place=clean(place_of(event.where, file), unicode=unicode),
        changes=tuple(event.changes),
        in_slice=event.slice,
    )


def _with_uses(text: str, uses: list[int]) -> str:
    return f"{text} ({', '.join(map(str, uses))})" if uses else text


def _as_one(run: list[Step]) -> list[Step]:
    """Return a run as one row that says what it changed in the end."""
    if len(run) < 2:
        return list(run)
    first, last = run[0].first, run[-1].first
    text = f"... {count(len(run), 'step')} ({first}-{last})"
    changes = net_changes([change for step in run for change in step.changes])
    return [replace(run[0], last=last, text=text, place="", changes=tuple(changes))]


def net_changes(changes: list[Change]) -> list[Change]:
    """Return what is left of changes in a row; what returned to its first value is left out."""
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for change in changes:
        before.setdefault(change.column, change.before)
        after[change.column] = change.after
    return [
        Change(column=column, before=value, after=after[column])
        for column, value in before.items()
        if value != after[column]
    ]
