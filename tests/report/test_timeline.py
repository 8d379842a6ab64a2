"""A trace of the kernel as a page."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.report.chromium import MISSING, executable
from tests.report.kernel_sample import ANONYMOUS, PAGE, notified, sample

from mmunotify.report.timeline import LIMIT, render_timeline, write_timeline
from mmunotify.trace.record import Trace


def data(page: str) -> dict[str, object]:
    """What the page's script draws."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    decoded: dict[str, object] = json.loads(found[1])
    return decoded


def test_cells_and_bands() -> None:
    """Every area is a band; every notification is in a cell of its cause."""
    drawn = data(render_timeline(sample()))
    bands = drawn["bands"]
    assert isinstance(bands, list)
    assert [band["name"] for band in bands] == [
        "[heap]",
        "30000000-30400000",
        "/usr/lib/libc.so.6",
    ]
    cells = drawn["cells"]
    assert isinstance(cells, list)
    assert sum(cell[5] for cell in cells) == len(sample().notified)
    assert drawn["causes"] == ["COW", "madvise", "munmap", "DAMON"]


def test_text_is_escaped_and_nothing_is_fetched() -> None:
    """Names cannot become elements; the page needs no network."""
    page = render_timeline(sample())
    assert "python <train>" not in page
    assert "python &lt;train&gt;.py" in page
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_same_trace_same_bytes(tmp_path: Path) -> None:
    """A page has nothing of the moment in it."""
    write_timeline(tmp_path / "page.html", sample())
    assert (tmp_path / "page.html").read_text() == render_timeline(sample())


def test_large_trace_stays_below_the_limit() -> None:
    """Thirty thousand notifications still make a page that opens."""
    many = [
        notified(n % 1000, ANONYMOUS + n * 7919 % 1024 * PAGE, 1, f"cause {n % 7}")
        for n in range(30_000)
    ]
    trace = sample()
    page = render_timeline(
        Trace(header=trace.header, notified=many, mappings=trace.mappings, activity=trace.activity)
    )
    assert len(page.encode()) <= LIMIT


def test_loss_is_told() -> None:
    """Above the picture."""
    assert "5 events lost" in render_timeline(sample(lost=5))


def test_in_a_browser(tmp_path: Path) -> None:
    """The script runs and draws: the legend has every cause."""
    chromium = executable()
    if chromium is None:
        pytest.skip(MISSING)
    write_timeline(tmp_path / "page.html", sample())
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    run = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}/profile", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    legend = re.search(r'<span id="legend">(.*?)</button></span>', run.stdout, re.S)
    assert legend
    assert re.findall(r"</span>([^<]+)", legend[1]) == ["COW", "madvise", "munmap", "DAMON"]
    assert re.search(r'<canvas[^>]*height="[1-9]\d\d', run.stdout)
