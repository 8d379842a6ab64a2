"""The same states everywhere: engine, plain Python, Spin; and the same orbits by symmetry."""

from __future__ import annotations

from bench import engine, promela, spin
from bench.options import Options
from bench.protocol import coarse
from bench.reference.kvm_protocol import Protocol, explore
from bench.sizes import SIZES, Counted
from bench.table import Bar, Table

__all__ = ["measure"]

_MOST_IN_PYTHON = 100_000


def measure(options: Options) -> Table:
    """Count the states of every size with every checker."""
    table = Table(
        "counts",
        "states of the coarse protocol, no reduction; orbits under full symmetry",
        ("size", "known", "engine", "Spin", "Python", "orbits", "engine"),
    )
    for name, counted in SIZES.items():
        if not (options.quick and counted.states > 1_000_000):
            _add(table, name, counted)
    table.notes = ["known: Spin, Rumur, TLC and LTSmin agree; orbits: TLC and Rumur agree"]
    return table


def _add(table: Table, name: str, counted: Counted) -> None:
    program = engine.compiled(coarse(counted.size))
    found = {"engine": engine.run(program).found.states, "Spin": _by_spin(counted)}
    if counted.states <= _MOST_IN_PYTHON:
        found["Python"] = _by_python(counted)
    orbits = engine.symmetric(program).states if counted.orbits is not None else None
    table.row(
        f"{name}: {counted.text}",
        counted.states,
        found["engine"],
        found["Spin"],
        found.get("Python"),
        counted.orbits,
        orbits,
    )
    table.bars += [Bar(f"{name}, {who}", n, "==", counted.states) for who, n in found.items()]
    if counted.orbits is not None and orbits is not None:
        table.bars.append(Bar(f"{name}, orbits", orbits, "==", counted.orbits))


def _by_spin(counted: Counted) -> int:
    defines = promela.defines(counted.size)
    with spin.verifier(promela.COARSE, defines=defines, spin=("-o2",)) as verifier:
        return verifier.run("-w22").states


def _by_python(counted: Counted) -> int:
    s = counted.size
    protocol = Protocol(s.vcpus, s.invalidators, s.pages, s.frames, s.rounds, retry=s.retry)
    return explore(protocol).states
