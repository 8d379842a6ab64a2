"""Verdicts of whole scenarios, for tests: compile, reduce, search, and name what was violated."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mmunotify.check.scenario import Scenario, standard
from mmunotify.check.search import BrokenKind, Found, Search, Verdict
from mmunotify.check.world import World
from mmunotify.compile import compile_world
from mmunotify.compile.reduce import reduce
from mmunotify.ir.program import Program
from mmunotify.lang.driver import Driver

__all__ = ["HOLDS", "scenario", "verdict", "verdict_of"]

HOLDS = "holds"


def scenario(name: str, driver_class: type[Driver] = Driver) -> Scenario:
    """Return the standard scenario `name`."""
    return next(s for s in standard(driver_class) if s.name == name)


def verdict(driver_class: type[Driver], name: str) -> str:
    """Return "holds", or what the standard scenario `name` violates, as property: message."""
    return verdict_of(scenario(name, driver_class).build(driver_class))


def verdict_of(world: World, properties: Collection[str] | None = None) -> str:
    """Return "holds", or what the world violates, as property: message.

    `properties`: what is required of others is left out, but for what no program can go on
    after; None is all.
    """
    if properties is not None:
        world.finals = [final for final in world.finals if final[0] in properties]
    program = compile_world(world, properties=properties)
    found = Search(program, reduce(program)).run(max_states=3_000_000)
    if found.verdict is Verdict.VIOLATED:
        return _broken(program, found)
    assert found.verdict is Verdict.HOLDS, found.reason
    return HOLDS


def _broken(program: Program, found: Found) -> str:
    assert found.broken is not None
    if found.broken.kind is BrokenKind.DEADLOCK:
        return "no_deadlock: nobody can move"
    if found.broken.kind is BrokenKind.PREDICATE:
        return program.predicates[found.broken.number].name
    failure = program.failures[found.broken.number]
    return f"{failure.property}: {failure.template}"


def violated(driver_class: type[Driver], names: Iterable[str]) -> dict[str, str]:
    """Return what each of the named scenarios violates; those that hold are left out."""
    found = {name: verdict(driver_class, name) for name in names}
    return {name: text for name, text in found.items() if text != HOLDS}
