"""A program: the cells of a state, the threads' instructions, and the words to show them.

Invariant: everything the interpreter and the native core need is here; nothing refers to the
Python objects that the program was compiled from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mmunotify.ir.ops import Op

__all__ = [
    "Cell",
    "CellKind",
    "Failure",
    "Instr",
    "Location",
    "Predicate",
    "PredicateKind",
    "Program",
    "SymmetryKind",
    "Thread",
]


class CellKind(StrEnum):
    """Who can see a cell: every thread, one thread's locals, or a thread's pc."""

    SHARED = "shared"
    LOCAL = "local"
    PC = "pc"


@dataclass(frozen=True)
class Cell:
    """One slot of the stored state.

    Values lie in `low..high` (within -128..127). `names[value - low]` is how a value is shown;
    empty: as a number. A reference is the number of the object it denotes, -1 for None.
    `array` and `index` say which array the cell belongs to, for reports.
    """

    name: str
    low: int
    high: int
    initial: int
    kind: CellKind
    thread: int = -1
    names: tuple[str, ...] = ()
    array: str = ""
    index: int = -1

    def show(self, value: int) -> str:
        """Return the text that stands for `value` in a report."""
        return self.names[value - self.low] if self.names else str(value)


@dataclass(frozen=True)
class Location:
    """A place in source text; `parent` is the location of the call it was inlined at, or -1."""

    file: str
    line: int
    column: int
    end_column: int
    function: str
    text: str
    parent: int = -1


@dataclass(frozen=True)
class Instr:
    """One instruction; the meaning of `a` to `e` is in `ops.OPS`."""

    op: Op
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    location: int = -1

    @property
    def fields(self) -> tuple[int, int, int, int, int]:
        """The five operand fields."""
        return (self.a, self.b, self.c, self.d, self.e)


@dataclass(frozen=True)
class Failure:
    """What an assertion says when it fails.

    `template` is text with `{0}`, `{1}`...; `slots` are read at the moment of failure and shown
    through the name tables in `names` (empty tuple: as numbers, else index `value - low`).
    """

    property: str
    template: str
    slots: tuple[int, ...] = ()
    lows: tuple[int, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()
    location: int = -1


@dataclass(frozen=True)
class Thread:
    """One thread.

    `entries[k]` is the instruction a step starts at when the pc is boundary `k`; `entries[0]` is
    the start. The pc is `slot[pc] + 128 * slot[pc + 1]`. Boundary `done` (== len(entries)) means
    the thread has finished. A `daemon` may be unfinished when the others are done; FINAL predicates
    are asked in states in which no daemon can move either.
    """

    name: str
    entries: tuple[int, ...]
    pc: int
    daemon: bool = False
    role: str = ""

    @property
    def done(self) -> int:
        """The boundary number that means finished."""
        return len(self.entries)


class PredicateKind(StrEnum):
    """When a predicate is evaluated and what its value means."""

    ALWAYS = "always"  # must be true in every stored state
    NEVER = "never"  # must be false in every stored state
    REACHABLE = "reachable"  # must be true in some state
    FINAL = "final"  # must be true in every state in which all threads are done
    PENDING = "pending"  # must not stay true for ever


@dataclass(frozen=True)
class Predicate:
    """Code outside of any thread that reads a state; its value is `slot[result]` at `END`."""

    name: str
    kind: PredicateKind
    entry: int
    result: int
    failure: int


@dataclass(frozen=True)
class SymmetryKind:
    """A set of `size` things that may be interchangeable (frames, pages, like threads).

    `columns[i]` are the cells that belong to element `i`, position by position the same thing for
    every `i`. `values[label][i]` is the value by which a slot labelled `label` denotes element
    `i`. `threads[i]` is the number of the thread that is element `i`; empty when the elements are
    no threads. A candidate only: `compile.reduce` proves it on the code before it is used.
    """

    name: str
    size: int
    columns: tuple[tuple[int, ...], ...]
    values: tuple[tuple[str, tuple[int, ...]], ...]
    threads: tuple[int, ...] = ()


@dataclass(frozen=True)
class Program:
    """A closed, finite program: the input of the interpreter and of the native core.

    `cells[0:]` are the stored slots; slots `len(cells) .. slots-1` are scratch, meaningless at
    the start of a step. `epochs[e]` are the slots (stored or scratch) that hold snapshots of
    epoch `e`: 0 nothing, 1 fresh, 2 stale. `labels[slot]` names the family of things that the
    values of a slot denote ("" for plain numbers); one slot has one label for its whole life.
    """

    cells: tuple[Cell, ...]
    slots: int
    code: tuple[Instr, ...]
    threads: tuple[Thread, ...]
    failures: tuple[Failure, ...] = ()
    predicates: tuple[Predicate, ...] = ()
    table: tuple[int, ...] = ()
    epochs: tuple[tuple[int, ...], ...] = ()
    covers: tuple[tuple[int, ...], ...] = ()  # locations of each COVER
    locations: tuple[Location, ...] = ()
    started: tuple[int, ...] = ()  # covers of what threads do by themselves before they step
    labels: tuple[str, ...] = ()
    symmetry: tuple[SymmetryKind, ...] = ()

    @property
    def initial(self) -> tuple[int, ...]:
        """The initial state: one value a cell."""
        return tuple(cell.initial for cell in self.cells)
