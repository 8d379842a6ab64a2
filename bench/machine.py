"""The machine and the programs that were measured, for the head of every report."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from bench import spin

from mmunotify.terms import VERSION

__all__ = ["describe"]


def describe() -> dict[str, str]:
    """Return what a figure depends on, by name."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory()} GiB",
        "load": f"{os.getloadavg()[0]:.2f} in the last minute",
        "kernel": f"{platform.system()} {platform.release()}",
        "compiler": _compiler(),
        "Python": platform.python_version(),
        "mmunotify": VERSION,
    }


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def _memory() -> int:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) / 2**20)
    return 0


def _compiler() -> str:
    command = spin.compiler()
    if command is None:
        return "none"
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    return said.stdout.partition("\n")[0]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
