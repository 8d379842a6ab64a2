"""`Notifications`: what the kernel's MMU notifier tells KVM, as it happens.

They come from the tracepoints kvm_unmap_hva_range, kvm_age_hva and kvm_test_age_hva, which fire for
every mm with a VM. Invariant: an event names no mm, so two processes with VMs and equal addresses
cannot be told apart by it; it never misses one that the kernel sent, unless `lost` counts it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import msgspec

from mmunotify.kernel.closing import Closing
from mmunotify.kernel.perf import PerfRings, Sample, stack_of
from mmunotify.kernel.symbols import kernel_symbols
from mmunotify.kernel.tracefs import Tracefs, Tracepoint

__all__ = ["Notification", "Notifications"]

_KINDS: Final = {
    "kvm_unmap_hva_range": "unmap",
    "kvm_age_hva": "age",
    "kvm_test_age_hva": "test_age",
}


class Notification(msgspec.Struct, frozen=True, gc=False):
    """One call of KVM's notifier for `[start, end)`, in bytes.

    `kind` is "unmap" (invalidate_range_start), "age" (clear_young, clear_flush_young) or
    "test_age".
    `time` is in ns of CLOCK_MONOTONIC; `pid` and `tid` are of the thread that made the call;
    `stack` are the kernel's functions, innermost first (empty without `stacks`).
    """

    kind: str
    start: int
    end: int
    time: int
    cpu: int
    pid: int
    tid: int
    stack: tuple[str, ...]


class Notifications(Closing):
    """Everything that KVM's notifiers are told about addresses in `[start, end)`.

    Open it before the first operation of interest; `take` gives what has come since. `stacks` names
    the kernel functions that led there; without it an event costs the operation a third. `pages`:
    size of each CPU's ring, a power of two. `prompt`: an event ends `wait` at once; who takes them
    now and then anyway does without, which costs the operations less. Raises `CannotError` where
    tracepoints are not permitted.
    """

    def __init__(
        self,
        start: int = 0,
        end: int = 2**64 - 1,
        *,
        stacks: bool = True,
        aging: bool = True,
        pages: int = 512,
        prompt: bool = True,
    ) -> None:
        names = list(_KINDS) if aging else ["kvm_unmap_hva_range"]
        with Tracefs() as tracefs:
            tracepoints = [tracefs.tracepoint("kvm", name) for name in names]
        self._readers = {one.number: (_KINDS[one.name], _reader(one)) for one in tracepoints}
        self._stacks: dict[bytes, tuple[str, ...]] = {}
        filters = {}
        if (start, end) != (0, 2**64 - 1):
            overlap = f"start < {end:#x} && end > {start:#x}"
            inside = f"hva >= {start:#x} && hva < {end:#x}"
            filters = dict.fromkeys(names, overlap)
            if aging:
                filters["kvm_test_age_hva"] = inside
        self._rings = PerfRings(tracepoints, filters, pages, prompt=prompt, chains=stacks)
        self._symbols = kernel_symbols() if stacks else None

    @property
    def named(self) -> bool:
        """Whether stacks have names: asked for, and not hidden from this user by the kernel."""
        return bool(self._symbols)

    @property
    def lost(self) -> int:
        """How many events the rings had no room for, as far as `take` has come."""
        return self._rings.lost

    def wait(self, seconds: float) -> None:
        """Wait until an event is there, or the time is over."""
        self._rings.wait(seconds)

    def take(self) -> list[Notification]:
        """The events since the last call, in the order of time."""
        return [self._notification(sample) for sample in self._rings.drain()]

    def close(self) -> None:
        """Stop listening; nothing is left in the kernel."""
        self._rings.close()

    def _notification(self, sample: Sample) -> Notification:
        kind, read = self._readers[sample.number]
        bounds = read(sample.raw)
        start = bounds[0]
        return Notification(
            kind,
            start,
            bounds[1] if len(bounds) > 1 else start + 1,
            sample.time,
            sample.cpu,
            sample.pid,
            sample.tid,
            self._stack(sample.chain) if self._symbols else (),
        )

    def _stack(self, chain: bytes) -> tuple[str, ...]:
        found = self._stacks.get(chain)
        if found is None:
            assert self._symbols is not None
            found = self._stacks[chain] = self._symbols.stack(stack_of(chain))
        return found


def _reader(tracepoint: Tracepoint) -> Callable[[bytes], tuple[int, ...]]:
    """What reads the addresses of a record: start and end, or only one."""
    names = ("hva",) if tracepoint.name == "kvm_test_age_hva" else ("start", "end")
    readers = [(struct.Struct("=Q").unpack_from, tracepoint.fields[name][0]) for name in names]
    first = readers[0][1]
    if [offset for _, offset in readers] == [first, first + 8]:
        both = struct.Struct(f"={first}xQQ").unpack_from
        return lambda raw: both(raw)
    return lambda raw: tuple(read(raw, offset)[0] for read, offset in readers)
