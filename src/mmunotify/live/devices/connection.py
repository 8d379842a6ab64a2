"""`Connection`: what an `Exporter` and its attachers say to each other, over a Unix socket.

One message is one packet of JSON; the descriptor of a segment goes along with the answer that it
can be attached. Invariant: what `receive` returns is a message of this protocol.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from array import array
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["Connection", "Message", "Verb"]

_MOST = 4096  # bytes, more than any message has


class Verb(StrEnum):
    """What is said; the first two by the attacher."""

    ATTACH = "attach"
    GONE = "gone"
    ATTACHED = "attached"
    REFUSED = "refused"
    LET_GO = "let_go"


@dataclass(frozen=True)
class Message:
    """What is said of the segment `token`; where it is in its file, in bytes, if it is attached."""

    verb: Verb
    token: int
    offset: int = 0
    length: int = 0


class Connection:
    """One end of a connection. `pid` is the process at the other one when it was made."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        found = socket_.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid = int.from_bytes(found[:4], sys.byteorder)

    @classmethod
    def to(cls, path: str | Path) -> Connection:
        """Connect to an exporter; OSError if there is none."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            made.connect(str(path))
        except BaseException:
            made.close()
            raise
        return cls(made)

    def send(self, message: Message, file: int | None = None, *, wait: bool = True) -> bool:
        """Send; tell whether that worked. Without `wait` it does not to one that never reads."""
        raw = json.dumps(asdict(message)).encode()
        files = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [file]))] if file is not None else []
        )
        try:
            # Not by socket.send_fds, which takes flags and does not pass them on (Python 3.11).
            self._socket.sendmsg([raw], files, 0 if wait else socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def receive(self, *, files: int = 0) -> tuple[Message, list[int]] | None:
        """Wait for a message with up to `files` descriptors, which are the caller's to close.

        None: the connection is over, or broken, or what came is no message.
        """
        try:
            raw, found, _, _ = socket.recv_fds(self._socket, _MOST, files)
        except OSError:
            return None
        message = _parsed(raw)
        if message is not None:
            return message, found
        for file in found:
            os.close(file)
        return None

    def end(self) -> None:
        """Have both ends find out that it is over."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()


def _parsed(raw: bytes) -> Message | None:
    try:
        found = json.loads(raw)
        message = Message(**{**found, "verb": Verb(found["verb"])})
    except (ValueError, TypeError, KeyError):
        return None
    numbers = message.token, message.offset, message.length
    return message if all(type(number) is int for number in numbers) else None
