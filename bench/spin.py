"""Spin, the peer: models built and run in a temporary folder.

Invariant: the model is compiled as its manual says for speed, and every number comes from the
verifier's own output; nothing is estimated.
"""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "EXACT",
    "MissingToolError",
    "Verified",
    "Verifier",
    "compiler",
    "missing",
    "verifier",
    "version",
]

EXACT = ("-o1", "-o2", "-o3")
"""Options of `spin -a` that leave every state and every step as the model has it."""

_MEMORY_MEGABYTES = 12_000
_CUT_SHORT = ("max search depth too small", "reached -DMEMLIM bound", "out of memory")
_COMPILERS = ("gcc", "cc", "clang")


class MissingToolError(Exception):
    """This machine has no Spin, or no C compiler for what Spin generates."""


@dataclass(frozen=True)
class Verified:
    """What one run of a verifier has said.

    `seconds` is the verifier's own clock, in hundredths; `wall` is from start to exit, and `cpu`
    what it took of a processor. `bytes` is all the memory that it reports. `steps` is the length
    of the counterexample, 0 without one.
    """

    states: int
    transitions: int
    depth: int
    seconds: float
    wall: float
    cpu: float
    bytes: int
    assertion: bool
    deadlock: bool
    steps: int

    @property
    def violated(self) -> bool:
        """Whether it found an error."""
        return self.assertion or self.deadlock


@dataclass(frozen=True)
class Verifier:
    """A compiled verifier."""

    folder: Path
    trail: Path

    def run(self, *options: str) -> Verified:
        """Run it; raise `RuntimeError` unless it has searched everything or found an error."""
        began, before = time.perf_counter(), _children()
        output = _output([str(self.folder / "pan"), *options], self.folder)
        return _read(output, time.perf_counter() - began, _children() - before, self.trail)


def compiler() -> str | None:
    """Return the C compiler that is used, or None."""
    return next((name for name in _COMPILERS if shutil.which(name)), None)


def missing() -> str:
    """Return what is missing and how to get it, in one line; nothing if all is there."""
    if shutil.which("spin") is None:
        return "there is no Spin on this machine (Debian: apt-get install spin)"
    if compiler() is None:
        return "there is no C compiler on this machine (Debian: apt-get install gcc)"
    return ""


@contextmanager
def verifier(
    model: Path | str,
    *,
    defines: Mapping[str, int] | None = None,
    spin: Sequence[str] = (),
    cc: Sequence[str] = ("-O2", "-DNOREDUCE"),
) -> Iterator[Verifier]:
    """Build the verifier of a model, a file or its text, and remove it in the end.

    `defines` go to the model, `spin` to `spin -a`, `cc` to the compiler. Partial order reduction
    is on unless `cc` has `-DNOREDUCE`.
    """
    if lacking := missing():
        raise MissingToolError(lacking)
    source = model.read_text(encoding="utf-8") if isinstance(model, Path) else model
    with tempfile.TemporaryDirectory(prefix="bench-spin-") as name:
        folder = Path(name)
        (folder / "model.pml").write_text(source, encoding="utf-8")
        given = [f"-D{key}={value}" for key, value in (defines or {}).items()]
        _output(["spin", "-a", *spin, *given, "model.pml"], folder)
        bound = f"-DMEMLIM={_MEMORY_MEGABYTES}"
        always = ["-w", "-DSAFETY", "-DNOCLAIM", bound, "-o", "pan", "pan.c"]
        _output([compiler() or "cc", *cc, *always], folder)
        yield Verifier(folder, folder / "model.pml.trail")


def version() -> str:
    """Return what Spin calls itself."""
    return _output(["spin", "-V"], Path.cwd()).strip()


def _output(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{said}")
    return done.stdout


def _children() -> float:
    """Return the processor time of all commands run so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(output: str, wall: float, cpu: float, trail: Path) -> Verified:
    if "errors:" not in output or any(words in output for words in _CUT_SHORT):
        raise RuntimeError(f"the verifier did not come to an end:\n{output[-2000:]}")

    def number(pattern: str) -> float:
        found = re.search(pattern, output)
        return float(found[1]) if found else 0.0

    return Verified(
        states=int(number(r"(\d+) states, stored")),
        transitions=int(number(r"(\d+) transitions")),
        depth=int(number(r"depth reached (\d+)")),
        seconds=number(r"elapsed time ([\d.e+-]+) seconds"),
        wall=wall,
        cpu=cpu,
        bytes=int(number(r"([\d.]+)\s+total actual memory usage") * 2**20),
        assertion=re.search(r"pan:\d+: assertion violated", output) is not None,
        deadlock=re.search(r"pan:\d+: invalid end state", output) is not None,
        steps=_steps(trail),
    )


def _steps(trail: Path) -> int:
    """Return how many steps a trail has; its headers have negative numbers."""
    if not trail.exists():
        return 0
    lines = trail.read_text(encoding="ascii").splitlines()
    return sum(not line.startswith("-") for line in lines)
