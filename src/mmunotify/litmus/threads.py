"""The threads of a litmus test in the model: what they read and write are values.

Written in the subset, on top of `mmunotify.primary`: its operations, page faults, TLBs and device
run as they are; only the bytes are new. Invariant: a value belongs to a frame, never to a page.
"""

from __future__ import annotations

from typing import Protocol

from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.table import Table
from mmunotify.litmus.case import REFUSED
from mmunotify.primary.cpu import Cpu
from mmunotify.primary.device import Device
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm

__all__ = [
    "Age",
    "CpuRead",
    "CpuWrite",
    "Ending",
    "Equal",
    "Flag",
    "FlagRead",
    "FlagWrite",
    "Register",
    "Script",
    "ValueMm",
    "VcpuRead",
    "VcpuWrite",
]


class ValueMm(Mm):
    """An address space whose frames have a value each: 0 when they are allocated."""

    def __init__(self, pages: int, frames: int) -> None:
        super().__init__(pages, frames)
        self.contents: Table[int] = Table(self.frames, 0)

    def allocate(self, owner: Owner) -> Frame:
        """Take a free frame; its bytes are 0 from then on."""
        frame = super().allocate(owner)
        self.contents[frame] = 0
        return frame

    def set_pte(self, page: int, frame: Frame, write: bool) -> None:
        """Make an entry present; one that takes the place of a copied frame has its bytes.

        Nobody can write to a frame once it is being copied: that is what `no_stale_bytes` checks.
        """
        with atomic():
            copied = self.ghost.copied[page]
            if copied is not None:
                self.contents[frame] = self.contents[copied]
            super().set_pte(page, frame, write)


class Register:
    """What a thread has read; REFUSED until then."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = REFUSED


class Flag:
    """A word that is always there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = 0


class FlagWrite:
    """A thread sets a flag."""

    def __init__(self, flag: Flag, value: int) -> None:
        self.flag = flag
        self.value = value

    def run(self) -> None:
        """Set it; one step."""
        self.flag.value = self.value


class FlagRead:
    """A thread reads a flag."""

    def __init__(self, flag: Flag, register: Register) -> None:
        self.flag = flag
        self.register = register

    def run(self) -> None:
        """Read it; one step, as nobody else looks at the register before the end."""
        with atomic():
            self.register.value = self.flag.value


class VcpuRead(Device):
    """A virtual CPU reads a page."""

    def __init__(self, driver: Driver, number: int, page: int, register: Register) -> None:
        super().__init__(driver, number)
        self.page = page
        self.register = register
        self.values: ValueMm = driver.mm

    def run(self) -> None:
        """Read it; the register stays as it is where that is not permitted."""
        self.access(self.page, False)

    def use(self, page: int, write: bool) -> None:
        """Reach memory; part of one step."""
        frame = self.cache.tlb[page]
        if frame is not None:
            self.register.value = self.values.contents[frame]


class VcpuWrite(Device):
    """A virtual CPU writes to a page, and tells in a register whether it could."""

    def __init__(
        self, driver: Driver, number: int, page: int, value: int, register: Register
    ) -> None:
        super().__init__(driver, number)
        self.page = page
        self.value = value
        self.register = register
        self.values: ValueMm = driver.mm

    def run(self) -> None:
        """Write to it."""
        self.access(self.page, True)

    def use(self, page: int, write: bool) -> None:
        """Reach memory; part of one step."""
        frame = self.cache.tlb[page]
        if frame is not None:
            self.values.contents[frame] = self.value
            self.register.value = self.value


class CpuRead:
    """A thread of the process reads a page on its CPU."""

    def __init__(self, cpu: Cpu, page: int, register: Register) -> None:
        self.cpu = cpu
        self.page = page
        self.register = register
        self.mm: ValueMm = cpu.mm  # type: ignore[assignment]

    def run(self) -> None:
        """Read it, faulting it in."""
        while True:
            with atomic():
                if self.cpu.tlb.permits(self.page, False):
                    frame = self.cpu.tlb.tlb[self.page]
                    if frame is not None:
                        self.register.value = self.mm.contents[frame]
                    return
                filled = self.cpu.walk(self.page, False)
            if not filled and not self.cpu.fault(self.page, False):
                return


class CpuWrite:
    """A thread of the process writes to a page on its CPU."""

    def __init__(self, cpu: Cpu, page: int, value: int, register: Register) -> None:
        self.cpu = cpu
        self.page = page
        self.value = value
        self.register = register
        self.mm: ValueMm = cpu.mm  # type: ignore[assignment]

    def run(self) -> None:
        """Write to it, faulting it in."""
        while True:
            with atomic():
                if self.cpu.tlb.permits(self.page, True):
                    frame = self.cpu.tlb.tlb[self.page]
                    if frame is not None:
                        frame.written = True
                        self.mm.contents[frame] = self.value
                        self.register.value = self.value
                    return
                filled = self.cpu.walk(self.page, True)
            if not filled and not self.cpu.fault(self.page, True):
                return


class Age:
    """The kernel asks all subscribers whether a page was used, and has them forget it."""

    def __init__(self, mm: Mm, page: int, register: Register) -> None:
        self.mm = mm
        self.page = page
        self.register = register

    def run(self) -> None:
        """Ask, under the page-table lock (`clear_flush_young`)."""
        with self.mm.page_table_lock:
            young = self.mm.notifiers.clear_flush_young(PageRange(self.page))
        if young:
            self.register.value = 1
        else:
            self.register.value = 0


class Step(Protocol):
    """What a script consists of."""

    def run(self) -> None:
        """Do it."""


class Script:
    """The body of a thread: its steps in order."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self.finished = False

    def run(self) -> None:
        """Do them all."""
        for step in self.steps:
            step.run()
        self.finished = True


class Equal:
    """A register has a value."""

    def __init__(self, register: Register, value: int) -> None:
        self.register = register
        self.value = value

    def holds(self) -> bool:
        """Tell whether it does."""
        return self.register.value == self.value


class Ending:
    """All threads are done, and the registers have these values."""

    def __init__(self, scripts: tuple[Script, ...], parts: tuple[Equal, ...]) -> None:
        self.scripts = scripts
        self.parts = parts

    def holds(self) -> bool:
        """Tell whether it is so."""
        return all(script.finished for script in self.scripts) and all(
            part.holds() for part in self.parts
        )
