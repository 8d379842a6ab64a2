"""What a path through a step has found out about the state in which the step began.

Invariant: `decide` says true or false only where every state that satisfies the clauses does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mmunotify.compile.promela.expression import Comparison, Expression

__all__ = ["Facts"]


@dataclass
class Facts:
    """The conditions taken so far, in order, and what they say about the values compared."""

    clauses: tuple[str, ...] = ()
    bounds: dict[str, tuple[int, int]] = field(default_factory=dict)

    def fork(self) -> Facts:
        """Return a copy that goes its own way."""
        return Facts(self.clauses, dict(self.bounds))

    def decide(self, test: Comparison) -> bool | None:
        """Return whether the test holds, or None if it may or may not."""
        if test.text in self.clauses:
            return True
        if test.negated().text in self.clauses:
            return False
        (a, b), (c, d) = self._of(test.left), self._of(test.right)
        same = test.left.text == test.right.text
        match test.operator:
            case "==":
                return _three(same or a == b == c == d, b < c or d < a)
            case "!=":
                return _three(b < c or d < a, same or a == b == c == d)
            case "<":
                return _three(b < c, same or d <= a)
            case "<=":
                return _three(same or b <= c, d < a)
            case ">":
                return _three(d < a, same or b <= c)
            case _:
                return _three(same or d <= a, b < c)

    def assume(self, test: Comparison) -> None:
        """Note that the test holds, which `decide` left open."""
        self.clauses += (test.text,)
        self._narrow(test)

    def _of(self, value: Expression) -> tuple[int, int]:
        low, high = self.bounds.get(value.text, (value.low, value.high))
        return max(low, value.low), min(high, value.high)

    def _narrow(self, test: Comparison) -> None:
        left, right = test.left, test.right
        (a, b), (c, d) = self._of(left), self._of(right)
        match test.operator:
            case "==":
                self._set(left, c, d)
                self._set(right, a, b)
            case "!=":
                self._leave_out(left, c, d)
                self._leave_out(right, a, b)
            case "<":
                self._set(left, a, d - 1)
                self._set(right, a + 1, d)
            case "<=":
                self._set(left, a, d)
                self._set(right, a, d)
            case ">":
                self._set(left, c + 1, b)
                self._set(right, c, b - 1)
            case _:
                self._set(left, c, b)
                self._set(right, c, b)

    def _set(self, value: Expression, low: int, high: int) -> None:
        a, b = self._of(value)
        self.bounds[value.text] = (max(a, low), min(b, high))

    def _leave_out(self, value: Expression, low: int, high: int) -> None:
        """Cut one known value off the end of a range."""
        a, b = self._of(value)
        if low == high:
            self.bounds[value.text] = (a + (a == low), b - (b == low))


def _three(yes: bool, no: bool) -> bool | None:
    if yes:
        return True
    return False if no else None
