"""The table of a conformance run, as text and as the page docs/conformance.md.

Invariant: what is written is what was recorded; nothing of it is kept from an earlier run.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from mmunotify.conform.row import Row, Verdict

__all__ = ["BAR", "conformance_page", "row_lines", "totals"]

BAR = "\\|"
"""A bar within a cell of a table."""

_HEAD = """\
# Conformance

What the running kernel tells a secondary MMU, operation by operation, beside what the model tells
for the same operation. Written by `mmunotify conform --markdown docs/conformance.md`; the kernel
was {kernel}.

Each operation was performed on real memory of a process with KVM's notifier on it, and the kernel's
list was recorded from the tracepoints `kvm_unmap_hva_range` and `kvm_age_hva`. The model's list
comes from running the operation of `mmunotify.primary` with a driver that writes down what it is
told. Both are lists of sections in their order; pages are numbered as on the real memory: 4 is the
page that the operation is about, 8 another one. The tracepoints fire when a section begins; they
show neither its end nor `release`.

- **agree**: the lists are the same.
- **kernel finer**: the kernel says all that the model says, in its order, in more calls or for more
  pages. A driver proved in the model meets nothing new: it may be told more often than it expects.
- **differs**: one of them says something else. The reason is below.
- **not modelled**: the model has no such operation; what the kernel said is recorded.

{totals}

| operation | call | model | kernel | verdict |
|---|---|---|---|---|
"""


def row_lines(row: Row, width: int) -> list[str]:
    """Return one row for a terminal: the verdict and name, the two lists, the reason."""
    mark = "  <- not understood" if row.surprising else ""
    lines = [f"{row.verdict:<14}{row.name}{mark}"]
    if row.verdict is Verdict.SKIPPED:
        return lines + _wrapped(row.because, width)
    if row.verdict is not Verdict.AGREE:
        model = row.model or "has no such operation"
        lines += _wrapped(f"model   {model}", width) + _wrapped(f"kernel  {row.kernel}", width)
        lines += _wrapped(row.because, width)
    return lines


def totals(rows: Sequence[Row]) -> str:
    """Return how many rows have which verdict."""
    found = Counter(row.verdict for row in rows)
    parts = [f"{found[verdict]} {verdict}" for verdict in Verdict if found[verdict]]
    return f"{len(rows)} operations: {', '.join(parts)}"


def conformance_page(rows: Sequence[Row], kernel: str) -> str:
    """Return docs/conformance.md."""
    parts = [_HEAD.format(kernel=kernel, totals=totals(rows) + ".")]
    for row in rows:
        cells = (row.name, f"`{row.call}`", row.model or "-", row.kernel or "-", f"{row.verdict}")
        # A bar would end the cell, even within code.
        parts.append(f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |\n")
    explained = [row for row in rows if row.because]
    if explained:
        parts.append("\n## Why\n\n")
        for row in explained:
            text = f"- **{row.name}** ({row.verdict}): {row.because}."
            parts.append("\n".join(textwrap.wrap(text, 100, subsequent_indent="  ")) + "\n")
    return "".join(parts)


def _wrapped(text: str, width: int) -> list[str]:
    indent = " " * 14
    hanging = indent + (" " * 8 if text.startswith(("model ", "kernel ")) else "")
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=hanging)
