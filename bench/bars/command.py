"""From typing the command to the report: one driver with one bug, as a user would run it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.options import Options
from bench.samples import Samples, clocked
from bench.table import Bar, Table

__all__ = ["measure"]

_ROOT = Path(__file__).parents[2]
_EXAMPLE = "examples/kvm_without_retry.py"
_VIOLATED = 1


@dataclass(frozen=True)
class _Command:
    wall: float
    own: float  # by its own clock: what was decided, without start and report
    engine: float
    status: int


def measure(options: Options) -> Table:
    """Run `mmunotify check` on the example until it exits."""
    table = Table(
        "command",
        f"mmunotify check {_EXAMPLE}, from start to exit",
        ("command", "exit", "wall", "check", "engine"),
    )
    runs = [_check() for _ in range(options.runs)]
    wall = Samples(tuple(run.wall for run in runs))
    engine = Samples(tuple(run.engine for run in runs))
    own = Samples(tuple(run.own for run in runs))
    start = Samples(tuple(clocked(_version)[1] for _ in range(options.runs)))
    table.row(f"mmunotify check {_EXAMPLE}", runs[0].status, wall.text, own.text, engine.text)
    table.row("mmunotify --version", 0, start.text, None, None)
    table.samples = {"check": list(wall.values), "version": list(start.values)}
    table.notes = [
        "check: compiling, searching, shortening and explaining, by its own clock",
        "engine: what the result says of its searches",
    ]
    table.bars = [
        Bar("exit, violated", runs[0].status, "==", _VIOLATED),
        Bar("seconds to the exit", wall.median, "<=", 1.0, " s"),
        Bar("of which in the engine", engine.median * 1000, "<=", 50, " ms"),
    ]
    return table


def _check() -> _Command:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        done, wall = clocked(lambda: _run("check", _EXAMPLE, "--json", str(path)))
        if not path.exists():
            raise RuntimeError(f"mmunotify check wrote no result:\n{done.stderr[-2000:]}")
        result = json.loads(path.read_bytes())
        return _Command(wall, result["seconds"], _engine_seconds(result), done.returncode)


def _version() -> None:
    _run("--version")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmunotify", *arguments]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)


def _engine_seconds(result: Any) -> float:
    """Return the sum of what the searches of all scenarios took."""
    return sum(float(scenario["statistics"]["seconds"]) for scenario in result["scenarios"])
