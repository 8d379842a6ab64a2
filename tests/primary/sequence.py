"""What an operation does, in order, when nobody else runs: the notifier sequence of section 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmunotify.check.scenario import Scenario
from mmunotify.check.world import World
from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.runtime import Alone, installed
from mmunotify.primary.frame import Frame, Owner

__all__ = ["Listening", "Refusing", "Scripted", "perform", "world_of"]

EVENTS: list[str] = []


class Listening(Driver):
    """Writes down what it is told."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        blockable = "" if rng.blockable else ", non-blockable"
        EVENTS.append(f"S({rng.event.value}{blockable})")

    def invalidate_range_end(self, rng: PageRange) -> None:
        EVENTS.append("E")

    def clear_flush_young(self, rng: PageRange) -> bool:
        EVENTS.append("young?")
        return False

    def release(self) -> None:
        EVENTS.append("release")


class Refusing(Driver):
    """Says -EAGAIN where it is asked not to block; so it must not have an end."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        if not rng.blockable:
            EVENTS.append("-EAGAIN")
            raise EAGAIN


class Scripted(Alone):
    """Alone; takes the given choices in order, then the first ones; of frames a free one."""

    def __init__(self, thread: Any, choices: Sequence[int] = ()) -> None:
        super().__init__(thread)
        self.choices = list(choices)

    def choose(self, alternatives: Sequence[Any]) -> Any:
        """Take the next choice of the script."""
        if isinstance(alternatives[0], Frame):
            return next(frame for frame in alternatives if frame.owner is Owner.FREE)
        return alternatives[self.choices.pop(0) if self.choices else 0]


def world_of(operation: str, driver: type[Driver] = Listening, pages: int = 1) -> World:
    """Return a world with one operation and no device that matters."""
    return Scenario(operation, (operation,), pages=pages, frames=3).build(driver)


def perform(world: World, choices: Sequence[int] = ()) -> list[str]:
    """Run the operation of `world` with these choices; return what it did."""
    EVENTS.clear()
    _watch(world)
    thread = world.threads[0]
    with installed(Scripted(thread, choices)):
        thread.body(*thread.args)
    return list(EVENTS)


def _watch(world: World) -> None:
    mm = world.mm
    for name, event in (
        ("clear_pte", "clear"),
        ("set_pte", "set"),
        ("set_migration", "migration entry"),
        ("wrprotect", "protect"),
        ("flush_tlb_range", "flush"),
    ):
        _tell(mm, name, event)
    for frame in mm.frames:
        _tell(frame, "free", "free")


def _tell(owner: Any, name: str, event: str) -> None:
    inner: Callable[..., Any] = getattr(owner, name)

    def told(*args: Any) -> Any:
        EVENTS.append(event)
        return inner(*args)

    setattr(owner, name, told)
