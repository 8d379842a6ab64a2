"""`PerfRings`: samples of tracepoints from every CPU, with kernel stacks, through perf events.

perf events belong to their descriptors: the kernel removes them when the process ends, killed or
not. Invariant: what a ring had no room for is counted in `lost`, as the kernel counts it.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import struct
from collections.abc import Iterator, Sequence
from ctypes import create_string_buffer
from pathlib import Path
from typing import Final

import msgspec

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.closing import Closing
from mmunotify.kernel.memory import PAGE
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.kernel.tracefs import Tracepoint

__all__ = ["PerfRings", "Sample", "stack_of"]

_TRACEPOINT: Final = 2  # PERF_TYPE_TRACEPOINT
_SAMPLE_TYPE: Final = 1 << 1 | 1 << 2 | 1 << 7 | 1 << 10  # TID TIME CPU RAW
_CALLCHAIN: Final = 1 << 5
_FLAGS: Final = 1 << 22 | 1 << 25  # exclude_callchain_user, use_clockid
_WATERMARK: Final = 1 << 14
_CLOEXEC: Final = 8
_SET_OUTPUT: Final = 0x2405
_SET_FILTER: Final = 0x40082406
_RECORD_SAMPLE: Final = 9
_FORMAT_LOST: Final = 1 << 4
_HEAD, _TAIL = 1024, 1032  # in struct perf_event_mmap_page
_RECORD: Final = struct.Struct("=I2xH").unpack_from  # type, size
_BODY: Final = struct.Struct("=IIQI4x").unpack_from  # pid, tid, time, cpu
_DEPTH: Final = struct.Struct("=Q").unpack_from  # of the chain
_LENGTH: Final = struct.Struct("=I").unpack_from
_NUMBER: Final = struct.Struct("=H").unpack_from
_CONTEXTS: Final = 2**64 - 4096  # from here on an entry of a call chain is a mark, no address


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One hit of a tracepoint: `time` in ns of CLOCK_MONOTONIC.

    `pid` and `tid` are of the thread that was running, which need not be of the process whose
    memory it is about. `chain` is the call chain as the kernel writes it, for `stack_of`: most
    samples have one that was seen before. `raw` is the tracepoint's record, `number` says of which.
    """

    time: int
    cpu: int
    pid: int
    tid: int
    number: int
    chain: bytes
    raw: bytes


class PerfRings(Closing):
    """A ring of `pages` pages (a power of two) for each CPU, fed by `tracepoints`.

    `filters` maps the name of a tracepoint to an expression on its fields that must hold. `prompt`:
    each sample ends `wait`, at the price of an interrupt for each; else a ring that is half full.
    `chains`: samples have call chains, which is most of what a sample costs (2.1 of 3.1 us here).
    """

    def __init__(
        self,
        tracepoints: Sequence[Tracepoint],
        filters: dict[str, str] | None = None,
        pages: int = 512,
        *,
        prompt: bool = True,
        chains: bool = True,
    ) -> None:
        self._chains = chains
        self._lost = 0  # of events that are closed
        self._fds: list[int] = []
        self._rings: list[mmap.mmap] = []
        self._size = pages * PAGE
        self._wake_at = 0 if prompt else self._size // 2
        self._poll = select.poll()
        try:
            for cpu in _online_cpus():
                self._open_cpu(cpu, tracepoints, filters or {})
        except OSError as error:
            self.close()
            raise _cannot(error) from None

    def wait(self, seconds: float) -> None:
        """Wait until something is there, or the time is over."""
        self._poll.poll(seconds * 1000)

    def drain(self) -> list[Sample]:
        """Take everything that is there, in the order of time."""
        # Copies first: the rings have room again before anything is looked at.
        copies = [self._take(ring) for ring in self._rings]
        found = [sample for copy in copies for sample in _samples(copy, self._chains)]
        found.sort(key=lambda sample: sample.time)
        return found

    @property
    def lost(self) -> int:
        """How many samples found no room so far."""
        # PERF_FORMAT_LOST, and not the records in the ring: one of those is only written when the
        # ring has room again.
        return self._lost + sum(_lost_by(fd) for fd in self._fds)

    def close(self) -> None:
        """Remove the events."""
        self._lost = self.lost
        for ring in self._rings:
            ring.close()
        for fd in self._fds:
            os.close(fd)
        self._rings, self._fds = [], []

    def _open_cpu(
        self, cpu: int, tracepoints: Sequence[Tracepoint], filters: dict[str, str]
    ) -> None:
        leader = -1
        for tracepoint in tracepoints:
            fd = _open_event(tracepoint.number, cpu, self._wake_at, self._chains)
            self._fds.append(fd)
            if tracepoint.name in filters:
                fcntl.ioctl(fd, _SET_FILTER, filters[tracepoint.name].encode() + b"\0")
            if leader < 0:
                leader = fd
                self._rings.append(mmap.mmap(fd, PAGE + self._size))
                self._poll.register(fd, select.POLLIN)
            else:
                fcntl.ioctl(fd, _SET_OUTPUT, leader)

    def _take(self, ring: mmap.mmap) -> bytes:
        """Copy what is there, and give its room back."""
        head, tail = struct.unpack_from("=QQ", ring, _HEAD)
        first, size = tail % self._size, head - tail
        if first + size <= self._size:
            data = ring[PAGE + first : PAGE + first + size]
        else:
            data = ring[PAGE + first :] + ring[PAGE : PAGE + first + size - self._size]
        struct.pack_into("=Q", ring, _TAIL, head)
        return data


def stack_of(chain: bytes) -> tuple[int, ...]:
    """The addresses of a call chain, innermost first."""
    addresses = struct.unpack(f"={len(chain) // 8}Q", chain)
    return tuple(address for address in addresses if address < _CONTEXTS)


def _samples(data: bytes, chains: bool) -> list[Sample]:
    """The samples in a piece of a ring; it ends with a whole record."""
    found = []
    at = 0
    while at < len(data):
        kind, size = _RECORD(data, at)
        if kind == _RECORD_SAMPLE:
            pid, tid, time, cpu = _BODY(data, at + 8)
            chain = raw = at + 32
            if chains:
                chain += 8
                raw = chain + 8 * _DEPTH(data, at + 32)[0]
            (length,) = _LENGTH(data, raw)
            found.append(
                Sample(
                    time,
                    cpu,
                    pid,
                    tid,
                    _NUMBER(data, raw + 4)[0],
                    data[chain:raw],
                    data[raw + 4 : raw + 4 + length],
                )
            )
        at += size
    return found


def _lost_by(fd: int) -> int:
    return int(struct.unpack("=QQ", os.read(fd, 16))[1])


def _open_event(number: int, cpu: int, wake_at: int, chains: bool) -> int:
    attributes = create_string_buffer(112)
    struct.pack_into(
        "=IIQQQQQI",
        attributes,
        0,
        _TRACEPOINT,
        len(attributes),
        number,
        1,  # every hit
        _SAMPLE_TYPE | (_CALLCHAIN if chains else 0),
        _FORMAT_LOST,
        _FLAGS | (_WATERMARK if wake_at else 0),
        wake_at or 1,
    )
    struct.pack_into("=i", attributes, 92, 1)  # CLOCK_MONOTONIC
    return system_call(Syscall.PERF_EVENT_OPEN, attributes, -1, cpu, -1, _CLOEXEC)


def _online_cpus() -> Iterator[int]:
    text = Path("/sys/devices/system/cpu/online").read_text().strip()
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _cannot(error: OSError) -> CannotError:
    what = f"perf events of tracepoints cannot be opened: {error.strerror}"
    fix = ""
    if error.errno in (errno.EACCES, errno.EPERM):
        fix = "run it as root, or with the capabilities CAP_PERFMON and CAP_SYS_ADMIN"
    return CannotError(Diagnostic("E401", None, what, fix=fix))
