"""Conformance: each operation of the mm on the running kernel, beside the model's sequence."""

from mmunotify.conform.case import Case
from mmunotify.conform.row import Row, Verdict, conform

__all__ = ["Case", "Row", "Verdict", "conform"]
