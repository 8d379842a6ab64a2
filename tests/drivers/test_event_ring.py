"""The sequence around half-read events: it holds, and each line that it needs is missed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import mmunotify.drivers.event_ring
from mmunotify import Scenario, check
from mmunotify.drivers.event_ring import DiscardWatched, EventRing, MapAgain, UnmapWatched

SOURCE = Path(mmunotify.drivers.event_ring.__file__)
RACES = {
    "unmap": (UnmapWatched,),
    "unmap and map again": (UnmapWatched, MapAgain),
    "discard": (DiscardWatched,),
    "discard and unmap": (DiscardWatched, UnmapWatched),
}


def scenario(name: str, devices: int = 1) -> Scenario:
    """Return a race on one page."""
    return Scenario(name, RACES[name], devices=devices, pages=1, frames=3)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("name", RACES)
def test_holds(name: str, devices: int) -> None:
    """Operations by hand, lookups, and the monitor's thread."""
    check(EventRing, scenario=scenario(name, devices)).assert_ok()


@pytest.mark.parametrize("name", ["munmap", "madvise_dontneed", "cow", "munmap+punch_hole"])
def test_explicit_operations(name: str) -> None:
    """Operations that call the hooks."""
    check(EventRing, scenario=name).assert_ok()


@dataclass(frozen=True)
class Mutant:
    """An edit of the driver, and the race in which it shows; without one, punch_hole."""

    name: str
    race: str
    old: str
    new: str


KERNEL = "        if self.uffd.mmap_changing == 0:  # `Gate::ask`: the kernel first,\n"
MONITOR = "            if not self.working:  # then the monitor\n"
WATCH = """\
        with self.mm.mmap_lock.write:  # no operation is half over
            if not self.mm.vma[page]:
                raise EFAULT
            self.uffd.watched[page] = True
"""
DEVICE = "        frame = self.mm.get_user_page(page, True)  # the device\n"
READ = "                event = self.uffd.read(page)\n"
MUTANTS = (
    Mutant(
        "the monitor reads before it shuts the gate",
        "unmap",
        "            self.working = True  # before the read, which lets the operation run on\n",
        "",
    ),
    Mutant(
        "the monitor opens the gate before the table is up to date",
        "unmap",
        READ,
        READ + "                self.working = False\n",
    ),
    Mutant("lookups do not ask the kernel", "unmap and map again", KERNEL, "        if True:\n"),
    Mutant("lookups do not ask the monitor", "unmap", MONITOR, "            if True:\n"),
    Mutant(
        "lookups ask the monitor first",
        "unmap and map again",
        KERNEL + MONITOR,
        "        if not self.working:\n            if self.uffd.mmap_changing == 0:\n",
    ),
    Mutant(
        "a discard leaves no tombstone",
        "discard",
        "                            self.tombs[page] = True\n",
        "                            pass\n",
    ),
    Mutant(
        "a tombstone does not outlive its discard",
        "discard",
        "            wait_until(lambda: self.discarding == 0 and self.any_tomb())\n"
        "            with atomic():\n                if self.discarding == 0:\n",
        "            wait_until(lambda: self.any_tomb())\n"
        "            with atomic():\n                if True:\n",
    ),
    Mutant(
        "the device registers before the memory is watched",
        "unmap and map again",
        WATCH + DEVICE,
        DEVICE + WATCH.replace("raise EFAULT", "frame.put()\n                raise EFAULT"),
    ),
    Mutant(
        "an invalidation between reserve and commit is not seen",
        "unmap",
        "self.generation.read() == generation and not closed",
        "not closed",
    ),
    Mutant(
        "a section that ended between reserve and commit is not seen",
        "discard",
        " and not closed:",
        ":",
    ),
    Mutant(
        "an explicit operation does not drop what is registered",
        "",
        "                self.drop(page)\n\n",
        "\n",
    ),
    Mutant(
        "an explicit operation opens no section",
        "",
        "self.sections[page].open > 0 or self.tombs[page]",
        "self.tombs[page]",
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant(mutant: Mutant, tmp_path: Path) -> None:
    """A stale registration is found, and the interleaving shows it."""
    text = SOURCE.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1
    path = tmp_path / "mutant.py"
    # The operations stay those of the package: they are the kernel's side.
    head = text.replace(mutant.old, mutant.new).split("class Watched(Operation)")[0]
    path.write_text(head, encoding="utf-8")
    race = scenario(mutant.race) if mutant.race else "punch_hole"
    result = check(path, scenario=race)
    assert (result.verdict, result.property) == ("VIOLATED", "no_stale_translation"), str(result)
