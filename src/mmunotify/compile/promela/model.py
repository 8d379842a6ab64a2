"""A program as a Promela model, for Spin: another checker's opinion on the same steps.

Every thread is a process, every boundary a control point, every step one `d_step`. States and
transitions are those of the unreduced search; a failure is an `assert(false)`, a deadlock an
invalid end state. Made for `spin -a -o1 -o2 -o3`, whose optimisations would merge states.

Invariant: what the model cannot say exactly is refused, and all of it is listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmunotify.compile.promela.expression import Unexportable
from mmunotify.compile.promela.joins import joins
from mmunotify.compile.promela.names import Names
from mmunotify.compile.promela.paths import Path, paths
from mmunotify.ir.program import Predicate, PredicateKind, Program, Thread

__all__ = ["promela"]


def promela(program: Program) -> str:
    """Return the Promela text of a program; raise `Unexportable` with all that cannot be said."""
    model = _Model(program)
    lines = [*model.head(), *model.cells()]
    for thread in program.threads:
        lines += ["", *model.process(thread)]
    lines += model.monitor()
    if model.refused:
        raise Unexportable("this program cannot be exported:\n" + "\n".join(model.refused))
    return "\n".join(lines) + "\n"


class _Model:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.names = Names(program)
        self.refused: list[str] = []
        # How many threads have not finished: only what is true at the end looks at that.
        self.counted = any(p.kind is PredicateKind.FINAL for p in program.predicates)

    def head(self) -> Iterator[str]:
        """Say what this is."""
        threads = ", ".join(thread.name for thread in self.program.threads)
        yield f"/* {_comment(threads)}: one d_step a step, spin -a -o1 -o2 -o3 */"

    def cells(self) -> Iterator[str]:
        """Declare the state and say which cell is where."""
        names, offset = self.names, self.names.offset
        yield f"/* a cell's value is c[n] - {offset} */" if offset else ""
        initial = [self.program.cells[slot].initial + offset for slot in names.cells]
        for slot, position in names.cells.items():
            cell = self.program.cells[slot]
            yield f"/* c[{position}]: {_comment(cell.name)}, {cell.low}..{cell.high} */"
        if initial:
            yield f"byte c[{len(initial)}] = {{ {', '.join(map(str, initial))} }};"
        if names.scratch:
            yield f"hidden int x[{names.scratch}];"
        if self.counted:
            yield f"byte unfinished = {sum(map(self._unfinished, self.program.threads))};"

    def _unfinished(self, thread: Thread) -> bool:
        return not thread.daemon and self._start(thread) != thread.done

    def _start(self, thread: Thread) -> int:
        cells = self.program.cells
        return cells[thread.pc].initial + 128 * cells[thread.pc + 1].initial

    # Threads ------------------------------------------------------------------------------------

    def process(self, thread: Thread) -> Iterator[str]:
        """Return the process of a thread: its boundaries as control points."""
        number = self.program.threads.index(thread)
        yield f"active proctype t{number}_{_identifier(thread.name)}() {{"
        seen, waiting = {self._start(thread)}, [self._start(thread)]
        while waiting:
            boundary = waiting.pop()
            ways = self._paths(thread, boundary)
            yield from self._point(thread, boundary, ways)
            for reached in [_reached(thread, way) for way in ways if way.boundary is not None]:
                if reached not in seen:
                    seen.add(reached)
                    waiting.append(reached)
        yield "}"

    def _paths(self, thread: Thread, boundary: int) -> list[Path]:
        if boundary == thread.done:
            return []
        try:
            return paths(self.program, self.names, thread.entries[boundary])
        except Unexportable as error:
            self.refused.append(f"  {thread.name}, boundary {boundary}: {error}")
            return []

    def _point(self, thread: Thread, boundary: int, ways: list[Path]) -> Iterator[str]:
        ends = thread.daemon or boundary == thread.done
        yield f"{_label(thread, boundary)}:"
        if not ways:
            yield f"    {_label(thread, boundary, ends=ends)}false;"
            return
        yield f"    {_label(thread, boundary, ends=ends)}if"
        for way in ways:
            yield from self._option(thread, boundary, way)
        yield "    fi;"

    def _option(self, thread: Thread, boundary: int, way: Path) -> Iterator[str]:
        guard = " && ".join(way.facts.clauses) or "true"
        body = "assert(false)"
        reached = boundary
        if way.failure is None:
            reached = _reached(thread, way)
            body = "; ".join([*way.statements(), *self._finishing(thread, reached)]) or "skip"
        else:
            yield f"    /* {_comment(self._failure(way.failure))} */"
        yield f"    :: d_step {{ {guard} -> {body} }} -> goto {_label(thread, reached)}"

    def _finishing(self, thread: Thread, reached: int) -> list[str]:
        counted = self.counted and reached == thread.done and not thread.daemon
        return ["unfinished--"] if counted else []

    def _failure(self, number: int) -> str:
        failures = self.program.failures
        if number >= len(failures):
            return f"failure {number}"
        return f"{failures[number].property}: {failures[number].template}"

    # Predicates ---------------------------------------------------------------------------------

    def monitor(self) -> list[str]:
        """Return a process that can move only where a predicate is violated."""
        options = [line for predicate in self.program.predicates for line in self._judge(predicate)]
        if not options:
            return []
        return ["", "active proctype monitor() {", "end:", "    do", *options, "    od", "}"]

    def _judge(self, predicate: Predicate) -> Iterator[str]:
        try:
            violated = [*self._violated(predicate)]
        except Unexportable as error:
            self.refused.append(f"  {predicate.kind} {predicate.name}: {error}")
            return
        for clauses in violated:
            if predicate.kind is PredicateKind.FINAL:
                daemons = any(thread.daemon for thread in self.program.threads)
                rest = ["timeout"] if daemons else []  # no daemon can move
                clauses = ["(unfinished == 0)", *rest, *clauses]
            yield f"    /* {predicate.kind} {_comment(predicate.name)} */"
            yield f"    :: d_step {{ {' && '.join(clauses) or 'true'} -> assert(false) }}"

    def _violated(self, predicate: Predicate) -> Iterator[list[str]]:
        ways = paths(
            self.program, self.names, predicate.entry, joins(self.program.code, predicate.entry)
        )
        for way in ways:
            clauses = [*way.facts.clauses]
            if way.failure is not None:
                yield clauses
            elif predicate.kind is not PredicateKind.REACHABLE:
                value = way.values.get(predicate.result, self.names.at_start(predicate.result))
                wrong = value.truth()
                if predicate.kind is not PredicateKind.NEVER:
                    wrong = wrong.negated()
                decided = way.facts.decide(wrong)
                if decided is not False:
                    yield clauses if decided else [*clauses, wrong.text]


def _reached(thread: Thread, way: Path) -> int:
    assert way.boundary is not None
    return thread.done if way.boundary < 0 else way.boundary


def _label(thread: Thread, boundary: int, *, ends: bool | None = None) -> str:
    """Return the name of a control point, or with `ends` what marks it as a valid end."""
    if ends is None:
        return f"B{boundary}" if boundary < thread.done else "done"
    return f"end{boundary}: " if ends else ""


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _comment(text: str) -> str:
    return text.replace("*/", "* /")
