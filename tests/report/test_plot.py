"""The plot: points where they belong, names that do not overlap, text that is escaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from mmunotify.report.plot import Plot, Series

PLOT = Plot(
    "a < b",
    "pages",
    "flushes",
    [
        Series("flat", [(1, 1), (16, 1), (256, 1)]),
        Series("also flat", [(1, 1), (256, 1)]),
        Series("one each", [(1, 1), (256, 256)]),
    ],
)


def test_is_xml() -> None:
    """It can be parsed, has a line a series, and says what it is."""
    root = ET.fromstring(PLOT.svg())
    name = {"s": "http://www.w3.org/2000/svg"}
    assert len(root.findall("s:polyline", name)) == 3
    title = root.find("s:title", name)
    assert title is not None
    assert title.text == "a < b"


def test_flat_is_flat() -> None:
    """A constant is a horizontal line, and what grows goes up: y is counted downwards."""
    lines = re.findall(r'points="([^"]*)"', PLOT.svg())
    heights = [[float(point.split(",")[1]) for point in line.split()] for line in lines]
    assert len(set(heights[0])) == 1
    assert heights[2][0] > heights[2][1]


def test_names_apart() -> None:
    """Two lines that end at the same place have names below each other."""
    root = ET.fromstring(PLOT.svg())
    texts = [one for one in root.iter() if one.tag.endswith("text")]
    at = [float(one.attrib["y"]) for one in texts if one.text in ("flat", "also flat")]
    assert abs(at[0] - at[1]) >= 12


def test_same_bytes() -> None:
    """The same numbers give the same plot."""
    assert PLOT.svg() == PLOT.svg()
