"""Reports: how the answer of a check is shown. They read trace records and nothing else."""

from mmunotify.report.commit import render_commit
from mmunotify.report.html import page_name, render_page, write_page
from mmunotify.report.ktap import render_ktap
from mmunotify.report.sarif import render_sarif
from mmunotify.report.text import render_text, render_trace

__all__ = [
    "page_name",
    "render_commit",
    "render_ktap",
    "render_page",
    "render_sarif",
    "render_text",
    "render_trace",
    "write_page",
]
