"""The figure of the pages is what the command counts now."""

from __future__ import annotations

from docs.generate import FIGURE, cost_figure


def test_figure() -> None:
    """docs/cost.svg is current; `make docs` writes it anew."""
    assert FIGURE.read_text() == cost_figure()
