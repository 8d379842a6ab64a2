"""`Exporter` and `Attacher`: memory of one process attached in others, in the manner of XPMEM.

A segment is memory of a memfd whose descriptor goes to other processes through a Unix socket. When
the owner unmaps it through its `AddressSpace`, the start hook has every attacher let go and waits.
Invariant: when `unmap` has returned, no attacher has the segment mapped, but those that were
reported as stuck; what these still see are the old pages, never what is mapped there next.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmunotify.lang.page_range import Event
from mmunotify.live.address_space import AddressSpace
from mmunotify.live.guarantee import Need
from mmunotify.live.mapping import Mapping, mappings_in
from mmunotify.live.memory import PAGE_SIZE, MemoryRange, extent_of

__all__ = ["Attacher", "Attachment", "DetachedError", "Exporter", "Segment", "Stuck"]

_MESSAGE = 4096  # bytes, more than any has
_NAME = "mmunotify-segment"


@dataclass(frozen=True)
class Stuck:
    """An attacher that did not let go in time: its process, the segment, how long it was given."""

    pid: int
    token: int
    seconds: float

    def __str__(self) -> str:
        return f"process {self.pid} has not let go of segment {self.token} in {self.seconds:g} s"


@dataclass(eq=False)
class _Peer:
    """The connection to an attacher."""

    socket: socket.socket
    pid: int

    def send(self, message: dict[str, Any], fds: list[int] | None = None) -> bool:
        """Send, without waiting for a peer that does not read; tell whether that worked."""
        try:
            socket.send_fds(
                self.socket, [json.dumps(message).encode()], fds or [], socket.MSG_DONTWAIT
            )
        except OSError:
            return False
        return True


@dataclass(eq=False)
class Segment:
    """Exported memory, known to attachers by its `token`. A registration's key."""

    exporter: Exporter
    token: int
    address: int
    length: int
    file: int
    offset: int
    peers: set[_Peer] = field(default_factory=set)
    open: bool = True
    ended: bool = False
    used: bool = False

    def invalidate_range_start(self, rng: MemoryRange) -> None:
        """The hook: what unmaps any of it waits until nobody has it attached."""
        if rng.event is Event.UNMAP:
            self.exporter.revoke(self)

    def invalidate_range_end(self, rng: MemoryRange) -> None:
        """The hook: if the memory is still there, it can be attached again.

        It is there when the unmap has failed, or was another one: what is reported afterwards may
        have happened to the memory that was at the addresses before.
        """
        if rng.event is Event.UNMAP:
            self.exporter.reopen(self)

    def release(self) -> None:
        """The hook: the address space is closed."""
        self.exporter.revoke(self)


class Exporter:
    """The owner's side: a device whose registrations other processes attach.

    `path` is that of its Unix socket; who may connect is decided by the permissions of its
    directory. An attacher that has not let go after `timeout` seconds is reported to `on_stuck` and
    cut off; a dead one has let go. `hook_timeout` of the address space must be longer.
    Only memory from `allocate` can be exported.
    """

    name = "attachment"
    need = Need.PINNED
    covers = frozenset({"madv_guard_install", "punch_hole", "ftruncate"})
    """After these the owner's and the attachers' mappings are still of one file."""
    whole = True
    """A segment is attached as a whole, or not at all."""

    def __init__(
        self,
        mm: AddressSpace,
        path: str | Path,
        *,
        timeout: float = 5.0,
        on_stuck: Callable[[Stuck], None] = lambda stuck: print(stuck, file=sys.stderr),
    ) -> None:
        self.mm = mm
        self.path = Path(path)
        self.timeout = timeout
        self.on_stuck = on_stuck
        self._changed = threading.Condition()
        self._files: dict[int, int] = {}  # by address: the memfd of what was allocated there
        self._segments: dict[int, Segment] = {}
        self._peers: set[_Peer] = set()
        self._threads: set[threading.Thread] = set()
        self._next = 0
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._listener.bind(str(self.path))
            self._listener.listen()
        except BaseException:
            self._listener.close()
            raise
        self._start(self._accept)

    def allocate(self, length: int) -> mmap.mmap:
        """Return new memory that can be exported, of whole pages."""
        fd = os.memfd_create(_NAME, os.MFD_CLOEXEC)
        try:
            os.truncate(fd, -(-length // PAGE_SIZE) * PAGE_SIZE)
            memory = mmap.mmap(fd, -(-length // PAGE_SIZE) * PAGE_SIZE)
        except BaseException:
            os.close(fd)
            raise
        with self._changed:
            self._sweep()
            self._files[extent_of(memory).address] = fd
        return memory

    # -- what a cache calls ---------------------------------------------------------------------

    def register(self, address: int, length: int) -> Segment:
        """Export whole pages of what `allocate` returned; anything else is OSError EINVAL."""
        with self._changed:
            start, fd = self._file_at(address, length)
            segment = Segment(self, self._next, address, length, os.dup(fd), address - start)
            self._next += 1
            self._segments[segment.token] = segment
        try:
            self.mm.register(segment, ranges=[(address, length)])
        except BaseException:
            self._forget(segment)
            raise
        return segment

    def deregister(self, key: Segment) -> None:
        """Have every attacher let go, waiting for `timeout` seconds at most."""
        key.ended = True
        self.revoke(key)
        if self.mm.alive:
            self.mm.unregister(key)
        self._forget(key)

    def clear_young(self, key: Segment) -> bool:
        """Tell whether the segment was attached since the last time, or is."""
        young, key.used = key.used or bool(key.peers), False
        return young

    def revoke(self, segment: Segment) -> list[Stuck]:
        """Let nobody attach any more, and wait until everybody has let go; report who has not."""
        with self._changed:
            segment.open = False
            for peer in segment.peers:
                peer.send({"let_go": segment.token})  # if it does not even read, it is stuck
            self._changed.wait_for(lambda: not segment.peers, self.timeout)
            stuck = [one for peer in list(segment.peers) for one in self._cut_off(peer)]
        for found in stuck:
            self.on_stuck(found)
        return stuck

    def reopen(self, segment: Segment) -> None:
        """Let a segment be attached again, if its memory is where it was exported."""
        start = segment.address - segment.offset
        end = segment.address + segment.length
        with self._changed:
            segment.open = not segment.ended and _is_mapped(
                segment.file, start, segment.address, end
            )

    def close(self) -> None:
        """Revoke everything, and end the connections; close the cache before."""
        for segment in list(self._segments.values()):
            self.deregister(segment)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._changed:
            for peer in self._peers:
                with contextlib.suppress(OSError):
                    peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        self._listener.close()
        self.path.unlink(missing_ok=True)
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()

    def __enter__(self) -> Exporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- segments -------------------------------------------------------------------------------

    def _file_at(self, address: int, length: int) -> tuple[int, int]:
        """Return where allocated memory begins that has these pages, and its descriptor.

        The kernel is asked: the memory may be gone, and other memory at its addresses.
        """
        end = address + length
        for start, fd in self._files.items():
            inside = start <= address and end <= start + os.fstat(fd).st_size
            if inside and _is_mapped(fd, start, address, end):
                return start, fd
        raise OSError(errno.EINVAL, "not memory that Exporter.allocate returned")

    def _sweep(self) -> None:
        """Give back the files of memory that was unmapped."""
        for start, fd in list(self._files.items()):
            if not _of_file(fd, start, start + os.fstat(fd).st_size):
                os.close(self._files.pop(start))

    def _cut_off(self, peer: _Peer) -> list[Stuck]:
        """End a connection; what the attacher has mapped it has from now on by itself."""
        with contextlib.suppress(OSError):
            peer.socket.shutdown(socket.SHUT_RDWR)
        left = [segment for segment in self._segments.values() if peer in segment.peers]
        for segment in left:
            segment.peers.discard(peer)
        return [Stuck(peer.pid, segment.token, self.timeout) for segment in left]

    def _forget(self, segment: Segment) -> None:
        with self._changed:
            del self._segments[segment.token]
            os.close(segment.file)
            self._sweep()

    # -- connections ----------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(
            target=target, args=arguments, name="mmunotify-export", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            peer = _Peer(connection, int.from_bytes(found[:4], sys.byteorder))
            with self._changed:
                self._peers.add(peer)
            self._start(self._serve, peer)

    def _serve(self, peer: _Peer) -> None:
        """Read what an attacher says, until it has closed the connection or is dead."""
        with contextlib.suppress(OSError, ValueError):
            while raw := peer.socket.recv(_MESSAGE):
                self._take(peer, json.loads(raw))
        with self._changed:
            for segment in self._segments.values():
                segment.peers.discard(peer)
            self._peers.discard(peer)
            peer.socket.close()
            self._threads.discard(threading.current_thread())
            self._changed.notify_all()

    def _take(self, peer: _Peer, message: dict[str, int]) -> None:
        with self._changed:
            if "gone" in message:
                segment = self._segments.get(message["gone"])
                if segment is not None:
                    segment.peers.discard(peer)
                    self._changed.notify_all()
                return
            token = message.get("attach", -1)
            segment = self._segments.get(token)
            if segment is None or not segment.open:
                peer.send({"refused": token})
                return
            # Before the descriptor leaves: from then on the peer may have it mapped.
            segment.peers.add(peer)
            segment.used = True
            answer = {"attached": token, "offset": segment.offset, "length": segment.length}
            if not peer.send(answer, [segment.file]):
                segment.peers.discard(peer)


def _of_file(fd: int, start: int, end: int) -> list[Mapping]:
    """Return the mappings in `[start, end)` that are of a file."""
    inode = os.fstat(fd).st_ino
    return [m for m in mappings_in(start, end) if m.inode == inode and _NAME in m.name]


def _is_mapped(fd: int, start: int, address: int, end: int) -> bool:
    """Tell whether `[address, end)` is all of a file that begins at `start`."""
    found = _of_file(fd, address, end)
    mapped = sum(min(m.end, end) - max(m.start, address) for m in found)
    return mapped == end - address and all(m.offset == m.start - start for m in found)


class DetachedError(Exception):
    """The owner takes the memory back or has it, or there is no such segment.

    It may be to be had again: ask the owner for a token, which looks it up in the cache.
    """


class Attachment:
    """A segment of another process, mapped here until its owner takes it back."""

    def __init__(self, attacher: Attacher, token: int, memory: mmap.mmap) -> None:
        self.token = token
        self._attacher = attacher
        self._memory: mmap.mmap | None = memory
        self._users = 0
        self._leaving = False

    @contextlib.contextmanager
    def use(self) -> Iterator[memoryview]:
        """The memory, which stays attached while the block runs: the owner's unmap waits for it.

        Raises `DetachedError` if the owner wants it back or has it. A part of the view that
        outlives the block keeps the memory attached, and the owner will report it.
        """
        with self._attacher.changed:
            if self._leaving or self._memory is None:
                raise DetachedError(f"segment {self.token} was taken back by its owner")
            self._users += 1
            view = memoryview(self._memory)
        try:
            yield view
        finally:
            with self._attacher.changed:
                view.release()
                self._users -= 1
                self.leave(self._leaving)

    def detach(self) -> None:
        """Let go as soon as nobody uses it."""
        with self._attacher.changed:
            self.leave(True)

    @property
    def attached(self) -> bool:
        """Whether it is mapped."""
        return self._memory is not None

    @property
    def usable(self) -> bool:
        """Whether `use` would work."""
        return self._memory is not None and not self._leaving

    def leave(self, wanted: bool) -> None:
        """If it is wanted and nobody uses the memory, unmap it and say so. Needs the lock."""
        self._leaving = wanted
        if not wanted or self._memory is None or self._users:
            return
        try:
            self._memory.close()
        except BufferError:  # a part of a view is left
            return
        self._memory = None
        self._attacher.gone(self)


class Attacher:
    """The other side: a connection to an `Exporter`, with a thread that lets go when told to.

    `timeout`: how many seconds the owner's answers and the end of all use are waited for.
    """

    def __init__(self, path: str | Path, *, timeout: float = 10.0) -> None:
        self.timeout = timeout
        self.changed = threading.Condition()
        self._attachments: dict[int, Attachment] = {}
        self._answers = 0  # counted: what was attached may be gone again before it is looked at
        self._asking = threading.Lock()
        self._lost = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._socket.connect(str(path))
        except BaseException:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._listen, name="mmunotify-attach", daemon=True)
        self._thread.start()

    def attach(self, token: int) -> Attachment:
        """Map a segment; while it is attached a second time is the same `Attachment`.

        Raises `DetachedError` if the owner has none of that token any more, TimeoutError if it does
        not answer.
        """
        with self._asking, self.changed:
            if token not in self._attachments:
                before = self._answers
                self._say({"attach": token})
                if not self.changed.wait_for(lambda: self._answered(before), self.timeout):
                    raise TimeoutError(f"the owner of segment {token} does not answer")
            found = self._attachments.get(token)
            if found is None or not found.usable:
                raise DetachedError(f"there is no segment {token}")
            return found

    def close(self) -> None:
        """Let go of everything and end the connection; TimeoutError if something is in use."""
        with self.changed:
            for attachment in list(self._attachments.values()):
                attachment.leave(True)
            # The end of the connection says that nothing is mapped any more.
            if not self.changed.wait_for(lambda: not self._attachments, self.timeout):
                raise TimeoutError(f"segments {sorted(self._attachments)} are in use")
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Attacher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def gone(self, attachment: Attachment) -> None:
        """Tell the owner that a segment is not mapped here any more. Needs the lock."""
        self._attachments.pop(attachment.token, None)
        self._say({"gone": attachment.token})
        self.changed.notify_all()

    def _answered(self, before: int) -> bool:
        return self._answers > before or self._lost

    def _say(self, message: dict[str, int]) -> None:
        with contextlib.suppress(OSError):  # the owner is gone, as the thread finds out
            self._socket.send(json.dumps(message).encode())

    def _listen(self) -> None:
        try:
            while True:
                raw, fds, _, _ = socket.recv_fds(self._socket, _MESSAGE, 1)
                if not raw:
                    break
                with self.changed:
                    self._take(json.loads(raw), fds)
                    self.changed.notify_all()
        finally:
            with self.changed:
                self._lost = True
                for attachment in list(self._attachments.values()):
                    attachment.leave(True)
                self.changed.notify_all()

    def _take(self, message: dict[str, int], fds: list[int]) -> None:
        if "let_go" in message:
            found = self._attachments.get(message["let_go"])
            if found is not None:
                found.leave(True)
            return
        self._answers += 1
        if "attached" in message:
            try:
                memory = mmap.mmap(fds[0], message["length"], offset=message["offset"])
                # A child would have it mapped when this process has let go.
                memory.madvise(mmap.MADV_DONTFORK)
            finally:
                os.close(fds[0])
            token = message["attached"]
            self._attachments[token] = Attachment(self, token, memory)
