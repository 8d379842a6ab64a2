"""Code of one thread while it is being lowered: instructions on registers and addresses.

Invariant: outside `atomic()` at most one access to shared state follows a step mark before the
next one; what no other thread sees costs no step (marks are removed at layout).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from mmunotify.compile.types import Type
from mmunotify.compile.values import Address, Operand, Reg
from mmunotify.errors import Diagnostic
from mmunotify.ir.ops import Op

__all__ = ["Arg", "Emitter", "Item", "Label", "Message", "Note", "Noted", "literally"]


@dataclass(eq=False)
class Label:
    """A place in the code; `used` counts the jumps to it."""

    number: int
    used: int = 0


@dataclass(frozen=True)
class Message:
    """A failure: property and template, with the operands to show and how."""

    property: str
    template: str
    operands: tuple[Operand, ...] = ()
    types: tuple[Type, ...] = ()


def literally(text: str) -> str:
    """Return `text` as it has to stand in a template to be shown as it is."""
    return text.replace("{", "{{").replace("}", "}}")


class Noted(Enum):
    """What happens to a variable."""

    BOUND = auto()
    UNBOUND = auto()
    USED = auto()


@dataclass(frozen=True, eq=False)
class Note:
    """No instruction: what happens here to the variable `variable`.

    `error` makes what to say of a use that some way reaches without the variable being bound.
    """

    noted: Noted
    variable: int
    error: Callable[[], Diagnostic] | None = None


Arg = int | Reg | Address | Label | Message | tuple[int, ...]


@dataclass(eq=False, slots=True)
class Item:
    """One instruction (`op`), or a label (`label`), or a step mark (`op` STEP), or a note.

    `touched`: storages a step mark is for; `kept`: a mark that stays even if nobody else looks.
    `scopes`: the inlined calls a step mark is inside of (their named registers are alive).
    """

    op: Op | None
    args: tuple[Arg, ...] = ()
    location: int = -1
    label: Label | None = None
    touched: set[int] = field(default_factory=set)
    kept: bool = False
    scopes: frozenset[int] = frozenset()
    note: Note | None = None
    # What `flow` has found out about the arguments, which never change; None: not asked yet.
    reads: tuple[Reg, ...] | None = field(default=None, init=False)
    writes: tuple[Reg, ...] | None = field(default=None, init=False)


class Emitter:
    """Collects the items of one thread."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.items: list[Item] = []
        self.regs: list[Reg] = []
        self.location = -1
        self.atomic = 0
        self.mark: Item | None = None
        self.scopes: list[int] = []
        self.labels = 0
        self.loops: list[tuple[Label, Diagnostic]] = []  # heads of loops that need a step
        self.steps = 0
        self.dead = False  # the code being emitted cannot be reached

    def reg(self, kind: Type, name: str = "", scope: int = -1) -> Reg:
        """Return a new register."""
        reg = Reg(len(self.regs), kind, name, scope)
        self.regs.append(reg)
        return reg

    def new_label(self) -> Label:
        """Return a label that is not placed yet."""
        self.labels += 1
        return Label(self.labels)

    def place(self, label: Label) -> None:
        """Put `label` here; code after it can be reached if any jump goes there."""
        if label.used:
            self.dead = False
        self.items.append(Item(None, label=label))

    def emit(self, op: Op, *args: Arg) -> None:
        """Append an instruction at the current location, unless it cannot be reached."""
        if self.dead:
            return
        for arg in args:
            if isinstance(arg, Label):
                arg.used += 1
        self.items.append(Item(op, args, self.location))
        if op in (Op.JMP, Op.FAIL, Op.END):
            self.dead = True

    def note(
        self, noted: Noted, variable: int, error: Callable[[], Diagnostic] | None = None
    ) -> None:
        """Append a note, unless this place cannot be reached."""
        if not self.dead:
            self.items.append(Item(None, note=Note(noted, variable, error)))

    def stop(self) -> None:
        """What follows cannot be reached until the next label that is jumped to."""
        self.dead = True

    def step(self, kept: bool = False) -> None:
        """Mark the beginning of a step."""
        if self.dead:
            return
        self.steps += 1
        self.mark = Item(Op.STEP, (), self.location, kept=kept, scopes=frozenset(self.scopes))
        self.items.append(self.mark)

    def access(self, storage: int) -> None:
        """Announce an access to shared state: a step of its own unless inside `atomic()`."""
        if not self.atomic:
            self.step()
        if self.mark is not None:
            self.mark.touched.add(storage)

    @contextmanager
    def atomically(self) -> Iterator[None]:
        """Everything emitted inside belongs to one step."""
        if not self.atomic:
            self.step(kept=True)
        self.atomic += 1
        try:
            yield
        finally:
            self.atomic -= 1

    @contextmanager
    def atomic_depth(self, depth: int) -> Iterator[None]:
        """Emit code that runs at another atomic depth (the way out of a block)."""
        before, self.atomic = self.atomic, depth
        try:
            yield
        finally:
            self.atomic = before
