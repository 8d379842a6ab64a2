"""Every error and warning code, with the text that `mmunotify explain CODE` prints.

E1xx subset, E2xx types and world, E3xx what was asked for, E4xx machine, E5xx files, W2xx vacuity.
Invariant: a code never changes its meaning; a code no longer used is not given away again.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from mmunotify.codes.entry import Code
from mmunotify.codes.live import LIVE
from mmunotify.codes.machine import MACHINE
from mmunotify.codes.records import RECORDS
from mmunotify.codes.request import REQUEST
from mmunotify.codes.subset import SUBSET
from mmunotify.codes.tracing import TRACING
from mmunotify.codes.vacuity import VACUITY
from mmunotify.codes.world import WORLD

__all__ = ["CODES", "Code", "explain", "similar"]

CODES: Mapping[str, Code] = MappingProxyType(
    {
        code.code: code
        for code in (*SUBSET, *WORLD, *REQUEST, *TRACING, *MACHINE, *LIVE, *RECORDS, *VACUITY)
    }
)
"""All codes, in the order of their numbers."""


def explain(code: str) -> str:
    """Return the explanation of `code` ("E107" or "e107"); KeyError if there is none."""
    found = CODES[code.strip().upper()]
    paragraphs = [textwrap.fill(part, 80) for part in found.text.split("\n\n")]
    return (
        "\n\n".join(
            [
                f"{found.code}  {found.title}",
                *paragraphs,
                "wrong\n" + textwrap.indent(found.wrong, "    "),
                "right\n" + textwrap.indent(found.right, "    "),
            ]
        )
        + "\n"
    )


def similar(code: str) -> list[str]:
    """Return the codes that look most like `code`, for "did you mean"."""
    return get_close_matches(code.strip().upper(), CODES, n=3, cutoff=0.5)
