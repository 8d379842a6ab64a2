"""`Tracefs`: the kernel's descriptions of its tracepoints, read without changing anything.

Where no tracefs is mounted, one is mounted detached: it is in no directory tree and ends with its
file descriptor, so nothing of it outlives the process, however that ends.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mmunotify.errors import CannotError, Diagnostic
from mmunotify.kernel.closing import Closing
from mmunotify.kernel.system_call import Syscall, system_call

__all__ = ["Tracefs", "Tracepoint"]

_PLACES: Final = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_CREATE: Final = 6  # FSCONFIG_CMD_CREATE
_FIELD: Final = re.compile(r"field:[^;]*?(\w+)(?:\[\d+\])?;\s*offset:(\d+);\s*size:(\d+);")


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """One tracepoint: its number for perf, and where its fields are (offset, size)."""

    name: str
    number: int
    fields: dict[str, tuple[int, int]]


class Tracefs(Closing):
    """The tracing file system; raises `CannotError` if there is none to be had."""

    def __init__(self) -> None:
        self.fd = _open()

    def tracepoint(self, system: str, name: str) -> Tracepoint:
        """Read the description of `system:name`."""
        folder = f"events/{system}/{name}"
        try:
            number = int(self._read(f"{folder}/id"))
            layout = self._read(f"{folder}/format")
        except OSError as error:
            what = f"the tracepoint {system}:{name} cannot be read: {error.strerror}"
            if error.errno == errno.ENOENT:
                what = f"this kernel has no tracepoint {system}:{name}"
            raise CannotError(Diagnostic("E401", None, what, fix="modprobe kvm")) from None
        fields = {m[1]: (int(m[2]), int(m[3])) for m in _FIELD.finditer(layout)}
        return Tracepoint(name, number, fields)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)

    def _read(self, path: str) -> str:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
        with os.fdopen(fd, encoding="utf-8") as file:
            return file.read()


def _open() -> int:
    for place in _PLACES:
        if (Path(place) / "events").is_dir() and os.access(f"{place}/events", os.R_OK):
            return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        context = system_call(Syscall.FSOPEN, b"tracefs", 1)
        try:
            system_call(Syscall.FSCONFIG, context, _CREATE, None, None, 0)
            return system_call(Syscall.FSMOUNT, context, 1, 0)
        finally:
            os.close(context)
    except OSError as error:
        what = f"tracefs is not mounted, and user {os.getuid()} may not mount it: {error.strerror}"
        fix = "sudo mount -t tracefs tracefs /sys/kernel/tracing"
        raise CannotError(Diagnostic("E401", None, what, fix=fix)) from None
