"""Litmus tests: the same small programs on the model and on a real KVM guest."""

from mmunotify.litmus.case import Case, load, shipped
from mmunotify.litmus.row import Row, Verdict, run_case

__all__ = ["Case", "Row", "Verdict", "load", "run_case", "shipped"]
