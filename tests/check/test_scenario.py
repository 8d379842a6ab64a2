"""Standard scenarios: their names, their sizes, and that the same scenario is the same world."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from tests.check.verdicts import HOLDS, verdict, verdict_of

from mmunotify.check.plain import Ending, PlainRun
from mmunotify.check.scenario import Membership, Scenario, standard
from mmunotify.compile import compile_world
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.driver import Driver
from mmunotify.primary import OPERATIONS

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> type[Driver]:
    """Return the driver in examples/`name`.py."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return next(
        found
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Driver) and found.__module__ == name
    )


def test_names_are_unique_and_begin_with_the_simplest() -> None:
    names = [scenario.name for scenario in standard(Kvm)]
    assert len(set(names)) == len(names)
    assert names[0] == "munmap"
    assert {"munmap/2 devices", "munmap/register", "punch_hole+exit", "cow+fork"} <= set(names)
    assert set(names) <= {scenario.name for scenario in standard(Kvm, all_pairs=True)}


def test_every_operation_that_changes_the_page_table_is_there() -> None:
    used = {name for scenario in standard(Kvm) for name in scenario.operations}
    assert used == OPERATIONS.keys() - {"cpu_access", "other_owner"}


@pytest.mark.parametrize("beside", ["cpu_access", "other_owner"])
def test_the_others_can_be_added(beside: str) -> None:
    scenario = Scenario("more", ("madvise_dontneed", beside), pages=1, frames=2)
    assert verdict_of(scenario.build(Kvm)) == HOLDS


def test_drivers_without_aging_need_no_second_one_for_it() -> None:
    assert "reclaim/2 drivers" not in {scenario.name for scenario in standard(Driver)}


def test_the_same_scenario_is_the_same_program() -> None:
    scenario = standard(Kvm)[0]
    assert compile_world(scenario.build(Kvm)) == compile_world(scenario.build(Kvm))


def test_overrides() -> None:
    world = standard(Kvm)[0].build(Kvm, {"pages": 1, "frames": 2, "devices": 2})
    assert len(world.mm.pages) == 1
    assert [thread.name for thread in world.threads] == ["munmap", "device0", "device1"]


def test_membership() -> None:
    late = Scenario("late", ("munmap",), membership=Membership(registers=True)).build(Kvm)
    assert not late.mm.notifiers.subscribed(late.drivers[0])
    leaving = Scenario("leaving", ("munmap",), membership=Membership(unregisters=True)).build(Kvm)
    assert [thread.role for thread in leaving.threads] == ["munmap", "device", "unregister"]


def test_the_smallest_example_holds() -> None:
    minimal = example("minimal")
    for name in ("munmap", "mprotect", "cow", "exit", "punch_hole/register"):
        assert verdict(minimal, name) == HOLDS


@pytest.mark.long
@pytest.mark.parametrize("name", [scenario.name for scenario in standard(Driver)])
def test_the_smallest_example_holds_everywhere(name: str) -> None:
    assert verdict(example("minimal"), name) == HOLDS


@pytest.mark.parametrize("name", ["munmap", "reclaim", "cow", "munmap/register"])
def test_kvm_without_its_retry_is_found(name: str) -> None:
    assert verdict(example("kvm_without_retry"), name).startswith("no_stale_translation")


def test_random_plain_runs_find_it_too() -> None:
    broken = example("kvm_without_retry")
    scenario = standard(broken)[0]
    endings = {PlainRun(scenario.build(broken)).random_run(seed).ending for seed in range(200)}
    assert endings == {Ending.DONE, Ending.VIOLATION}
