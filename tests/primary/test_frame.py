"""`Frame`: freed at zero, and never while anybody could still reach it."""

from __future__ import annotations

import pytest
from tests.primary.sequence import Scripted, world_of

from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.intrinsics import Violation
from mmunotify.lang.runtime import installed
from mmunotify.primary.cpu import Cpu
from mmunotify.primary.frame import Frame, Owner


def frame_of(world_frames: tuple[Frame, ...]) -> Frame:
    return next(frame for frame in world_frames if frame.owner is Owner.MM)


def test_the_last_reference_frees() -> None:
    world = world_of("munmap")
    frame = frame_of(world.mm.frames)
    frame.written = True
    frame.get()
    world.mm.clear_pte(0)
    frame.put()
    assert frame.owner is Owner.MM
    frame.put()
    assert (frame.owner, frame.written) == (Owner.FREE, False)


def test_references_are_not_taken_from_nothing() -> None:
    world = world_of("munmap")
    free = next(frame for frame in world.mm.frames if frame.owner is Owner.FREE)
    with pytest.raises(Violation, match="quiescent"):
        free.get()
    with pytest.raises(Violation, match="quiescent"):
        free.put()


def test_a_mapped_frame_is_not_freed() -> None:
    world = world_of("munmap")
    with pytest.raises(Violation, match="quiescent"):
        frame_of(world.mm.frames).put()


def test_a_frame_in_a_cpus_tlb_is_not_freed() -> None:
    world = world_of("munmap")
    cpu = Cpu(world.mm)
    frame = frame_of(world.mm.frames)
    with installed(Scripted(world.threads[0])):
        cpu.access(0, False)
    world.mm.clear_pte(0)
    with pytest.raises(Violation, match="a CPU's TLB"):
        frame.put()


def test_a_frame_that_a_driver_maps_is_not_freed() -> None:
    world = world_of("munmap", Kvm)
    driver = world.drivers[0]
    assert isinstance(driver, Kvm)
    frame = frame_of(world.mm.frames)
    driver.spte[0] = frame
    world.mm.clear_pte(0)
    with pytest.raises(Violation, match="driver's table"):
        frame.put()


def test_a_frame_in_a_devices_tlb_is_not_freed() -> None:
    world = world_of("munmap", Kvm)
    frame = frame_of(world.mm.frames)
    world.drivers[0].tlb.insert(0, frame)
    world.mm.clear_pte(0)
    with pytest.raises(Violation, match="secondary TLB"):
        frame.put()
