"""The filter that stops a program before each of its memory operations, and its descriptor.

Invariant: whoever installs the filter makes no call afterwards that it stops, but `execve`: nobody
answers yet. The descriptor is fetched from outside, by pidfd.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmunotify.kernel.maps import areas_of
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.lang.page_range import Event

__all__ = [
    "CALLS",
    "Call",
    "Stopped",
    "described",
    "fetch_listener",
    "install_filter",
    "let_go",
    "receive",
]

_AUDIT_ARCH_X86_64: Final = 0xC000003E
_ALLOW, _USER_NOTIF, _TRACE = 0x7FFF0000, 0x7FC00000, 0x7FF00000
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_NOTIF = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif
_RESPONSE = struct.Struct("=QqiI")  # struct seccomp_notif_resp
_RECV = (3 << 30) | (_NOTIF.size << 16) | (ord("!") << 8) | 0
_SEND = (3 << 30) | (_RESPONSE.size << 16) | (ord("!") << 8) | 1
_CONTINUE = 1
_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_MREMAP_FIXED = 2
_SHMAT, _SHMDT, _OPENAT2, _O_TRUNC = 30, 67, 437, 0o1000
# Calls that count only with a flag: which argument that is in, and the flag.
_WITH_FLAG: Final = {
    2: (1, _O_TRUNC),  # open
    9: (3, 0x10),  # mmap, MAP_FIXED
    _SHMAT: (2, 0o40000),  # SHM_REMAP
    257: (2, _O_TRUNC),  # openat
}
_PIDFD_GETFD = 438
_CLONE, _FORK, _CLONE3, _PTRACE = 56, 57, 435, 101
_CLONE_VM = 0x100
_ANYTHING = (0, 1 << 47)


@dataclass(frozen=True)
class Call:
    """A system call that changes memory: its name, and which event it is."""

    name: str
    event: Event


CALLS: dict[int, Call] = {
    2: Call("ftruncate", Event.CLEAR),  # open with O_TRUNC
    9: Call("mmap_fixed", Event.UNMAP),
    10: Call("mprotect", Event.PROTECTION_VMA),
    11: Call("munmap", Event.UNMAP),
    12: Call("brk", Event.UNMAP),
    25: Call("mremap", Event.UNMAP),
    28: Call("madvise", Event.CLEAR),
    _SHMAT: Call("mmap_fixed", Event.UNMAP),  # with SHM_REMAP
    _SHMDT: Call("munmap", Event.UNMAP),
    76: Call("ftruncate", Event.CLEAR),  # truncate
    77: Call("ftruncate", Event.CLEAR),
    85: Call("ftruncate", Event.CLEAR),  # creat
    216: Call("mmap_fixed", Event.UNMAP),  # remap_file_pages
    257: Call("ftruncate", Event.CLEAR),  # openat with O_TRUNC
    285: Call("fallocate", Event.CLEAR),
    329: Call("mprotect", Event.PROTECTION_VMA),  # pkey_mprotect
    _OPENAT2: Call("ftruncate", Event.CLEAR),
    440: Call("process_madvise", Event.CLEAR),
}
"""What the filter stops, by the number that x86-64 gives it, and of some only what has a flag."""


_COPIES = Call("fork", Event.PROTECTION_PAGE)


@dataclass(frozen=True)
class Stopped:
    """A thread that waits in a call. `ranges` are the bytes that it is about, [(0, 2**47)] if any
    may be."""

    number: int
    tid: int
    call: Call
    ranges: list[tuple[int, int]]


def install_filter(*, traced: bool = False) -> int:
    """Have every later call of `CALLS` wait for an answer; return the number of the listener.

    `traced`: they stop for a tracer instead, and so do fork and ptrace; there is no listener.
    """
    program = _program([*CALLS, _CLONE, _FORK, _CLONE3, _PTRACE], _TRACE) if traced else _program()
    code = (ctypes.c_char * len(program)).from_buffer(bytearray(program))
    head = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    system_call(Syscall.PRCTL, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return system_call(Syscall.SECCOMP, _SET_MODE_FILTER, 0 if traced else _NEW_LISTENER, head)


def _program(numbers: Iterable[int] = CALLS, action: int = _USER_NOTIF) -> bytes:
    """struct sock_filter, one after another: code, jump if true, jump if false, operand."""
    plain = [number for number in numbers if number not in _WITH_FLAG]
    flagged = 3 * len(_WITH_FLAG)
    lines = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64), (_RETURN, 0, 0, _ALLOW)]
    lines.append((_LOAD, 0, 0, 0))
    for left, number in zip(range(len(plain) + flagged, flagged, -1), plain, strict=True):
        lines.append((_JUMP_EQUAL, left, 0, number))
    for left, (number, (argument, flag)) in zip(
        range(flagged, 0, -3), _WITH_FLAG.items(), strict=True
    ):
        lines.append((_JUMP_EQUAL, 0, 2, number))
        lines.append((_LOAD, 0, 0, 16 + 8 * argument))
        lines.append((_JUMP_SET, left - 2, left - 3, flag))
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, action)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def fetch_listener(process: int, seconds: float) -> int:
    """Return a copy of the listener of another process, once it has one.

    Raises TimeoutError, or ProcessLookupError when the process ends before.
    """
    pidfd = os.pidfd_open(process)
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for entry in Path(f"/proc/{process}/fd").iterdir():
                try:
                    kind = str(entry.readlink())
                except FileNotFoundError:
                    continue
                if kind == "anon_inode:seccomp notify":
                    return system_call(_PIDFD_GETFD, pidfd, int(entry.name), 0)
            time.sleep(0.001)
        raise TimeoutError(f"process {process} has installed no filter within {seconds:g} s")
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {process} has ended") from error
    finally:
        os.close(pidfd)


def receive(listener: int) -> Stopped | None:
    """Return who is stopped; None if it was gone before it could be looked at."""
    buffer = bytearray(_NOTIF.size)
    try:
        fcntl.ioctl(listener, _RECV, buffer)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    identity, tid, _, number, _, _, *arguments = _NOTIF.unpack(buffer)
    call, ranges = described(number, arguments, tid) or (_COPIES, [])
    return Stopped(identity, tid, call, ranges)


def described(
    number: int, arguments: list[int], tid: int
) -> tuple[Call, list[tuple[int, int]]] | None:
    """Return what a call of thread `tid` does, and to which bytes; None for what is no operation.

    No bytes: it changes nothing, like a heap that grows.
    """
    start, length, *rest = arguments
    call = CALLS.get(number, _COPIES)
    if number == _PTRACE:
        return None
    if call is _COPIES:
        return call, [] if _creates_no_memory(number, start, tid) else [_ANYTHING]
    if call.name == "brk":
        return call, _cut_off(start, tid)
    if number == _SHMDT:
        return call, _attached(start, tid)
    if number == _SHMAT:
        return call, [_ANYTHING]  # as long as the segment is
    if number == _OPENAT2:
        return call, [_ANYTHING] if (_word(rest[0], tid) or 0) & _O_TRUNC else []
    if call.name in ("mmap_fixed", "mprotect", "munmap", "madvise"):
        return call, [(start, start + length)] if length else []
    if call.name == "mremap":
        found = [(start, start + length)] if length else []
        if rest[1] & _MREMAP_FIXED:
            found.append((rest[2], rest[2] + rest[0]))
        return call, found
    return call, [_ANYTHING]  # by a file, or by a vector in the program's memory


def _creates_no_memory(number: int, first: int, tid: int) -> bool:
    """Tell whether clone or clone3 creates a thread, or a process that borrows the memory."""
    if number == _FORK:
        return False
    if number == _CLONE:
        return bool(first & _CLONE_VM)
    flags = _word(first, tid)
    return flags is None or bool(flags & _CLONE_VM)


def _word(address: int, tid: int) -> int | None:
    """Read a word of a thread's memory; None if the kernel cannot read it either."""
    try:
        with Path(f"/proc/{tid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            return int.from_bytes(memory.read(8), "little")
    except OSError:
        return None


def _cut_off(end: int, tid: int) -> list[tuple[int, int]]:
    """What `brk(end)` unmaps: nothing if the heap grows, or if 0 only asks where it ends."""
    try:
        ends = [area[1] for area in areas_of(tid) if area[2] == "[heap]"]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it was killed meanwhile
    first = -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
    return [(first, max(ends))] if end and ends and first < max(ends) else []


def _attached(start: int, tid: int) -> list[tuple[int, int]]:
    """What `shmdt(start)` unmaps: the mapping there, in as many pieces as it may be."""
    end = start
    try:
        for area in sorted(areas_of(tid)):
            if area[0] == end and area[2].startswith("/SYSV"):
                end = area[1]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it was killed meanwhile
    return [(start, end)] if end > start else []


def let_go(listener: int, stopped: Stopped) -> None:
    """Let the call be made."""
    try:
        fcntl.ioctl(listener, _SEND, _RESPONSE.pack(stopped.number, 0, 0, _CONTINUE))
    except OSError as error:
        if error.errno != errno.ENOENT:  # it was killed meanwhile
            raise
