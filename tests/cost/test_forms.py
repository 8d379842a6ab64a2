"""What each form of invalidation costs, exactly."""

from __future__ import annotations

import math

import pytest

from mmunotify.cost import FORMS, Cost
from mmunotify.cost.forms import CAPACITY, SUBSCRIBERS

BY_NAME = {form.name: form for form in FORMS}
SIZES = (1, 2, CAPACITY - 1, CAPACITY, CAPACITY + 1, 1000)


@pytest.mark.parametrize("pages", SIZES)
def test_start_end(pages: int) -> None:
    """One flush for any number of translations (claim 17)."""
    expected = Cost(flushes=1, locks=2, callbacks=2, refills=0)
    assert BY_NAME["start_end"].measure(pages) == expected


@pytest.mark.parametrize("pages", SIZES)
def test_end_only(pages: int) -> None:
    """A flush each time that the array is full, and one for the rest (claim 18)."""
    times = math.ceil(pages / CAPACITY)
    expected = Cost(flushes=times, locks=1, callbacks=1, refills=times)
    assert BY_NAME["end_only"].measure(pages) == expected


@pytest.mark.parametrize("pages", SIZES)
def test_by_page(pages: int) -> None:
    """Everything once for each page."""
    expected = Cost(flushes=pages, locks=2 * pages, callbacks=2 * pages, refills=0)
    assert BY_NAME["by_page"].measure(pages) == expected


@pytest.mark.parametrize("count", SUBSCRIBERS)
@pytest.mark.parametrize("pages", [1, 1000])
def test_interval(count: int, pages: int) -> None:
    """Everything once for each subscriber, whatever the number of pages; no end is called."""
    expected = Cost(flushes=count, locks=count, callbacks=count, refills=0)
    assert BY_NAME[f"interval_{count}"].measure(pages) == expected
