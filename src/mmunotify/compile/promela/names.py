"""How slots are called in Promela: cells are bytes `c[...]` above an offset, scratch is `x[...]`.

The cells of a thread's pc have no name: where a thread stands, Promela's own control points say.
"""

from __future__ import annotations

from mmunotify.compile.promela.expression import (
    Expression,
    Unexportable,
    constant,
    plus,
)
from mmunotify.ir.program import CellKind, Program

__all__ = ["Names"]

_FAR = 2**31


class Names:
    """The names of the slots of one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        kept = [n for n, cell in enumerate(program.cells) if cell.kind is not CellKind.PC]
        self.cells = {slot: position for position, slot in enumerate(kept)}
        self.offset = max(0, -min((program.cells[n].low for n in kept), default=0))

    @property
    def scratch(self) -> int:
        """The number of scratch slots."""
        return self.program.slots - len(self.program.cells)

    def is_scratch(self, slot: int) -> bool:
        """Tell whether a slot means nothing between steps."""
        return slot >= len(self.program.cells)

    def at_start(self, slot: int) -> Expression:
        """Return the value of a slot when a step begins."""
        if self.is_scratch(slot):
            return constant(0)
        cell = self.program.cells[slot]
        return self.now(slot, cell.low, cell.high)

    def now(self, slot: int, low: int, high: int) -> Expression:
        """Return the value of a slot, whose bounds are known."""
        return self._value(self._place(slot), low, high)

    def element_at_start(self, base: int, index: Expression, length: int) -> Expression:
        """Return the value of one cell of an array when a step begins."""
        cells = self.program.cells[base : base + length]
        low, high = min(cell.low for cell in cells), max(cell.high for cell in cells)
        return self._value(self._element(base, index, length), low, high)

    def element(self, base: int, index: Expression, length: int) -> Expression:
        """Return the value of one slot of an array; its bounds are not known."""
        return self._value(self._element(base, index, length), -_FAR, _FAR)

    def write(self, slot: int, value: Expression) -> str:
        """Return the statement that sets a slot."""
        return f"{self._place(slot)} = {self._stored(slot, value)}"

    def write_element(self, base: int, index: Expression, length: int, value: Expression) -> str:
        """Return the statement that sets an array at an index."""
        return f"{self._element(base, index, length)} = {self._stored(base, value)}"

    def _place(self, slot: int) -> str:
        if self.is_scratch(slot):
            return f"x[{slot - len(self.program.cells)}]"
        if slot not in self.cells:
            raise Unexportable(f"code that uses the pc cell {self.program.cells[slot].name}")
        return f"c[{self.cells[slot]}]"

    def _element(self, base: int, index: Expression, length: int) -> str:
        places = [self._place(base + n) for n in range(length)]
        first = int(places[0][2:-1])
        if places != [f"{places[0][0]}[{first + n}]" for n in range(length)]:
            raise Unexportable(f"an array over pc cells at {self.program.cells[base].name}")
        return f"{places[0][0]}[{first} + {index.text}]"

    def _value(self, place: str, low: int, high: int) -> Expression:
        if place[0] == "x":
            return Expression(place, low, high)
        offset = self.offset
        return plus(Expression(place, low + offset, high + offset), -offset)

    def _stored(self, slot: int, value: Expression) -> str:
        return value.text if self.is_scratch(slot) else plus(value, self.offset).text
