"""Write the golden reports again: `python -m tests.report.regenerate`. Read the diff afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.report.samples import SAMPLES

from mmunotify.report import render_commit, render_ktap, render_sarif, render_text

GOLDEN = Path(__file__).parents[1] / "golden" / "reports"
WIDTHS = (72, 80, 120)


def reports() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every golden report."""
    for name, make in SAMPLES.items():
        result = make()
        for width in WIDTHS:
            yield f"{name}-{width}.txt", render_text(result, width=width, page="page.html")
        if result.trace:
            yield f"{name}-commit.txt", render_commit(result)
    yield "long_trace-all-80.txt", render_text(SAMPLES["long_trace"](), all_steps=True)
    yield "nine_steps-box-120.txt", render_text(SAMPLES["nine_steps"](), width=120, unicode=True)
    results = [make() for make in SAMPLES.values()]
    yield "all.ktap", render_ktap(results)
    yield "all.sarif", render_sarif(results)


def main() -> None:
    """Write all of them, and remove what is no longer among them."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    written = dict(reports())
    for path in GOLDEN.iterdir():
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        (GOLDEN / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
