"""`mapping_at`: what kind of memory is at an address, asked of the kernel.

Invariant: the answer was true at the moment of the question; a mapping can change right after.
"""

from __future__ import annotations

import fcntl
import struct
from dataclasses import dataclass
from pathlib import Path

from mmunotify.live.operations import Kind

__all__ = ["Mapping", "mapping_at", "mappings_in"]

# Since Linux 6.11 (include/uapi/linux/fs.h): struct procmap_query, and its ioctl.
_QUERY = struct.Struct("<QQQQQQQQQIIIIQQ")
_PROCMAP_QUERY = (3 << 30) | (_QUERY.size << 16) | (ord("f") << 8) | 17
_COVERING_OR_NEXT = 0x10
_SHARED = 0x08
_NAME = 256


@dataclass(frozen=True)
class Mapping:
    """One mapping (VMA), `[start, end)`, of a file from its byte `offset` if `inode` is not 0."""

    start: int
    end: int
    kind: Kind
    name: str
    inode: int = 0
    offset: int = 0


def mapping_at(address: int) -> Mapping | None:
    """Return the mapping that covers `address`, or the next one after it, if there is any."""
    import ctypes

    name = ctypes.create_string_buffer(_NAME)
    query = bytearray(
        _QUERY.pack(
            *(_QUERY.size, _COVERING_OR_NEXT, address, 0, 0, 0, 0, 0, 0),
            *(0, 0, _NAME, 0, ctypes.addressof(name), 0),
        )
    )
    with Path("/proc/self/maps").open("rb", buffering=0) as maps:
        try:
            fcntl.ioctl(maps, _PROCMAP_QUERY, query)
        except FileNotFoundError:
            return None
        except OSError:  # a kernel without it
            return next((m for m in _listed(maps.readall()) if m.end > address), None)
    _, _, _, start, end, flags, _, offset, inode, *_ = _QUERY.unpack(query)
    text = name.value.decode(errors="replace")
    return _mapping(start, end, bool(flags & _SHARED), inode, offset, text)


def mappings_in(start: int, end: int) -> list[Mapping]:
    """Return the mappings that lie in `[start, end)`, in order."""
    found = []
    while start < end and (one := mapping_at(start)) is not None and one.start < end:
        found.append(one)
        start = one.end
    return found


def _listed(text: bytes) -> list[Mapping]:
    """Parse the text form, for kernels that have no other."""
    found = []
    for line in text.decode(errors="replace").splitlines():
        span, flags, offset, _, inode, *name = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in span.split("-"))
        shared, title = flags[3] == "s", name[0] if name else ""
        found.append(_mapping(start, end, shared, int(inode), int(offset, 16), title))
    return found


def _mapping(start: int, end: int, shared: bool, inode: int, offset: int, name: str) -> Mapping:
    if inode == 0:
        kind = Kind.ANONYMOUS
    elif shared and name.startswith("/dev/zero"):
        kind = Kind.UNNAMED
    elif name.startswith("/SYSV"):
        kind = Kind.SYSV
    else:
        kind = Kind.SHARED if name.startswith(("/memfd:", "/dev/shm/")) else Kind.FILE
    return Mapping(start, end, kind, name, inode, offset)
