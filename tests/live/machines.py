"""Real devices as state machines: how each is made, and how an access is compared with the CPU."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import tempfile
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.live.raw import PAGE, PRIVATE, SHARED, Memory
from tests.live.region import PAGES, Region, Stale
from tests.live.resources import mappings

from mmunotify.errors import CannotError
from mmunotify.kernel.memory import read64
from mmunotify.live import Registration
from mmunotify.live.devices import Attacher, Exporter, IoUring, KvmSlots, Mirror
from mmunotify.live.devices.attacher import Attachment, DetachedError
from mmunotify.live.devices.exporter import Segment, Stuck
from mmunotify.live.devices.kvm_slot import REFUSED, Slot
from mmunotify.live.devices.mirror import _COPIES
from mmunotify.live.memory import Extent

__all__ = ["MACHINES", "explore"]

SLOTS = 64


class ReadInto(Region):
    """An io_uring that reads a file into the memory."""

    uncovered = ("madv_guard_install",)

    @staticmethod
    def missing() -> str | None:
        """Ask for a ring."""
        try:
            IoUring(1)
        except OSError as error:
            return f"io_uring: {error.strerror}; sysctl kernel.io_uring_disabled=0 permits it"
        return None

    def make(self) -> IoUring:
        """A ring, and a file of pages with bytes of their own."""
        self.file, path = tempfile.mkstemp()
        Path(path).unlink()
        os.pwrite(self.file, b"".join(bytes([n]) * PAGE for n in range(64)), 0)
        self.ring = IoUring(SLOTS)
        return self.ring

    def access(self, registration: Registration, address: int, length: int, value: int) -> None:
        """Read by the device."""
        done = self.ring.read(self.file, (address, length), value * PAGE, registration)
        assert done == length
        expected = b"".join(bytes([value + n]) * PAGE for n in range(length // PAGE))
        if ctypes.string_at(address, length) != expected:
            raise Stale

    def close(self) -> None:
        """Every buffer is free."""
        os.close(self.file)
        assert len(self.ring._free) == SLOTS
        del self.ring


class Guest(Region):
    """A guest that reads and writes the memory.

    A slot follows its addresses: the guest never sees old bytes. What it must not see is memory
    that came there later, which nobody gave it.
    """

    @staticmethod
    def missing() -> str | None:
        """Ask for a virtual machine."""
        try:
            KvmSlots(1).close()
        except CannotError as error:
            return str(error)
        return None

    def make(self) -> KvmSlots:
        """A virtual machine."""
        self.slots = KvmSlots(SLOTS)
        self.last: dict[Slot, Registration] = {}
        return self.slots

    def access(self, registration: Registration, address: int, length: int, value: int) -> None:
        """Read a word of each page, and write one."""
        for page in range(address, address + length, PAGE):
            if self.slots.read((page, 8), registration) != read64(page):
                raise Stale
        if not self.slots.write((address, 8), registration, value) or read64(address) != value:
            raise Stale

    def given(self, registration: Registration) -> None:
        """Note whose the slot is now."""
        self.last[registration.key] = registration

    def replaced(self, first: int, count: int) -> None:
        """The guest does not reach what came."""
        self.mm.poll()
        address, length = self.span(first, count)
        for one in self.last.values():
            start, end = max(one.extent.address, address), min(one.extent.end, address + length)
            for page in range(start, end, PAGE):
                if one not in self.held and self.slots.read((page, 8), one) != REFUSED:
                    raise Stale

    def close(self) -> None:
        """Every slot is free."""
        assert len(self.slots._free) == SLOTS
        self.slots.close()
        del self.slots, self.last


class Mirrored(Region):
    """A mirror that copies what was written."""

    only = PRIVATE

    @staticmethod
    def missing() -> str | None:
        """Ask for a scan."""
        try:
            Mirror().close()
        except OSError as error:
            return f"PAGEMAP_SCAN: {error}; needs Linux 6.7 and /proc"
        return None

    def make(self) -> Mirror:
        """A mirror."""
        self.copies = len(_COPIES.all)
        self.mirror = Mirror()
        return self.mirror

    def access(self, registration: Registration, address: int, length: int, value: int) -> None:
        """Bring the copy up to date, and compare it."""
        try:
            self.mirror.update(registration)
        except OSError:  # it notices itself that other memory is there, but not always
            if not self.remember:
                raise
            self.forget(registration)
            return
        if self.mirror.read((address, length), registration) != ctypes.string_at(address, length):
            raise Stale

    def close(self) -> None:
        """There is no copy."""
        assert len(_COPIES.all) == self.copies
        self.mirror.close()
        del self.mirror


class Attached(Region):
    """Segments that an attacher has mapped, which reads and writes them.

    Both sides are in this process. Without a cache files stay mapped, past the protocol. Memory
    that was moved cannot be exported.
    """

    only = SHARED

    def make(self) -> Exporter:
        """Both sides."""
        self.numbers = itertools.count()
        self.files: list[int | None] = [None] * PAGES  # of each page, by number
        self.attached: dict[int, tuple[Extent, Attachment]] = {}
        self.raw: dict[int, mmap.mmap] = {}
        self.stuck: list[Stuck] = []
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name, "socket")
        self.exporter = Exporter(self.mm, path, on_stuck=self.stuck.append)
        self.attacher = Attacher(path)
        return self.exporter

    def fresh(self, count: int, kind: int, address: int) -> None:
        """Map a file as `allocate` does, but where it is wanted."""
        with self.exporter._changed:
            file = self.exporter._files.open(count * PAGE)
            Memory(count, SHARED, address, file)
            self.exporter._files.add(file, address)
        first = (address - self.address) // PAGE
        self.files[first : first + count] = [next(self.numbers)] * count

    def moved(self, first: int, count: int) -> None:
        """What was moved is of no file."""
        self.files[first : first + count] = [None] * count

    def parts(self, address: int, length: int) -> list[tuple[int, int]]:
        """Each of one file."""
        first = (address - self.address) // PAGE
        found = []
        for file, pages in itertools.groupby(
            range(first, first + length // PAGE), lambda page: self.files[page]
        ):
            start, *more = pages
            if file is not None:
                found.append(self.span(start, 1 + len(more)))
        return found

    def access(self, registration: Registration, address: int, length: int, value: int) -> None:
        """Compare what is attached, and write there."""
        offset = registration.offset((address, length))
        with self.view(registration) as view:
            if bytes(view[offset : offset + length]) != ctypes.string_at(address, length):
                raise Stale
            view[offset] = value
        if ctypes.string_at(address, 1)[0] != value:
            raise Stale

    def view(self, registration: Registration) -> AbstractContextManager[memoryview]:
        """Attach; again while the owner is told of what is over."""
        segment: Segment = registration.key
        if self.remember:
            if segment.token not in self.raw:
                self.raw[segment.token] = mmap.mmap(
                    segment.file, segment.length, offset=segment.offset
                )
            return memoryview(self.raw[segment.token])
        for _ in range(1_000):
            with suppress(DetachedError):
                found = self.attacher.attach(segment.token)
                self.attached[segment.token] = registration.extent, found
                return found.use()
            self.mm.poll()
        raise AssertionError("the memory is never to be had")

    def replaced(self, first: int, count: int) -> None:
        """Nobody has a part of it attached."""
        self.mm.poll()
        address, length = self.span(first, count)
        for extent, attachment in self.attached.values():
            if extent.address < address + length and address < extent.end and attachment.attached:
                raise Stale

    def close(self) -> None:
        """There is no segment."""
        assert not self.exporter._segments
        assert not self.stuck
        self.attacher.close()
        self.exporter.close()
        self.folder.cleanup()
        for memory in self.raw.values():
            memory.close()
        del self.attacher, self.exporter, self.attached


MACHINES: dict[str, type[Region]] = {
    one.__name__: one for one in (ReadInto, Guest, Mirrored, Attached)
}


def explore(name: str, examples: int, steps: int, *, remember: bool = False) -> bool:
    """Run so many examples of so many steps, in a process that does nothing else.

    With `remember` there is no cache: return whether a sequence has ended stale.
    """
    machine = MACHINES[name]
    if remember:
        machine = type(f"{name}Remembered", (machine,), {"remember": True})
    found = False
    mapped = mappings()
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                # What is expected to be found need not be made short.
                phases=[Phase.generate] if remember else tuple(Phase),
                report_multiple_bugs=not remember,
            ),
        )
    except Stale:
        if not remember:
            raise
        found = True
    # Stacks and arenas of five threads are 30; the interpreter's memory grows a little, too.
    assert mappings() < mapped + 40 + examples // 10
    return found
