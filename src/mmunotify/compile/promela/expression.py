"""Expressions over the state in which a step begins, as Promela text with the range of values.

Invariant: the text computes in C what the interpreter computes, for all values in the range.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmunotify.ir.ops import Op

__all__ = [
    "WIDEST",
    "Comparison",
    "Expression",
    "Unexportable",
    "binary",
    "constant",
    "plus",
    "select",
    "truth_of",
]

WIDEST = 20_000  # characters of one expression

_FAR = 2**31


class Unexportable(ValueError):
    """A program has a shape that the export does not know; the text says which and where."""


@dataclass(frozen=True)
class Expression:
    """A value: its text, and bounds that it certainly keeps.

    `test`: the value is the truth of that test. `root`: the value is `root` plus `more`.
    """

    text: str
    low: int
    high: int
    test: Comparison | None = None
    root: str = ""
    more: int = 0

    def __post_init__(self) -> None:
        if len(self.text) > WIDEST:
            raise Unexportable(f"an expression of more than {WIDEST} characters")

    @property
    def value(self) -> int | None:
        """The value, if it is known."""
        return self.low if self.low == self.high else None

    def truth(self) -> Comparison:
        """Return the test whether it is not zero."""
        return self.test if self.test is not None else Comparison("!=", self, constant(0))


@dataclass(frozen=True)
class Comparison:
    """A comparison of two values."""

    operator: str
    left: Expression
    right: Expression

    @property
    def text(self) -> str:
        """The comparison as Promela text."""
        return f"({self.left.text} {self.operator} {self.right.text})"

    def negated(self) -> Comparison:
        """Return the opposite test."""
        return Comparison(_OPPOSITE[self.operator], self.left, self.right)


_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", "<=": ">", ">": "<="}


def constant(value: int) -> Expression:
    """Return a known value."""
    text = str(value) if value >= 0 else f"({value})"
    return Expression(text, value, value)


def truth_of(test: Comparison) -> Expression:
    """Return the truth of a comparison, as 0 or 1."""
    return Expression(test.text, 0, 1, test)


def plus(value: Expression, more: int) -> Expression:
    """Return a value plus a constant."""
    if value.value is not None:
        return constant(value.value + more)
    root, more = value.root or value.text, value.more + more
    moved = more - value.more
    text = f"({root} {'-' if more < 0 else '+'} {abs(more)})" if more else root
    return Expression(text, value.low + moved, value.high + moved, None, root, more)


def select(test: Comparison, yes: Expression, no: Expression) -> Expression:
    """Return `yes` where the test holds, else `no`."""
    if yes.text == no.text:
        return yes
    if (yes.value, no.value) in ((1, 0), (0, 1)):
        return truth_of(test if yes.value else test.negated())
    low, high = min(yes.low, no.low), max(yes.high, no.high)
    root = yes.root or yes.text
    if root == (no.root or no.text):  # a sum of many conditions stays short
        text = f"({root} + ({test.text} -> {yes.more} : {no.more}))"
    else:
        text = f"({test.text} -> {yes.text} : {no.text})"
    return Expression(text, low, high)


def binary(op: Op, left: Expression, right: Expression) -> Expression:
    """Return the value of a binary operation; a division's divisor is known not to be zero."""
    if op in _COMPARISONS:
        return truth_of(Comparison(_COMPARISONS[op], left, right))
    if left.value is not None and right.value is not None:
        return constant(_ARITHMETIC[op](left.value, right.value))
    if op is Op.ADD and (left.value is not None or right.value is not None):
        return plus(right, left.low) if right.value is None else plus(left, right.low)
    low, high = _bounds(op, left, right)
    return Expression(_text(op, left.text, right.text), low, high)


_COMPARISONS = {Op.EQ: "==", Op.NE: "!=", Op.LT: "<", Op.LE: "<="}
_ARITHMETIC: dict[Op, Callable[[int, int], int]] = {
    Op.ADD: lambda x, y: x + y,
    Op.SUB: lambda x, y: x - y,
    Op.MUL: lambda x, y: x * y,
    Op.DIV: lambda x, y: x // y,
    Op.MOD: lambda x, y: x % y,
    Op.AND: lambda x, y: x & y,
    Op.OR: lambda x, y: x | y,
    Op.XOR: lambda x, y: x ^ y,
}
_SIGNS = {Op.ADD: "+", Op.SUB: "-", Op.MUL: "*", Op.AND: "&", Op.OR: "|", Op.XOR: "^"}
_MONOTONE = (Op.ADD, Op.SUB, Op.MUL)  # extremes lie where the operands have theirs


def _text(op: Op, x: str, y: str) -> str:
    if op in _SIGNS:
        return f"({x} {_SIGNS[op]} {y})"
    # C rounds towards zero and gives the rest the sign of `x`.
    rest = f"((({x} % {y}) + {y}) % {y})"
    return rest if op is Op.MOD else f"(({x} - {rest}) / {y})"


def _bounds(op: Op, x: Expression, y: Expression) -> tuple[int, int]:
    if op not in _MONOTONE:
        return -_FAR, _FAR
    corners = [_ARITHMETIC[op](a, b) for a in (x.low, x.high) for b in (y.low, y.high)]
    return min(corners), max(corners)
