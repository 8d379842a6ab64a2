"""A plot as SVG: lines over two logarithmic axes, each named at its end.

Invariant: the same numbers give the same bytes; nothing is loaded from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmunotify.report.markup import Markup, element, joined

__all__ = ["Plot", "Series"]

_WIDTH, _HEIGHT = 680, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 136, 44, 48
_GAP = 16  # between two names
# Told apart by the colour-blind, and by the dashes in print.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "4 2")


@dataclass(frozen=True)
class Series:
    """One line: its name, and points (x, y) with x and y at least 1."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Plot:
    """Lines over logarithmic axes, to base 2 below and 10 at the side."""

    title: str
    x: str
    y: str
    series: Sequence[Series]

    def svg(self) -> str:
        """Return the plot as one SVG element."""
        lines = [self._line(number) for number in range(len(self.series))]
        return str(
            element(
                "svg",
                element("title", self.title),
                _text(_LEFT, 20, self.title, size="14", weight="bold"),
                *self._axes(),
                *lines,
                *self._names(),
                xmlns="http://www.w3.org/2000/svg",
                viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
                width=str(_WIDTH),
                height=str(_HEIGHT),
                role="img",
                font_family="sans-serif",
                font_size="12",
            )
        )

    # -- scales ---------------------------------------------------------------------------------

    @property
    def _most_x(self) -> float:
        return max(2.0, *(x for one in self.series for x, _ in one.points))

    @property
    def _most_y(self) -> float:
        return max(10.0, *(y for one in self.series for _, y in one.points))

    def _at_x(self, x: float) -> float:
        return _LEFT + math.log(x) / math.log(self._most_x) * (_WIDTH - _LEFT - _RIGHT)

    def _at_y(self, y: float) -> float:
        return _HEIGHT - _BOTTOM - math.log(y) / math.log(self._most_y) * (_HEIGHT - _TOP - _BOTTOM)

    # -- parts ----------------------------------------------------------------------------------

    def _axes(self) -> Iterator[Markup]:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        for tick in _powers(2, self._most_x, 9):
            yield _rule(self._at_x(tick), _TOP, self._at_x(tick), bottom)
            yield _text(self._at_x(tick), bottom + 16, f"{tick:,}", anchor="middle")
        for tick in _powers(10, self._most_y, 9):
            yield _rule(_LEFT, self._at_y(tick), right, self._at_y(tick))
            yield _text(_LEFT - 6, self._at_y(tick) + 4, f"{tick:,}", anchor="end")
        yield _text((_LEFT + right) / 2, _HEIGHT - 10, self.x, anchor="middle")
        yield _text(_LEFT, _TOP - 8, self.y)

    def _line(self, number: int) -> Markup:
        points = self.series[number].points
        return element(
            "polyline",
            points=" ".join(f"{self._at_x(x):.1f},{self._at_y(y):.1f}" for x, y in points),
            fill="none",
            stroke=_COLORS[number % len(_COLORS)],
            stroke_width="2.5",
            stroke_dasharray=_DASHES[number % len(_DASHES)],
        )

    def _names(self) -> Iterator[Markup]:
        """Name each line at its end, moved down where two would lie on each other."""
        ends = sorted((self._at_y(one.points[-1][1]), n) for n, one in enumerate(self.series))
        free = float(_TOP)
        for y, number in ends:
            at = max(y, free)
            free = at + _GAP
            color = _COLORS[number % len(_COLORS)]
            name = self.series[number].name
            yield _text(_WIDTH - _RIGHT + 8, at + 4, name, fill=color)


def _powers(base: int, most: float, marks: int) -> list[int]:
    """Return powers of `base` up to `most`, at most about `marks` of them."""
    top = int(math.log(most) / math.log(base) + 1e-9)
    return [base**k for k in range(0, top + 1, max(1, math.ceil((top + 1) / marks)))]


def _rule(x1: float, y1: float, x2: float, y2: float) -> Markup:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    shown = {key: f"{value:.1f}" for key, value in ends.items()}
    return element("line", **shown, stroke="#8884", stroke_width="1")


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "",
    size: str = "",
    weight: str = "",
    fill: str = "",
) -> Markup:
    return element(
        "text",
        joined([text]),
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        text_anchor=anchor,
        font_size=size,
        font_weight=weight,
        fill=fill or "currentColor",
    )
