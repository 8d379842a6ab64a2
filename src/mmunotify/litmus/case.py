"""`Case`: one litmus test, read from a small TOML file.

    title   = "a read after MADV_DONTNEED has returned"
    init    = "x = 1"                          # pages x and y; other names are flags, 0 at first
    host    = ["madvise_dontneed x; f = 1"]    # threads of the process, statements in order
    guest   = ["r0 = f; r1 = x"]               # virtual CPUs
    exists  = "r0 = 1 and r1 = 1"              # after all threads are done
    model   = "Never"                          # what the model has been found to say

Statements: `x = 2` writes, `r0 = x` reads, `r0 = write x 2` writes and tells in r0 whether that was
permitted (2, or refused), `OPERATION x` is an operation of `mmunotify.primary`, `r0 = age x` asks
all subscribers whether x was used and has them forget it (1 or 0). `backing` is
"anonymous" or "shared" (a file that is mapped shared); `prepared` is "child" (a child shares x
copy-on-write) or "merged" (ksmd has merged x); `touched = false`: the guest has no translation yet.
Invariant: a `Case` that exists can be run, on the model and on the machine.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.primary import OPERATIONS
from mmunotify.terms import nearest

__all__ = ["PAGES", "REFUSED", "Case", "Outcome", "Statement", "load", "shipped"]

PAGES: Final = ("x", "y")
REFUSED: Final = 9
"""What a register holds after an access that was not permitted, and at the beginning."""

Outcome = tuple[int, ...]
"""The values of the registers, in the order of their names."""

_KEYS: Final = frozenset(
    ("title", "init", "host", "guest", "exists", "model", "backing", "prepared", "touched")
)
_BACKING: Final = ("anonymous", "shared")
_PREPARED: Final = ("", "child", "merged")
_NAME: Final = r"[a-z]\w*"
_WRITE: Final = re.compile(rf"({_NAME})\s*=\s*(\d)$")
_READ: Final = re.compile(rf"(r\d)\s*=\s*({_NAME})$")
_TRY: Final = re.compile(rf"(r\d)\s*=\s*write\s+({_NAME})\s+(\d)$")
_AGE: Final = re.compile(r"(r\d)\s*=\s*age\s+([xy])$")
_OPERATION: Final = re.compile(rf"({_NAME})\s+([xy])$")
_CONDITION: Final = re.compile(r"(r\d)\s*(!?=)\s*(\d|refused)$")


@dataclass(frozen=True, slots=True)
class Statement:
    """`kind` is "read", "write", "age" or "operation", `place` a page or flag."""

    kind: str
    place: str
    value: int = 0
    register: str = ""
    name: str = ""


@dataclass(frozen=True)
class Case:
    """One litmus test."""

    name: str
    title: str
    init: Mapping[str, int]
    host: tuple[tuple[Statement, ...], ...]
    guest: tuple[tuple[Statement, ...], ...]
    exists: tuple[tuple[str, bool, int], ...]
    model: str
    backing: str = "anonymous"
    prepared: str = ""
    touched: bool = True

    @property
    def registers(self) -> list[str]:
        """The registers by name."""
        return sorted({s.register for s in self.statements() if s.register})

    @property
    def flags(self) -> list[str]:
        """What is written and read beside the pages."""
        return sorted({s.place for s in self.statements()} - set(PAGES))

    @property
    def values(self) -> list[int]:
        """What a register may hold, as far as the case says."""
        written = {s.value for s in self.statements() if s.kind == "write"}
        aged = {1} if any(s.kind == "age" for s in self.statements()) else set()
        return sorted({0, REFUSED, *written, *aged, *self.init.values()})

    def statements(self) -> Iterator[Statement]:
        """All statements of all threads."""
        for thread in (*self.host, *self.guest):
            yield from thread

    def satisfied(self, outcome: Outcome) -> bool:
        """Tell whether the condition holds for the values of the registers."""
        found = dict(zip(self.registers, outcome, strict=True))
        return all((found[name] == value) is equal for name, equal, value in self.exists)

    def shown(self, outcome: Outcome) -> str:
        """An outcome for a reader."""
        pairs = zip(self.registers, outcome, strict=True)
        return " ".join(f"{name}={'refused' if v == REFUSED else v}" for name, v in pairs)


def shipped() -> dict[str, Case]:
    """The cases that come with mmunotify, by name."""
    folder = resources.files("mmunotify.litmus").joinpath("cases")
    found = {}
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            name = file.name.removesuffix(".toml")
            found[name] = _case(name, file.read_text(encoding="utf-8"), file.name)
    return found


def load(path: str | Path) -> Case:
    """Read a case from a file; raise `DiagnosticError` E325 or E326."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DiagnosticError(Diagnostic("E325", None, f"{path} cannot be read: {error}")) from None
    return _case(file.stem, text, str(path))


def _case(name: str, text: str, file: str) -> Case:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(file, f"it is not TOML: {error}") from None
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        close = nearest(unknown[0], _KEYS)
        raise _wrong(
            file, f"there is no key {unknown[0]}", f"did you mean {close}?" if close else ""
        )
    missing = [key for key in ("init", "host", "guest", "exists") if key not in table]
    if missing:
        raise _wrong(file, f"it has no {missing[0]}")
    for key, known in (("backing", _BACKING), ("prepared", _PREPARED)):
        if table.get(key, known[0]) not in known:
            raise _wrong(file, f"{key} is one of {', '.join(filter(None, known))}")
    case = Case(
        name=name,
        title=str(table.get("title", name)),
        init=_init(str(table["init"]), file),
        host=_threads(table["host"], file, guest=False),
        guest=_threads(table["guest"], file, guest=True),
        exists=_condition(str(table["exists"]), file),
        model=str(table.get("model", "")),
        backing=str(table.get("backing", "anonymous")),
        prepared=str(table.get("prepared", "")),
        touched=bool(table.get("touched", True)),
    )
    return _sound(case, file)


def _sound(case: Case, file: str) -> Case:
    registers = [s.register for s in case.statements() if s.register]
    if len(registers) != len(set(registers)):
        raise _wrong(file, "a register is written twice")
    unknown = sorted({name for name, _, _ in case.exists} - set(registers))
    if unknown:
        raise _wrong(file, f"the condition reads {unknown[0]}, which no thread writes")
    return case


def _init(text: str, file: str) -> dict[str, int]:
    found = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        match = _WRITE.match(part)
        if not match or match[1] not in PAGES:
            raise _wrong(file, f"init: {part} is not of the form x = 1, with x or y")
        found[match[1]] = int(match[2])
    return found


def _threads(table: Any, file: str, *, guest: bool) -> tuple[tuple[Statement, ...], ...]:
    if not isinstance(table, list) or not all(isinstance(one, str) for one in table):
        raise _wrong(file, "host and guest are lists of threads, each a text")
    return tuple(
        tuple(
            _statement(part.strip(), file, guest=guest)
            for part in thread.split(";")
            if part.strip()
        )
        for thread in table
    )


def _statement(text: str, file: str, *, guest: bool) -> Statement:
    if match := _TRY.match(text):
        return Statement("write", match[2], int(match[3]), register=match[1])
    if match := _WRITE.match(text):
        return Statement("write", match[1], int(match[2]))
    if match := _READ.match(text):
        return Statement("read", match[2], register=match[1])
    match = _AGE.match(text)
    if match and not guest:
        return Statement("age", match[2], register=match[1])
    match = _OPERATION.match(text)
    if match and not guest:
        if match[1] not in OPERATIONS:
            close = nearest(match[1], OPERATIONS)
            fix = f"did you mean {close}?" if close else ""
            raise _wrong(file, f"there is no operation {match[1]}", fix)
        return Statement("operation", match[2], name=match[1])
    raise _wrong(file, f"{text} is no statement of a {'guest' if guest else 'host'} thread")


def _condition(text: str, file: str) -> tuple[tuple[str, bool, int], ...]:
    found = []
    for part in text.split(" and "):
        match = _CONDITION.match(part.strip())
        if not match:
            raise _wrong(file, f"exists: {part.strip()} is not of the form r0 = 1 or r0 != refused")
        value = REFUSED if match[3] == "refused" else int(match[3])
        found.append((match[1], match[2] == "=", value))
    return tuple(found)


def _wrong(file: str, what: str, fix: str = "") -> DiagnosticError:
    return DiagnosticError(Diagnostic("E326", None, f"{file}: {what}", fix=fix))
